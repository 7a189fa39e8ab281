"""What was refused for its format is made anew in the one that is surely taken."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from qqmedia import MediaKind, safe_format
from qqmedia.testing import make_upload, memory_host
from qqmedia.testing._uploads import watched


def picture(name: str, mode: str = "RGB", **how: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (30, 20), (1, 2, 3, 128)[: len(mode)]).save(out, name, **how)
    return out.getvalue()


def film(path: Path) -> bytes:
    with av.open(str(path), "w", format="mp4") as made:
        pictures: Any = made.add_stream("libx264", rate=25)
        pictures.width, pictures.height = 64, 48
        made.mux(pictures.encode(av.VideoFrame(64, 48, "yuv420p")))
        made.mux(pictures.encode(None))
    return path.read_bytes()


async def safe(kind: MediaKind, content: bytes) -> bytes | None:
    async with memory_host() as host, host.prepare(kind, content) as upload:
        made = await safe_format(upload)
        return await asyncio.to_thread(made.read_bytes) if isinstance(made, Path) else made


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (picture("PNG"), "JPEG"),
        (picture("PNG", "RGBA"), "PNG"),
        (picture("GIF", save_all=True, append_images=[Image.new("RGB", (30, 20))]), "JPEG"),
    ],
    ids=["png", "see-through", "gif"],
)
async def test_a_picture_becomes_jpg_or_png(content: bytes, expected: str) -> None:
    made = await safe(MediaKind.IMAGE, content)
    assert made is not None
    with Image.open(io.BytesIO(made)) as opened:
        assert (opened.format, opened.size, getattr(opened, "n_frames", 1)) == (expected, (30, 20), 1)


@pytest.mark.asyncio
async def test_what_is_damaged_or_a_file_is_left_to_other_ways(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "qqmedia")
    assert await safe(MediaKind.IMAGE, picture("PNG")[:40]) is None
    assert "cannot be made anew" in caplog.text
    assert "damaged" in caplog.text
    assert await safe(MediaKind.FILE, b"%PDF-1.7") is None


@pytest.mark.asyncio
async def test_what_is_turned_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")
    assert await safe(MediaKind.IMAGE, picture("PNG")) is None


@pytest.mark.asyncio
async def test_a_video_is_encoded_anew_where_ffmpeg_is_there(
    ffmpeg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = await asyncio.to_thread(film, tmp_path / "film.mp4")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await safe(MediaKind.VIDEO, content) is None
    link = tmp_path / ("ffmpeg.exe" if sys.platform == "win32" else "ffmpeg")
    await asyncio.to_thread(link.hardlink_to if sys.platform == "win32" else link.symlink_to, ffmpeg)
    made = await safe(MediaKind.VIDEO, content)
    assert made is not None
    assert made[4:8] == b"ftyp"
    assert made != content


@pytest.mark.asyncio
async def test_a_voice_is_read_and_decoded_in_threads_for_heavy_work(tmp_path: Path) -> None:
    sound, path, readers = io.BytesIO(), tmp_path / "voice.silk", []
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        file.writeframes(bytes(24000))
    async with memory_host() as host, host.prepare(MediaKind.VOICE, sound.getvalue()) as upload:
        await asyncio.to_thread(path.write_bytes, upload.read())
    upload = await asyncio.to_thread(make_upload, path, kind=MediaKind.VOICE)
    made = await safe_format(watched(upload, lambda _: readers.append(threading.current_thread().name)))
    assert isinstance(made, bytes)
    assert made[:4] == b"RIFF"
    assert readers
    assert all(name.startswith("qqmedia-heavy") for name in readers)
