"""``qqmedia put``: one file to where a driver stores it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, BinaryIO, Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from qqmedia.errors import ConfigurationError, MediaSourceError
from qqmedia.host import MediaHost, open_host
from qqmedia.media import MediaKind, Upload
from qqmedia.sniff import HEAD_BYTES, sniff

__all__ = ("put",)

# Of an object's time to live, after which it is put again: a host renews only what has less than half left.
_RENEW_AFTER: Final = 0.6


def put(
    file: Annotated[Path, typer.Argument(help="What to store.", show_default=False)],
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
        asyncio.run(_put(file, driver or "local", kind or _kind_of(file), served))
    except KeyboardInterrupt:
        if not served:
            raise  # otherwise it is how serving ends


def _kind_of(file: Path) -> MediaKind:
    try:
        with file.open("rb") as opened:
            return sniff(opened.read(HEAD_BYTES)).kind or MediaKind.FILE
    except OSError as error:
        raise MediaSourceError(f"{file} cannot be read: {error.strerror or error}") from error


async def _put(file: Path, driver: str, kind: MediaKind, served: list[str]) -> None:
    """Store the file and print its URL; where this process serves it, say so in `served` and do not return."""
    async with open_host(driver) as host, host.prepare(kind, file) as upload:
        with _progress(upload, driver) as shown:
            hosted = await host.publish(shown)
        if hosted.url is None:
            raise ConfigurationError(_why_no_url(hosted.driver))
        typer.echo(hosted.url)
        for note in upload.notes:
            typer.echo(note, err=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShownUpload(Upload):
    """An upload whose readers are seen by a progress bar."""

    shown: Callable[[BinaryIO], BinaryIO] = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """As `Upload.open`."""
        return self.shown(Upload.open(self))  # no `super()`: a slotted dataclass is another class than the one named


@contextmanager
def _progress(upload: Upload, driver: str) -> Iterator[Upload]:
    """Show on a terminal how far the upload is; the bar is gone afterwards."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield upload
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{upload.filename} to {driver}", total=upload.size)

        def shown(opened: BinaryIO) -> BinaryIO:
            progress.reset(task)  # a driver may read it again
            return progress.wrap_file(opened, task_id=task)

        yield _ShownUpload(**{one.name: getattr(upload, one.name) for one in fields(upload)}, shown=shown)
