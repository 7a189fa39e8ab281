"""Makes videos with an ``ffmpeg`` child; `qqmedia.voice._ffmpeg` says what keeps a hostile file harmless."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.videos._streams import Streams
from qqmedia.voice._ffmpeg import FORMATS, own_group

__all__ = ("find_ffmpeg", "inspect_with_ffmpeg", "make_with_ffmpeg")

_NICE: Final = 10  # replies come first
_REPORT_BYTES: Final = 64 * 1024
_TELL_SECONDS: Final = 10.0  # between two lines about progress
# Larger pictures are nothing but bytes on a phone.
_SCALE: Final = "scale='min(iw,1920)':'min(ih,1920)':force_original_aspect_ratio=decrease:force_divisible_by=2"
_QUALITY: Final = "23"  # x264's own default: few see a difference
_AUDIO_BITS: Final = 96_000
# Below this a video is a mosaic: better a file card of the original.
_LEAST_VIDEO_BITS: Final = 150_000
# Encoders overshoot, and the container wants its share.
_BUDGET_SHARE: Final = 0.92

_DURATION = re.compile(r"^  Duration: (?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d(?:\.\d+)?)", re.MULTILINE)
_VIDEO = re.compile(r"^  Stream #0:\d.*?: Video: (?P<codec>\w+)(?P<rest>(?!.*\(attached pic\)).*)", re.MULTILINE)
_AUDIO = re.compile(r"^  Stream #0:\d.*?: Audio: (?P<codec>\w+)", re.MULTILINE)
_PIXELS = re.compile(r", (?P<pixels>(?:yuv|rgb|gbr|bgr|gray|pal|nv|p0|ya)\w*)")

logger = logging.getLogger("qqmedia.videos")


def find_ffmpeg() -> str | None:
    """Return the program, or `None` when there is none on PATH."""
    return shutil.which("ffmpeg")


def inspect_with_ffmpeg(program: str, path: Path, stop: Stop) -> Streams:
    """Return what ffmpeg sees in the file.

    Raises:
        MediaFormatError: It is not a video that can be read.
        OSError: The program cannot be run.
        Abandoned: `stop` was asked.
    """
    _, report = _run([program, *_input(path)], stop, _ignore)
    video, audio, length = _VIDEO.search(report), _AUDIO.search(report), _DURATION.search(report)
    if video is None and audio is None:
        raise MediaFormatError(f"ffmpeg cannot read it: {_last_line(report)}")
    pixels = _PIXELS.search(video["rest"]) if video else None
    return Streams(
        video=video["codec"] if video else None,
        pixels=pixels["pixels"] if pixels else "",
        audio=audio["codec"] if audio else None,
        seconds=int(length["h"]) * 3600 + int(length["m"]) * 60 + float(length["s"]) if length else None,
    )


def make_with_ffmpeg(
    program: str, path: Path, target: Path, streams: Streams, *, max_bytes: int | None, name: str, stop: Stop
) -> None:
    """Write the video as MP4; what phones play is copied, unless it has to become smaller.

    Args:
        program: The ffmpeg.
        path: The video.
        target: Where to write.
        streams: What is in it.
        max_bytes: To be encoded anew so that it has no more; `None`: it only needs another container or codec.
        name: For the log.
        stop: Ends it.

    Raises:
        MediaFormatError: ffmpeg cannot do it; the text says why.
        OSError: The program cannot be run.
        Abandoned: `stop` was asked.
    """
    video = ["-c:v", "copy"] if streams.keeps_video and max_bytes is None else _smaller(streams, max_bytes)
    audio = ["-c:a", "copy"] if streams.keeps_audio else ["-c:a", "aac", "-ac", "2", "-b:a", str(_AUDIO_BITS)]
    if max_bytes is not None:
        audio = ["-c:a", "aac", "-ac", "2", "-b:a", str(_AUDIO_BITS)]
    chosen = ["-map", "0:V:0", "-map", "0:a:0?", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
    output = ["-movflags", "+faststart", "-progress", "pipe:1", "-f", "mp4", f"file:{target}"]
    code, report = _run([program, *_input(path), *chosen, *video, *audio, *output], stop, _Progress(name, streams))
    if code != 0:
        raise MediaFormatError(f"ffmpeg cannot make it an mp4: {_last_line(report)}")


def _input(path: Path) -> list[str]:
    return [
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", "-y",
        "-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}",
    ]  # fmt: skip


def _smaller(streams: Streams, max_bytes: int | None) -> list[str]:
    limit: list[str] = []
    if max_bytes is not None:
        if not streams.seconds:
            raise MediaFormatError("it does not say how long it is, so nobody can tell how small it would become")
        bits = int(max_bytes * 8 * _BUDGET_SHARE / streams.seconds) - _AUDIO_BITS
        if bits < _LEAST_VIDEO_BITS:
            raise MediaFormatError(f"it is {streams.seconds:.0f} s long, which does not fit into {max_bytes} bytes")
        limit = ["-maxrate", str(bits), "-bufsize", str(bits)]
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", _QUALITY, *limit, "-vf", _SCALE, "-pix_fmt", "yuv420p"]


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, name: str, streams: Streams) -> None:
        self._name = name
        self._seconds = streams.seconds
        self._tell_at = time.monotonic() + _TELL_SECONDS

    def __call__(self, line: str) -> None:
        key, _, value = line.strip().partition("=")
        if key != "out_time_us" or not value.isdigit() or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + _TELL_SECONDS
        seconds = int(value) / 1_000_000
        share = f" of {self._seconds:.0f} s ({seconds / self._seconds:.0%})" if self._seconds else " s"
        logger.info("video %s: %.0f%s converted", self._name, seconds, share)


def _ignore(_line: str) -> None:
    pass


def _run(command: list[str], stop: Stop, heard: Callable[[str], None]) -> tuple[int, str]:
    """Run it to its end; return its exit code and what it reported."""
    with tempfile.TemporaryFile(prefix="qqmedia-video-") as errors:
        with _child(command, errors, stop) as child:
            for line in _lines(child):
                heard(line)
            code = child.wait()
        stop.check()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _REPORT_BYTES))
        return code, errors.read().decode(errors="replace")


@contextmanager
def _child(command: list[str], errors: IO[bytes], stop: Stop) -> Iterator[subprocess.Popen[bytes]]:
    """Start it; no child is left when the block ends."""
    stop.check()
    child = subprocess.Popen(  # noqa: S603 - no shell, and only the path comes from outside, behind "file:"
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, **own_group()
    )
    try:
        stop.guard(child)
        _lower_priority(child)
        yield child
    finally:
        child.kill()
        if child.stdout is not None:
            child.stdout.close()
        child.wait()
        stop.guard(None)


def _lines(child: subprocess.Popen[bytes]) -> Iterable[str]:
    return (line.decode(errors="replace") for line in child.stdout or ())


def _lower_priority(child: subprocess.Popen[bytes]) -> None:
    if sys.platform != "win32":
        try:
            os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
        except OSError as error:  # it has ended already, or a container forbids it
            logger.debug("ffmpeg keeps its priority: %s", error.strerror)


def _last_line(report: str) -> str:
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it says nothing"
