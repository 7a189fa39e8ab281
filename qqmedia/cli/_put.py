"""``qqmedia put``: one file to where a driver stores it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from qqmedia.errors import ConfigurationError, MediaSourceError
from qqmedia.host import MediaHost, open_host
from qqmedia.media import MediaKind, Reach, Upload
from qqmedia.sniff import HEAD_BYTES, sniff

__all__ = ("put",)

_PRIVATE: Final = (
    "the platform cannot fetch this URL, as its address is private, and a bot would upload the bytes; set public_url "
    "(QQMEDIA_LOCAL_PUBLIC_URL), or choose another driver (--driver)"
)
# Of an object's time to live, after which it is put again: a host renews only what has less than half left.
_RENEW_AFTER: Final = 0.6


def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to store.", show_default=False)],
    driver: Annotated[
        str | None,
        typer.Option(help="Name of the driver.", envvar="QQMEDIA_DRIVER", show_default="local", metavar="NAME"),
    ] = None,
    kind: Annotated[
        MediaKind | None, typer.Option(help="What it is sent as.", show_default="what its bytes say")
    ] = None,
) -> None:
    """Store FILE through a driver and print its URL, alone, on standard output.

    It is prepared as a bot would do it: a voice becomes silk. Settings of the driver come from QQMEDIA_<DRIVER>_* and
    from qqmedia.toml. With the driver `local`, this command is the server: it serves until Ctrl-C.
    """
    served: list[str] = []
    try:
        asyncio.run(_put(file, driver, kind or _kind_of(file), served))
    except KeyboardInterrupt:
        if not served:
            raise  # otherwise it is how serving ends


def _kind_of(file: Path) -> MediaKind:
    try:
        with file.open("rb") as opened:
            return sniff(opened.read(HEAD_BYTES)).kind or MediaKind.FILE
    except OSError as error:
        raise MediaSourceError(f"{file} cannot be read: {error.strerror or error}") from error


async def _put(file: Path, driver: str | None, kind: MediaKind, served: list[str]) -> None:
    """Store the file and print its URL; where this process serves it, say so in `served` and do not return."""
    async with AsyncExitStack() as stack:
        with _progress(file, driver or "where it is hosted"):
            host = await stack.enter_async_context(open_host(driver))
            upload = await stack.enter_async_context(host.prepare(kind, file))
            hosted = await host.publish(upload)
        if hosted.url is None:
            raise ConfigurationError(_why_no_url(hosted.driver))
        typer.echo(hosted.url)
        for note in upload.notes:
            typer.echo(note, err=True)
        if hosted.reach is Reach.PRIVATE:
            typer.echo(_PRIVATE, err=True)
        if _is_local(hosted.driver):
            served.append(hosted.url)
            typer.echo(f"serving {os.fspath(file)} as {upload.content_type}; Ctrl-C ends it", err=True)
            await _serve(host, upload)


async def _serve(host: MediaHost, upload: Upload) -> NoReturn:
    while True:
        await asyncio.sleep(upload.ttl.total_seconds() * _RENEW_AFTER)
        await host.publish(upload)


def _is_local(driver: str) -> bool:
    return driver.partition(":")[0] == "local"


def _why_no_url(driver: str) -> str:
    if _is_local(driver):
        return "driver 'local' serves nothing now, so there is no URL; set a port of your own (QQMEDIA_LOCAL_PORT)"
    return (
        f"driver {driver!r} hosts nothing, so there is no URL: a bot uploads such media to the platform as bytes;"
        " choose another one, `qqmedia drivers` lists them"
    )


def _progress(file: Path, driver: str) -> Progress:
    """Show on a terminal, on standard error, that it is being worked on and for how long; gone afterwards."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    progress.add_task(escape(f"{file.name} to {driver}"), total=None)
    return progress
