"""``qqmedia silk``: any audio to silk, silk to WAV, and what a silk file says about itself."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from qqmedia.errors import ConfigurationError, MediaFormatError, MediaSourceError
from qqmedia.settings import load_options
from qqmedia.voice import SilkEncoder, SilkInfo, VoiceOptions, decode_silk_sync, inspect_silk, repair_silk

__all__ = ("silk",)


def silk(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="An audio or video file; with --decode or --info, silk.")
    ],
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="What to write; not with --info.")] = None,
    *,
    decode: Annotated[bool, typer.Option("--decode", help="Turn silk into a WAV file.")] = False,
    info: Annotated[bool, typer.Option("--info", help="Only show what the silk file says about itself.")] = False,
    encoder: Annotated[str | None, typer.Option(help="silk-python or graiax.")] = None,
    bitrate: Annotated[int | None, typer.Option(help="Bits per second.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longest voice.")] = None,
    trim: Annotated[bool | None, typer.Option(help="Cut what is longer.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that it may take.")] = None,
) -> None:
    """Turn any audio into the silk that QQ plays as a voice.

    What is not given comes from QQMEDIA_SILK_* and from the table qqmedia.silk of qqmedia.toml.
    """
    if info:
        if decode or target is not None:
            raise ConfigurationError(
                "--info looks at one file and writes none: give it alone, without OUT and --decode"
            )
        typer.echo(_describe(source, _read(source)))
        return
    if target is None:
        raise ConfigurationError("OUT is missing: qqmedia silk IN OUT")
    _check_target(source, target)
    if decode:
        wav = decode_silk_sync(_read(source))
        _write(target, wav)
        typer.echo(f"{target}: WAV, 24 kHz, mono, {len(wav)} bytes")
        return
    given = {"encoder": encoder, "bitrate": bitrate, "max_seconds": max_seconds, "trim": trim, "timeout": timeout}
    options = _options({name: value for name, value in given.items() if value is not None})
    asyncio.run(_encode(source, target, options))


def _options(given: dict[str, Any]) -> VoiceOptions:
    return dataclasses.replace(load_options(VoiceOptions, "silk"), **given)


async def _encode(source: Path, target: Path, options: VoiceOptions) -> None:
    async with SilkEncoder(options) as silk_encoder:
        voice = await silk_encoder.encode(source)
    await asyncio.to_thread(_write, target, voice.data)
    typer.echo(f"{target}: {_summary(voice.info)}; {voice.note}")


def _describe(source: Path, data: bytes) -> str:
    try:
        return f"{source}: {_summary(inspect_silk(data))}"
    except MediaFormatError as error:
        problem = error
    info = inspect_silk(repair_silk(data))  # raises where nothing can be made of it
    return f"{source}: {_summary(info)} after repair; as it is, QQ refuses it: {problem}"


def _summary(info: SilkInfo) -> str:
    kind = "Tencent silk" if info.tencent else "silk without Tencent's header (QQ wants it; encoding adds it)"
    return f"{kind}, {info.seconds:.2f} s, {info.packets} packets, {info.size} bytes, {info.bitrate} bit/s"


def _check_target(source: Path, target: Path) -> None:
    if target.is_dir():
        raise ConfigurationError(f"OUT is a folder, give the name of a file: {target}")
    if not target.parent.is_dir():
        raise ConfigurationError(f"the folder of OUT does not exist: {target.parent}")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigurationError(f"OUT is IN itself, and would be overwritten: {target}; give another name")


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise MediaSourceError(f"{source} cannot be read: {error.strerror or error}") from error


def _write(target: Path, data: bytes) -> None:
    """Write all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        _give_usual_rights(Path(name))
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _give_usual_rights(path: Path) -> None:
    """Give the rights of any new file; a temporary one is private."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
