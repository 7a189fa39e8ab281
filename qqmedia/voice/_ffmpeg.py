"""Reads sound with an ``ffmpeg`` child, which is given one file and may open nothing else.

What keeps a hostile file harmless: the path goes in with the prefix ``file:``, so that it cannot be taken for another
protocol; only the protocol ``file`` is allowed, so that nothing is fetched; only formats that hold their sound
themselves are allowed, so that no playlist is followed; standard input is closed. Standard error goes to a file: a
damaged sound writes so much to it that a pipe would fill up and stop the child.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.voice._input import Input, on_disk
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import RATE, Collector, Pcm

__all__ = ("FORMATS", "PROMISING_FORMATS", "own_group", "read_with_ffmpeg")

# Demuxers that read one file and follow no reference to another. Playlists and manifests are the ones that do.
FORMATS: Final = (
    "mp3,aac,wav,w64,flac,ogg,mov,matroska,amr,amrnb,amrwb,asf,aiff,avi,flv,mpegts,"
    "mpeg,caf,au,ac3,eac3,ape,wv,tta"
)  # fmt: skip
# Those whose header says how long the sound is; for others the length is only guessed.
PROMISING_FORMATS: Final = frozenset({"wav", "w64", "flac", "mov", "matroska", "aiff", "caf", "au"})

_CHUNK_BYTES: Final = 64 * 1024
_REPORT_BYTES: Final = 64 * 1024

_INPUT = re.compile(r"^Input #0, (?P<format>[^,]+),", re.MULTILINE)
_DURATION = re.compile(r"^  Duration: (?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d(?:\.\d+)?)", re.MULTILINE)
_PICTURES = re.compile(r"^  Stream #0:\d.*: Video: (?!.*\(attached pic\))", re.MULTILINE)

logger = logging.getLogger("qqmedia.voice")


def read_with_ffmpeg(given: Input, options: VoiceOptions, stop: Stop) -> Pcm | None:
    """Decode to 24 kHz mono; `None` when there is no ffmpeg on PATH that can be run.

    Raises:
        MediaFormatError: It holds no sound, or cannot be decoded.
        MediaTooLargeError: It is too long.
        Abandoned: `stop` was asked.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    with on_disk(given) as path, tempfile.TemporaryFile(prefix="qqmedia-voice-") as errors:
        try:
            child = _start(program, path, errors)
        except OSError as error:
            logger.warning("%s cannot be run and is passed over: %s", program, error.strerror or error)
            return None
        collector = Collector(options, stop, given.name)
        ended = _collect(child, collector, stop)
        stop.check()
        report = _report(errors)
        if ended and child.returncode != 0:
            raise MediaFormatError(_explain(given.name, report))
        return collector.finish("ffmpeg", _promised_seconds(report))


def _start(program: str, path: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    source = [
        "-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}",
    ]  # fmt: skip
    sound = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    command = [program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", *source, *sound]
    return subprocess.Popen(  # noqa: S603 - no shell, and only the path comes from outside, behind "file:"
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, **own_group()
    )


def own_group() -> dict[str, Any]:
    """Keep Ctrl-C from the child: who started it decides when it ends."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {"process_group": 0}


def _collect(child: subprocess.Popen[bytes], collector: Collector, stop: Stop) -> bool:
    """Read until the child is done (`True`) or enough is there (`False`); no child is left in any case."""
    sound = child.stdout
    assert sound is not None  # noqa: S101 - asked for with PIPE
    try:
        stop.guard(child)
        while chunk := os.read(sound.fileno(), _CHUNK_BYTES):
            if not collector.add(chunk):
                return False
        child.wait()
        return True
    finally:
        child.kill()
        sound.close()
        child.wait()
        stop.guard(None)


def _report(errors: BinaryIO | IO[bytes]) -> str:
    """Return the beginning and the end of what ffmpeg wrote."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(0)
    text = errors.read(_REPORT_BYTES)
    if size > 2 * _REPORT_BYTES:
        errors.seek(-_REPORT_BYTES, os.SEEK_END)
    return (text + errors.read(_REPORT_BYTES)).decode(errors="replace")


def _promised_seconds(report: str) -> float | None:
    found, length = _INPUT.search(report), _DURATION.search(report)
    if found is None or length is None or found["format"] not in PROMISING_FORMATS or _PICTURES.search(report):
        return None  # beside pictures the sound may well be shorter than the file
    return int(length["h"]) * 3600 + int(length["m"]) * 60 + float(length["s"])


def _explain(what: str, report: str) -> str:
    if "matches no streams" in report:
        return f"{what} has no sound: it holds no audio stream"
    if _INPUT.search(report) is None:
        return f"{what} is not an audio or video file that can be read, or its beginning is damaged"
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    return f"{what} cannot be decoded, it is damaged or of an unknown kind; ffmpeg says: {lines[-1][:200]}"
