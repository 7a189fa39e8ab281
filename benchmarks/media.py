"""Media for the benchmarks, the same for both bots and for every run: made here, nothing is fetched."""

from __future__ import annotations

import array
import io
import math
import random
import struct
from functools import cache
from pathlib import Path

import av
from PIL import Image

__all__ = ("big_video", "picture", "voice_files")

PICTURE_BYTES = 200_000
VIDEO_BYTES = 20_000_000
VOICE_SECONDS = 5
SAMPLE_RATE = 24_000


@cache
def _picture_base() -> bytes:
    """Return a PNG just under 200 KB: noise does not compress, so its size is known."""
    noise = random.Random(1).randbytes(256 * 256 * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (256, 256), noise).save(out, "PNG")
    png = out.getvalue()
    return png + bytes(PICTURE_BYTES - len(png) - 8)  # what follows IEND is ignored by every reader


def picture(number: int) -> bytes:
    """Return a PNG of 200 KB that differs from every other number's."""
    return _picture_base() + struct.pack(">Q", number)


def voice_files(folder: Path, count: int) -> list[Path]:
    """Write `count` different mp3 files of 5 s and return their paths."""
    return [_mp3(folder / f"voice-{number}.mp3", number) for number in range(count)]


@cache
def _speech() -> bytes:
    """Return 5 s of something like speech: a voiced tone with overtones, four syllables a second."""
    samples = (
        int(9000 * sum(math.sin(2 * math.pi * 180 * n * at) / n for n in (1, 2, 3)) * abs(math.sin(4 * math.pi * at)))
        for at in (index / SAMPLE_RATE for index in range(SAMPLE_RATE * VOICE_SECONDS))
    )
    return array.array("h", samples).tobytes()


def _mp3(path: Path, number: int) -> Path:
    cut = 2 * 157 * (number + 1)
    pcm = _speech()[cut:] + _speech()[:cut]  # begins elsewhere: another voice, made quickly
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.planes[0].update(pcm)
    frame.sample_rate = SAMPLE_RATE
    with av.open(str(path), "w", format="mp3") as target:
        stream = target.add_stream("mp3", rate=SAMPLE_RATE)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=SAMPLE_RATE, frame_size=1152)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    return path


def big_video(path: Path) -> Path:
    """Write a file of 20 MB that begins as an mp4 does; nothing here looks further than its first box."""
    head = struct.pack(">I", 32) + b"ftypisom" + struct.pack(">I", 512) + b"isomiso2avc1mp41"
    rest = VIDEO_BYTES - len(head) - 8
    path.write_bytes(head + struct.pack(">I", rest + 8) + b"mdat" + random.Random(2).randbytes(rest))
    return path
