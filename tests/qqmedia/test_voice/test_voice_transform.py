from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from voice_media import speech, wav_file

from qqmedia.errors import MediaFormatError
from qqmedia.media import MediaKind, Upload
from qqmedia.testing import memory_host
from qqmedia.voice import SilkTransform, inspect_silk


def upload(content: bytes | Path, filename: str, content_type: str = "audio/wav") -> Upload:
    return Upload(
        kind=MediaKind.VOICE,
        content_type=content_type,
        size=1,
        sha256="",
        key="",
        filename=filename,
        ttl=timedelta(hours=1),
        content=content,
    )


@pytest.mark.asyncio
async def test_a_voice_leaves_as_silk() -> None:
    transform = SilkTransform()
    assert (transform.name, transform.kinds, transform.order) == ("silk", {MediaKind.VOICE}, 100)
    try:
        made = await transform.apply(upload(wav_file(speech(0.5)), "你好.v1.wav"))
        assert made.content_type == "audio/silk"
        assert made.filename == "你好.v1.silk"
        assert made.size == len(made.read())
        assert inspect_silk(made.read()).seconds == 0.5
        assert made.notes[0].startswith("encoded to silk")
        assert await transform.apply(made) is made
        with pytest.raises(MediaFormatError, match="is text"):
            await transform.apply(upload(b"not a voice", "x.wav"))
    finally:
        await transform.aclose()


@pytest.mark.asyncio
async def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_SILK_CONVERT", "off")
    sound = wav_file(speech(0.5))
    async with memory_host() as host:
        async with host.prepare(MediaKind.VOICE, sound, filename="a.wav") as made:
            assert (made.read(), made.content_type, made.filename, made.notes) == (sound, "audio/wav", "a.wav", ())
            assert len(made.sha256) == 64
        with pytest.raises(MediaFormatError, match="the voice is application/octet-stream when it is to be sent"):
            async with host.prepare(MediaKind.VOICE, b"not a voice"):
                raise AssertionError


def test_importing_the_voice_loads_no_codec() -> None:
    code = "import sys, qqmedia.voice; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pysilk", "av", "graiax", "typer", "rich", "aiohttp", "pytest"} & set(loaded)
