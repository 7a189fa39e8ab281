"""Plugins of others beside a driver: one that only answers, a driver that answers itself, one that changes pictures."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from qqmedia import Driver, DriverContext, DriverSpec, MediaKind, Upload, hookimpl
from qqmedia.testing import make_content
from tests.examples.distributions import ROOT, Environment, build_wheel, closure

WATERMARK = ROOT / "examples" / "qqmedia-watermark"
CDN = "https://cdn.example.com/known.png"
KNOWN, OTHER = make_content(2000, seed="known"), make_content(2000, seed="other")


class Answers:
    """Has no driver: it knows some pictures already, and nothing about the rest."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    @hookimpl
    async def get_image(self, image: bytes) -> str | None:
        self.asked.append(image)
        return CDN if image == KNOWN else None


class Voices:
    """A driver that hosts voices in a way of its own, and all else by `put`."""

    def __init__(self) -> None:
        self.voices: list[bytes] = []

    async def put(self, upload: Upload, /) -> str:
        return f"https://store.example.com/{upload.key}"

    async def get_voice(self, voice_file: str) -> str:
        self.voices.append(Path(voice_file).read_bytes())  # noqa: ASYNC240 - small, and the test says so
        return f"https://voices.example.com/{len(self.voices)}.silk"

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        return DriverSpec(name="voices", open=self._open)

    @asynccontextmanager
    async def _open(self, settings: Any, context: DriverContext) -> AsyncIterator[Driver]:
        yield self


@pytest.mark.asyncio
async def test_a_plugin_without_a_driver_answers_for_some_pictures_and_leaves_the_rest_to_the_driver() -> None:
    answers, voices = Answers(), Voices()
    async with qqmedia.open_host("voices", plugins=[voices, answers]) as host:
        assert await host.get_image(KNOWN) == CDN
        assert str(await host.get_image(OTHER)).startswith("https://store.example.com/")
        async with host.prepare(MediaKind.IMAGE, KNOWN) as upload:
            hosted = await host.publish(upload)
    assert answers.asked[:2] == [KNOWN, OTHER]
    assert (hosted.url, hosted.driver.startswith("Answers")) == (CDN, True)


@pytest.mark.blocking  # the driver above reads a small file
@pytest.mark.asyncio
async def test_a_driver_answers_for_voices_itself_and_gets_the_prepared_silk() -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(range(256)) * 200)
    voices = Voices()
    async with qqmedia.open_host("voices", plugins=[voices]) as host:
        assert await host.get_voice(sound.getvalue()) == "https://voices.example.com/1.silk"
        assert str(await host.get_image(OTHER)).startswith("https://store.example.com/")
    (silk,) = voices.voices
    assert silk.startswith(b"\x02#!SILK_V3")


@pytest.mark.blocking
def test_the_watermark_passes_its_own_tests_as_it_is_installed(tmp_path: Path) -> None:
    wheels = [build_wheel(ROOT), build_wheel(WATERMARK)]
    environment = Environment.new(tmp_path / "venv", wheels, closure("qqmedia[testing]", without={"qqmedia"}))
    assert "watermark\tqqmedia-watermark 1.0.0\tplugin\tno driver\n" in environment.command("qqmedia", "drivers")
    tests = WATERMARK / "tests" / "test_watermark.py"
    printed = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tests), cwd=tmp_path)
    assert "14 passed" in printed
