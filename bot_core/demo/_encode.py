"""Writes mp3 and mp4: with PyAV (extra ``voice``) or, where that is missing, with an ffmpeg on PATH."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from PIL import Image

from qqmedia import ConfigurationError

__all__ = ("check_encoder", "write_mp3", "write_mp4")

# Below 256 kbit/s LAME turns the sound down by a few per cent, and the demo compares loudness.
_MP3_BITS_A_SECOND: Final = 256_000
_FFMPEG_SECONDS: Final = 60  # it needs one; a hanging one must not hang the demo

# What QQ shows on every phone: H.264, and where an ffmpeg was built without x264, MPEG-4 part 2.
_VIDEO_CODECS: Final = ("libx264", "mpeg4")


def check_encoder() -> None:
    """Say what to install where nothing can write mp3 and mp4.

    Raises:
        ConfigurationError: Neither PyAV nor ffmpeg is there.
    """
    if not _has_pyav() and _ffmpeg() is None:
        raise ConfigurationError(
            "the demo makes an mp3 and an mp4 and needs PyAV or ffmpeg for it: "
            'pip install "qqmedia[voice]", or install ffmpeg'
        )


def write_mp3(wav: Path, mp3: Path) -> None:
    """Encode the sound in `wav`."""
    if _has_pyav():
        _write_mp3_by_pyav(wav, mp3)
    else:
        _run_ffmpeg("-i", f"file:{wav}", "-b:a", str(_MP3_BITS_A_SECOND), f"file:{mp3}")


def write_mp4(frames: Sequence[Image.Image], frames_a_second: int, mp4: Path) -> None:
    """Encode the pictures, all of one even size, as a film."""
    if _has_pyav():
        _write_mp4_by_pyav(frames, frames_a_second, mp4)
        return
    width, height = frames[0].size
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(frames_a_second), "-i", "-")
    film = ("-pix_fmt", "yuv420p", "-movflags", "+faststart", f"file:{mp4}")
    _run_ffmpeg(*raw, *film, stdin=b"".join(frame.convert("RGB").tobytes() for frame in frames))


def _has_pyav() -> bool:
    return importlib.util.find_spec("av") is not None


def _ffmpeg() -> str | None:
    return shutil.which("ffmpeg")


def _write_mp3_by_pyav(wav: Path, mp3: Path) -> None:
    import av  # noqa: PLC0415 - an extra

    with av.open(str(wav)) as source, av.open(str(mp3), "w", format="mp3") as target:
        rate = source.streams.audio[0].rate
        stream = target.add_stream("libmp3lame", rate=rate)
        stream.bit_rate = _MP3_BITS_A_SECOND
        resampler = av.AudioResampler(format="s16p", layout=source.streams.audio[0].layout, rate=rate)
        for frame in source.decode(audio=0):
            for ready in resampler.resample(frame):
                target.mux(stream.encode(ready))
        target.mux(stream.encode(None))


def _write_mp4_by_pyav(frames: Sequence[Image.Image], frames_a_second: int, mp4: Path) -> None:
    import av  # noqa: PLC0415 - an extra

    with av.open(str(mp4), "w", format="mp4", options={"movflags": "+faststart"}) as target:
        codec = next(name for name in _VIDEO_CODECS if name in av.codecs_available)
        stream = target.add_stream(codec, rate=frames_a_second)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = number, Fraction(1, frames_a_second)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def _run_ffmpeg(*arguments: str, stdin: bytes = b"") -> None:
    program = _ffmpeg()
    if program is None:
        check_encoder()
        return
    command = [program, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=_FFMPEG_SECONDS)  # noqa: S603
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(f"{program} could not make the demo's media: {said[-1] if said else done.returncode}")
