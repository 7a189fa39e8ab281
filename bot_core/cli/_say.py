"""``qqbot say``: a voice in a running sandbox."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bot_core.cli._printing import print_all, print_line
from bot_core.cli._sandbox import DEFAULT_PORT
from bot_core.errors import SandboxError
from qqmedia.errors import ConfigurationError

if TYPE_CHECKING:
    import aiohttp

__all__ = ("say_command",)

# After an answer, how long to listen for another one.
_QUIET_SECONDS: Final = 1.5

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
_MOST_SUFFIX: Final = 10
_ADDRESS: Final = f"http://127.0.0.1:{DEFAULT_PORT}"


def say_command(
    text: Annotated[str, typer.Argument(help="What to say to the bot, without the mention.")],
    *,
    group: Annotated[str, typer.Option(help="In this group; any name.")] = "friends",
    private: Annotated[bool, typer.Option("--private", help="In a private chat instead.")] = False,
    user: Annotated[str, typer.Option(help="Who says it; any name.")] = "Ann",
    no_at: Annotated[bool, typer.Option("--no-at", help="Without mentioning the bot.")] = False,
    quote: Annotated[str, typer.Option(help="Text of a message that this one quotes.", metavar="TEXT")] = "",
    appid: Annotated[str, typer.Option(help="To this bot, if several are connected.")] = "",
    sandbox: Annotated[str, typer.Option(help="Address of the sandbox.", envvar="QQ_API_BASE")] = _ADDRESS,
    wait: Annotated[float, typer.Option(help="How many seconds to wait for a bot, and then for its answer.")] = 10,
    save: Annotated[Path | None, typer.Option(help="Folder for the media that come back.", file_okay=False)] = None,
) -> None:
    """Say something to the bot in a running sandbox, and print what comes back.

    Exit code 1 if nothing does.
    """
    if not 0 <= wait < math.inf:
        raise ConfigurationError(f"--wait must be a number of seconds from 0 on, got {wait:g}")
    body: dict[str, Any] = {
        "text": text, "user": user, "at": not no_at, "private": private, "quote": quote,
        "connect_timeout": wait,
    }  # fmt: skip
    if not private:
        body["group"] = group
    if appid:
        body["appid"] = appid
    address = sandbox if "://" in sandbox else f"http://{sandbox}"
    answers = asyncio.run(_speak(address.rstrip("/"), body, wait, save))
    if not answers:
        raise typer.Exit(1)


async def _speak(base: str, body: dict[str, Any], wait: float, save: Path | None) -> int:
    """Say it, print the answers as they come, and return how many came."""
    import aiohttp  # noqa: PLC0415 - the other commands do not pay for it

    answers = 0
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=None, connect=5)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        said = await _call(http, "POST", f"{base}/sandbox/say", json=body)
        if not said["said"]["connected"]:
            await asyncio.to_thread(print_line, "the bot is away; it gets this when it is back", "yellow")
        after, deadline = said["after"], loop.time() + wait
        while (left := deadline - loop.time()) > 0:
            query = {"after": str(after), "wait": f"{left:.3f}"}
            found = await _call(http, "GET", f"{base}/sandbox/arrived", params=query)
            after = found["after"]
            came = [arrived for arrived in found["arrived"] if _is_for(said["said"], arrived)]
            for arrived in came:
                await _show(http, base, arrived, save)
            if came:
                answers += len(came)
                deadline = min(deadline, loop.time() + _QUIET_SECONDS)
        if not answers:
            await _explain_silence(http, base, wait, said["said"], private=bool(body.get("private")))
    return answers


def _is_for(said: dict[str, Any], arrived: dict[str, Any]) -> bool:
    """Return whether this answers what was said, or came into that chat unasked."""
    answers = (arrived["msg_id"], arrived["event_id"])
    if any(answers):
        return said["id"] in answers or said["event_id"] in answers
    return all(said[name] == arrived[name] for name in ("appid", "openid"))


async def _call(http: aiohttp.ClientSession, method: str, url: str, **arguments: Any) -> dict[str, Any]:
    import aiohttp  # noqa: PLC0415

    try:
        async with http.request(method, url, **arguments) as response:
            value = await response.json(content_type=None)
            status = response.status
    except aiohttp.InvalidURL as error:
        raise SandboxError(f"{url} is no address; that of a sandbox is like http://127.0.0.1:{DEFAULT_PORT}") from error
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
    if not (arrived["msg_id"] or arrived["event_id"]):
        await asyncio.to_thread(print_line, "(unasked)", "dim")
    if arrived["content"]:
        await asyncio.to_thread(print_line, arrived["content"])
    media = arrived["media"]
    if media is None:
        if not arrived["content"]:
            await asyncio.to_thread(print_line, f"(a message of type {arrived['msg_type']})", "dim")
        return
    from bot_core.sandbox._lines import human_size  # noqa: PLC0415

    kind = _KINDS[media["file_type"]]
    came = f"fetched from {media['url']}" if media["url"] else f"uploaded as {media['way']}"
    name = f"{media['file_name']}, " if media["file_name"] else ""
    text = f"[{kind}] {name}{media['content_type']}, {human_size(media['size'])}, {came}"
    if save is not None:
        text += f", saved as {await _save(http, base, arrived, save)}"
    await asyncio.to_thread(print_line, text, "green")


async def _save(http: aiohttp.ClientSession, base: str, arrived: dict[str, Any], folder: Path) -> Path:
    media = arrived["media"]
    async with http.get(base + media["download"]) as response:
        if response.status != _OK:
            raise SandboxError(f"the sandbox does not keep {media['download']} any more")
        content = await response.read()
    path = folder / f"{arrived['number']}{_suffix(media)}"

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    await asyncio.to_thread(write)
    return path


def _suffix(media: dict[str, Any]) -> str:
    """Return how the file's name ends; of the name that the bot gave it, that is all that is used."""
    named = PurePosixPath(media["file_name"]).suffix
    named = named if named[1:].isalnum() and len(named) <= _MOST_SUFFIX else ".bin"
    return _SUFFIXES.get(media["content_type"], named)


async def _explain_silence(
    http: aiohttp.ClientSession, base: str, wait: float, said: dict[str, Any], *, private: bool
) -> None:
    """Say what the bot tried since then, and was refused, and what its webhook did not take; else what may be why."""
    state = await _call(http, "GET", f"{base}/sandbox/state")
    refused = [
        entry for entry in state["refused"] if entry["at"] >= said["at"] and entry["appid"] in ("", said["appid"])
    ]
    lines = [
        (f"  refused since then: {entry['path']} {entry['status']} {entry['code']} {entry['message']}", "red")
        for entry in refused[-3:]
    ]
    lines += [
        (f"  {entry['url']} did not take it, try {entry['number']}: {entry['why']}", "red")
        for entry in state.get("undelivered", ())
        if entry["event_id"] == said["event_id"]
    ]
    if not lines and said["connected"]:
        more = ", with allow_direct=True for private chats" if private else ""
        lines = [
            (f"  the bot got it and tried nothing; has it a handler for this text{more}? `qqbot run -v` tells", "dim")
        ]
    lines.insert(0, (f"no answer within {wait:g} s", "yellow"))
    await asyncio.to_thread(print_all, lines)
