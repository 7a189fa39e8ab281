"""``qqbot sandbox`` and ``qqbot say``: a QQ platform on this machine, and a voice in it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bot_core.errors import SandboxError
from qqmedia import ConfigurationError

if TYPE_CHECKING:
    import aiohttp

    from bot_core.sandbox import Happening, Sandbox, SandboxOptions

__all__ = ("sandbox_command", "say_command")

DEFAULT_PORT: Final = 8765

# After an answer, how long to listen for another one.
_QUIET_SECONDS: Final = 1.5

# A conversation that comes faster than a terminal can show it is cut short, never held up.
_MOST_WAITING_LINES: Final = 5000

_KINDS: Final = {1: "image", 2: "video", 3: "voice", 4: "file"}
_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "video/mp4": ".mp4",
    "audio/silk": ".silk",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
}
_OK: Final = 200


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
    public_name: Annotated[
        list[str] | None,
        typer.Option(help="NAME=ADDRESS: a name that counts as public, whatever it stands for; as often as wanted."),
    ] = None,
    limits: Annotated[bool, typer.Option("--limits", help="Keep the documented rates and quotas.")] = False,
    no_proactive: Annotated[bool, typer.Option("--no-proactive", help="Refuse messages that answer nothing.")] = False,
    inline_limit: Annotated[int, typer.Option(help="Largest request body in MiB; above it: 413.")] = 10,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines reach.")
    ] = False,
) -> None:
    """Run a QQ open platform on this machine, and show the conversation.

    Point a bot at it with the two variables that are printed, then speak with `qqbot say`. Ctrl-C ends it.
    """
    from bot_core.sandbox import LimitOptions, SandboxAccount, SandboxOptions  # noqa: PLC0415 - only this command pays

    if bool(appid) != bool(secret):
        raise ConfigurationError("--appid and --secret go together; without both, any appid is taken with any secret")
    options = SandboxOptions(
        accounts=(SandboxAccount(appid=appid, secret=secret),) if appid else (),
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
    _accept_any_text()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, host, port))
    _print("the sandbox has ended", "dim")


def say_command(
    text: Annotated[str, typer.Argument(help="What to say to the bot, without the mention.")],
    *,
    group: Annotated[str, typer.Option(help="In this group; any name.")] = "friends",
    private: Annotated[bool, typer.Option("--private", help="In a private chat instead.")] = False,
    user: Annotated[str, typer.Option(help="Who says it; any name.")] = "Ann",
    no_at: Annotated[bool, typer.Option("--no-at", help="Without mentioning the bot.")] = False,
    appid: Annotated[str, typer.Option(help="To this bot, if several are connected.")] = "",
    sandbox: Annotated[str, typer.Option(help="Address of the sandbox.")] = f"http://127.0.0.1:{DEFAULT_PORT}",
    wait: Annotated[float, typer.Option(help="How many seconds to wait for a bot, and then for its answer.")] = 10,
    save: Annotated[Path | None, typer.Option(help="Folder for the media that come back.", file_okay=False)] = None,
) -> None:
    """Say something to the bot in a running sandbox, and print what comes back.

    Exit code 1 if nothing does.
    """
    body: dict[str, Any] = {
        "text": text, "user": user, "at": not no_at, "private": private, "connect_timeout": wait,
    }  # fmt: skip
    if not private:
        body["group"] = group
    if appid:
        body["appid"] = appid
    _accept_any_text()
    address = sandbox if "://" in sandbox else f"http://{sandbox}"
    answers = asyncio.run(_speak(address.rstrip("/"), body, wait, save))
    if not answers:
        raise typer.Exit(1)


# --- sandbox


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
    _print(f"A QQ open platform on {sandbox.api_base}, for {who}. Ctrl-C ends it.", "bold")
    _print("Point your bot at it in its own terminal, then start it:")
    for shell, line in (
        ("bash, zsh", f"export QQ_API_BASE={base} QQ_TOKEN_URL={token}"),
        ("PowerShell", f"$env:QQ_API_BASE={base}; $env:QQ_TOKEN_URL={token}"),
        ("cmd", f'set "QQ_API_BASE={base[1:-1]}" && set "QQ_TOKEN_URL={token[1:-1]}"'),
    ):
        _print(f"  {shell}:", "dim")
        _print(f"    {line}", "green")
    _print("Speak to it from another terminal:")
    _print(f'    qqbot say "hello"{say}', "green")
    _print("")


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
            await asyncio.to_thread(_print_all, shown)
    finally:
        stop()


# --- say


async def _speak(base: str, body: dict[str, Any], wait: float, save: Path | None) -> int:
    """Say it, print the answers as they come, and return how many came."""
    import aiohttp  # noqa: PLC0415 - the other commands do not pay for it

    answers = 0
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=None, connect=5)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        said = await _call(http, "POST", f"{base}/sandbox/say", json=body)
        if not said["said"]["connected"]:
            await asyncio.to_thread(_print, "the bot is away for the moment; it gets this when it is back", "yellow")
        after, deadline = said["after"], loop.time() + wait
        while (left := deadline - loop.time()) > 0:
            query = {"after": str(after), "msg_id": said["said"]["id"], "wait": f"{left:.3f}"}
            found = await _call(http, "GET", f"{base}/sandbox/arrived", params=query)
            after = found["after"]
            for arrived in found["arrived"]:
                await _show(http, base, arrived, save)
            if found["arrived"]:
                answers += len(found["arrived"])
                deadline = min(deadline, loop.time() + _QUIET_SECONDS)
        if not answers:
            await _explain_silence(http, base, wait, said["said"])
    return answers


async def _call(http: aiohttp.ClientSession, method: str, url: str, **arguments: Any) -> dict[str, Any]:
    import aiohttp  # noqa: PLC0415

    try:
        async with http.request(method, url, **arguments) as response:
            value = await response.json(content_type=None)
            status = response.status
    except aiohttp.ClientConnectionError as error:
        raise SandboxError(f"no sandbox answers at {url}; start one with `qqbot sandbox` ({error})") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise SandboxError(f"what answers at {url} is not a sandbox ({error})") from error
    if not isinstance(value, dict):
        raise SandboxError(f"what answers at {url} is not a sandbox")
    if status != _OK:
        raise SandboxError(str(value.get("error") or f"{url} answered {status}, so it is not a sandbox"))
    return value


async def _show(http: aiohttp.ClientSession, base: str, arrived: dict[str, Any], save: Path | None) -> None:
    if arrived["content"]:
        await asyncio.to_thread(_print, arrived["content"])
    media = arrived["media"]
    if media is None:
        if not arrived["content"]:
            await asyncio.to_thread(_print, f"(a message of type {arrived['msg_type']})", "dim")
        return
    from bot_core.sandbox._lines import human_size  # noqa: PLC0415

    kind = _KINDS[media["file_type"]]
    came = f"fetched from {media['url']}" if media["url"] else f"uploaded as {media['way']}"
    text = f"[{kind}] {media['content_type']}, {human_size(media['size'])}, {came}"
    if save is not None:
        text += f", saved as {await _save(http, base, arrived, save)}"
    await asyncio.to_thread(_print, text, "green")


async def _save(http: aiohttp.ClientSession, base: str, arrived: dict[str, Any], folder: Path) -> Path:
    media = arrived["media"]
    async with http.get(base + media["download"]) as response:
        if response.status != _OK:
            raise SandboxError(f"the sandbox does not keep {media['download']} any more")
        content = await response.read()
    path = folder / f"{arrived['number']}{_SUFFIXES.get(media['content_type'], '.bin')}"

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    await asyncio.to_thread(write)
    return path


async def _explain_silence(http: aiohttp.ClientSession, base: str, wait: float, said: dict[str, Any]) -> None:
    """Say what the bot tried since then, and was refused."""
    state = await _call(http, "GET", f"{base}/sandbox/state")
    refused = [
        entry for entry in state["refused"] if entry["at"] >= said["at"] and entry["appid"] in ("", said["appid"])
    ]
    lines = [(f"no answer within {wait:g} s", "yellow")]
    lines += [
        (f"  refused since then: {entry['path']} {entry['status']} {entry['code']} {entry['message']}", "red")
        for entry in refused[-3:]
    ]
    await asyncio.to_thread(_print_all, lines)


# --- printing


def _accept_any_text() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that has no Chinese shows question marks


def _print(text: str, style: str = "") -> None:
    _print_all([(text, style)])


def _print_all(lines: list[tuple[str, str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not for --help
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False)
    for text, style in lines:
        console.print(Text(text, style=style))
    sys.stdout.flush()
