"""Looks at a video and makes it one that phones play, in a thread."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.media import Upload
from qqmedia.videos._boxes import Tracks, read_tracks
from qqmedia.videos._ffmpeg import find_ffmpeg, inspect_with_ffmpeg, make_with_ffmpeg
from qqmedia.videos._pyav import inspect_with_pyav, remux_with_pyav
from qqmedia.videos._streams import Streams

__all__ = ("CannotConvert", "Made", "NoConverter", "look", "make_video", "plays")

_MP4: Final = "video/mp4"


class CannotConvert(Exception):  # noqa: N818 - not an error: the video is sent as it is
    """It was tried and did not work; the text says why."""


class NoConverter(CannotConvert):
    """There is nothing here that could."""


@dataclass(frozen=True, slots=True)
class Made:
    """A video made anew; `note` says what was done, for people."""

    path: Path
    note: str


def look(upload: Upload) -> Tracks | None:
    """Return the tracks of an MP4 or QuickTime file."""
    with upload.open() as file:
        return read_tracks(file, upload.size)


def plays(content_type: str, start: bytes) -> bool:
    """Return whether the first bytes hold a whole table of contents, of a video that any phone plays."""
    if content_type != _MP4:
        return False
    tracks = read_tracks(io.BytesIO(start), len(start))
    return tracks is not None and tracks.plays


def make_video(upload: Upload, *, max_bytes: int, stop: Stop, anew: bool = False) -> Made:
    """Return the video as MP4 that any phone plays.

    Args:
        upload: The video.
        max_bytes: What it may have; where it has more it becomes smaller.
        stop: Ends it.
        anew: Encode it in any case.

    Raises:
        CannotConvert: It cannot be done here; the text says why.
        Abandoned: `stop` was asked.
    """
    path = upload.content if isinstance(upload.content, Path) else _on_disk(upload)
    target = upload.workspace.file(".mp4")
    limit = max_bytes if upload.size > max_bytes else None
    try:
        program = find_ffmpeg()
        if program is None:
            return _with_pyav(path, target, upload, stop, encode=anew or limit is not None)
        streams = inspect_with_ffmpeg(program, path, stop)
        given = _anew(streams) if anew else streams
        make_with_ffmpeg(program, path, target, given, max_bytes=limit, name=repr(upload.filename), stop=stop)
    except MediaFormatError as error:
        raise CannotConvert(str(error)) from error
    except OSError as error:
        raise CannotConvert(f"ffmpeg cannot be run: {error.strerror or error}") from error
    copied = given.keeps_video and given.keeps_audio and limit is None
    return Made(target, f"made {_MP4} of {upload.content_type} ({streams}) by ffmpeg, {_how(copied=copied)}")


def _with_pyav(path: Path, target: Path, upload: Upload, stop: Stop, *, encode: bool) -> Made:
    streams = None if encode else inspect_with_pyav(path)
    if streams is None or not (streams.keeps_video and streams.keeps_audio):
        codecs = f" of {streams}" if streams else ""
        raise NoConverter(f"to make anew a video{codecs} takes ffmpeg, and there is none on PATH")
    remux_with_pyav(path, target, stop)
    return Made(target, f"made {_MP4} of {upload.content_type} ({streams}) by PyAV, {_how(copied=True)}")


def _how(*, copied: bool) -> str:
    return "nothing encoded anew" if copied else "encoded anew"


def _anew(streams: Streams) -> Streams:
    """Let nothing count as playable."""
    return Streams(video=streams.video, pixels="", audio=streams.audio and "?", seconds=streams.seconds)


def _on_disk(upload: Upload) -> Path:
    path = upload.workspace.file()
    try:
        path.write_bytes(upload.read())
    except OSError as error:
        raise CannotConvert(f"it cannot be put into a temporary file: {error.strerror or error}") from error
    return path
