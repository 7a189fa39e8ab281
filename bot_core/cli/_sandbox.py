"""``qqbot sandbox``: a QQ platform on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bot_core.cli._printing import print_all, print_line
from qqmedia import ConfigurationError

if TYPE_CHECKING:
    from bot_core.sandbox import Happening, Sandbox, SandboxAccount, SandboxOptions

__all__ = ("DEFAULT_PORT", "sandbox_command")

DEFAULT_PORT: Final = 8765

# A conversation that comes faster than a terminal can show it is cut short, never held up.
_MOST_WAITING_LINES: Final = 5000

_PublicNames: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="NAME=ADDRESS: a name that counts as public, whatever it stands for; as often as wanted."),
]
_Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE: any other option, e.g. max_concurrency=2; as often as wanted."),
]


def sandbox_command(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    appid: Annotated[str, typer.Option(help="Take only this appid; default: any appid with any secret.")] = "",
    secret: Annotated[str, typer.Option(help="The secret that goes with --appid.")] = "",
    bot_name: Annotated[str, typer.Option(help="What the bot is called.")] = "bot",
    full_receive: Annotated[
        bool, typer.Option("--full-receive", help="Mentions come as GROUP_MESSAGE_CREATE, as in groups that show all.")
    ] = False,
    refuse_private: Annotated[
        bool, typer.Option("--refuse-private", help="Fetch no URL on this machine or network, as the real platform.")
    ] = False,
    lenient_voice: Annotated[bool, typer.Option("--lenient-voice", help="Take mp3, wav and ogg as voice too.")] = False,
    public_name: _PublicNames = None,
    limits: Annotated[bool, typer.Option("--limits", help="Keep the documented rates and quotas.")] = False,
    no_proactive: Annotated[bool, typer.Option("--no-proactive", help="Refuse messages that answer nothing.")] = False,
    inline_limit: Annotated[int, typer.Option(min=1, help="Largest request body in MiB; above it: 413.")] = 10,
    option: _Options = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines reach.")
    ] = False,
) -> None:
    """Run a QQ open platform on this machine, and show the conversation.

    Point a bot at it with the two variables that are printed, then speak with `qqbot say`. Ctrl-C ends it.
    """
    from bot_core.sandbox import LimitOptions, SandboxOptions  # noqa: PLC0415 - only this command pays

    options = SandboxOptions(
        accounts=_accounts(appid, secret),
        bot_name=bot_name,
        full_receive=full_receive,
        refuse_private=refuse_private,
        lenient_voice=lenient_voice,
        public_names=_public_names(public_name or []),
        limits=LimitOptions.documented() if limits else LimitOptions(),
        proactive=not no_proactive,
        inline_body_bytes=inline_limit * 1024 * 1024,
        allow_remote=allow_remote,
    )
    if option:
        from bot_core.sandbox._option_texts import with_texts  # noqa: PLC0415

        options = with_texts(options, option)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, host, port))
    print_line("the sandbox has ended", "dim")


def _accounts(appid: str, secret: str) -> tuple[SandboxAccount, ...]:
    from bot_core.sandbox import SandboxAccount  # noqa: PLC0415

    if bool(appid) != bool(secret):
        raise ConfigurationError("--appid and --secret go together; without both, any appid is taken with any secret")
    return (SandboxAccount(appid=appid, secret=secret),) if appid else ()


def _public_names(given: list[str]) -> dict[str, str]:
    names = {}
    for pair in given:
        name, equals, address = pair.partition("=")
        if not name or not equals:
            raise ConfigurationError(
                f"--public-name wants NAME=ADDRESS, for example pics.example.com=127.0.0.1, got {pair}"
            )
        names[name] = address
    return names


async def _serve(options: SandboxOptions, host: str, port: int) -> None:
    from bot_core.sandbox import Sandbox  # noqa: PLC0415

    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no handlers in the loop; Ctrl-C works there too
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Sandbox.open(options, host=host, port=port) as sandbox:
        await asyncio.to_thread(_print_welcome, sandbox)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch(sandbox), name="sandbox conversation")
            await ended.wait()
            watching.cancel()


def _print_welcome(sandbox: Sandbox) -> None:
    base, token = (f'"{value}"' for value in sandbox.environment.values())
    say = "" if sandbox.api_base.endswith(f":{DEFAULT_PORT}") else f" --sandbox {sandbox.api_base}"
    accounts = sandbox.options.accounts
    who = f"appid {accounts[0].appid} with its secret" if accounts else "any appid with any secret"
    print_line(f"A QQ open platform on {sandbox.api_base}, for {who}. Ctrl-C ends it.", "bold")
    print_line("Point your bot at it in its own terminal, then start it:")
    for shell, line in (
        ("bash, zsh", f"export QQ_API_BASE={base} QQ_TOKEN_URL={token}"),
        ("PowerShell", f"$env:QQ_API_BASE={base}; $env:QQ_TOKEN_URL={token}"),
        ("cmd", f'set "QQ_API_BASE={base[1:-1]}" && set "QQ_TOKEN_URL={token[1:-1]}"'),
    ):
        print_line(f"  {shell}:", "dim")
        print_line(f"    {line}", "green")
    print_line("Speak to it from another terminal:")
    print_line(f'    qqbot say "hello"{say}', "green")
    print_line("")


async def _watch(sandbox: Sandbox) -> None:
    """Print the conversation as it happens, until cancelled."""
    from bot_core.sandbox._lines import Lines  # noqa: PLC0415

    lines = Lines(sandbox.options.bot_name)
    waiting: asyncio.Queue[Happening] = asyncio.Queue(_MOST_WAITING_LINES)
    lost = 0

    def listen(happening: Happening) -> None:
        nonlocal lost
        try:
            waiting.put_nowait(happening)
        except asyncio.QueueFull:
            lost += 1

    stop = sandbox.subscribe(listen)
    try:
        while True:
            batch = [await waiting.get()]
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            shown = [lines.line(happening) for happening in batch]
            if lost:
                shown.append((f"... and {lost} more that came too fast to show", "dim"))
                lost = 0
            await asyncio.to_thread(print_all, shown)
    finally:
        stop()
