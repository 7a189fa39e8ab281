"""Prints how long each audio format takes to become silk, and whether it is still the same sound.

Run it as ``python benchmarks/voice_formats.py``: one sound of two seconds in every format of the tests, through ffmpeg,
PyAV and the built-in WAV reader. ``ratio`` is the loudness of the voice, decoded again, over that of the file.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from array import array
from pathlib import Path

import imageio_ffmpeg
from rich.console import Console
from rich.table import Table

from qqmedia.errors import MediaError
from qqmedia.voice import SilkEncoder, decode_silk

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "qqmedia" / "test_voice"))

import voice_media

ROUNDS = 5


async def measure(path: Path, original: array[int]) -> tuple[str, str, str]:
    """Return milliseconds, seconds and loudness ratio, as text."""
    times = []
    for _ in range(ROUNDS):
        async with SilkEncoder() as encoder:  # a new one each time: it would remember the voice
            began = time.perf_counter()
            try:
                voice = await encoder.encode(path)
            except MediaError:
                return "-", "-", "-"
            times.append((time.perf_counter() - began) * 1000)
    sound = voice_media.samples_of(await decode_silk(voice.data))
    ratio = voice_media.loudness(sound) / voice_media.loudness(original)
    return f"{statistics.median(times):.0f}", f"{voice.info.seconds:.2f}", f"{ratio:.3f}"


async def fill(table: Table, media: dict[str, Path], ffmpeg: Path) -> None:
    """Measure every format in every way."""
    av = sys.modules.get("av")
    for name, path in media.items():
        original = voice_media.reference(ffmpeg, path)
        cells: list[str] = []
        for search_path, module in ((ffmpeg.parent, None), ("", av), ("", None)):
            os.environ["PATH"] = str(search_path)
            sys.modules["av"] = module  # type: ignore[assignment]  # None means: not installed
            cells += await measure(path, original)
        table.add_row(name, f"{len(original) / voice_media.RATE:.2f}", *cells)


def main() -> None:
    """Print the table."""
    import av  # noqa: F401, PLC0415 - before it is taken away for the other ways

    table = Table()
    table.add_column("format", no_wrap=True)
    table.add_column("seconds", justify="right")
    for way in ("ffmpeg", "PyAV", "alone"):
        for value in ("ms", "s", "ratio"):
            table.add_column(f"{way} {value}", justify="right")
    with tempfile.TemporaryDirectory() as folder:
        ffmpeg = Path(folder) / "bin" / "ffmpeg"
        ffmpeg.parent.mkdir()
        ffmpeg.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
        asyncio.run(fill(table, voice_media.make_all(ffmpeg, Path(folder)), ffmpeg))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
