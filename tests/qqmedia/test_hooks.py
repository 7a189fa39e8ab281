"""Hooks that answer in the place of a host, and those that name its objects."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qqmedia import (
    DriverBrokenError,
    HostPolicy,
    MediaFormatError,
    MediaKind,
    MediaTooLargeError,
    StorageUnavailableError,
    Upload,
    hookimpl,
)
from qqmedia.testing import MemoryDriver, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


class Answering(MemoryDriver):
    """A driver that answers for pictures itself, whatever it calls the argument."""

    async def get_image(self, data: bytes) -> str | None:
        return "https://own.example/cat" if data.endswith(b"mine") else None


class First:
    @hookimpl(trylast=True)
    def get_image(self, image: bytes) -> str | bytes | None:
        answers: dict[bytes, str | bytes] = {
            b"u": "https://hook.example/", b"b": PNG + b"watermark", b"x": "no url"
        }  # fmt: skip
        return answers.get(image[-1:])


@pytest.mark.asyncio
async def test_hooks_answer_one_at_a_time_and_the_driver_is_last() -> None:
    driver = Answering()
    async with memory_host(driver, plugins=[First()]) as host:
        assert await host.get_image(PNG + b"mine") == "https://own.example/cat"
        assert await host.get_image(PNG + b"u") == "https://hook.example/"
        assert await host.get_image(PNG + b"b") == PNG + b"watermark"
        assert driver.puts == []
        assert str(await host.get_image(PNG)).startswith("http://127.0.0.1")
        async with host.prepare(MediaKind.IMAGE, PNG + b"b") as upload:
            hosted = await host.publish(upload)
            assert (hosted.url, hosted.upload.read()) == (None, PNG + b"watermark")
            assert hosted.upload.sha256 != upload.sha256
            assert hosted.driver.startswith("First")
        with pytest.raises(DriverBrokenError, match="'First#2' answered get_image with 'no url'"):
            await host.get_image(PNG + b"x")


class Bad:
    @hookimpl
    def get_image(self, image: bytes) -> bytes:
        return b"text" if image.endswith(b"1") else PNG + b"0" * 300


@pytest.mark.asyncio
async def test_bytes_of_a_hook_are_judged_like_any_others(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    await asyncio.to_thread(path.write_bytes, PNG + b"1")
    async with memory_host(plugins=[Bad()], policy=HostPolicy(max_bytes=200)) as host:
        with pytest.raises(MediaFormatError, match=r"is application/octet-stream .*answered by Bad"):
            await host.get_image(path)
        with pytest.raises(MediaTooLargeError, match="answered by Bad"):
            await host.get_image(PNG)


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    async def get_image(self, image: bytes) -> None:
        raise self.error


@pytest.mark.asyncio
async def test_what_a_hook_raises_is_told_with_its_name_and_errors_of_ours_stay_as_they_are() -> None:
    with pytest.raises(DriverBrokenError, match=r"plugin 'Failing#2' failed in get_image: KeyError: 'id'") as caught:
        async with memory_host(plugins=[Failing(KeyError("id"))]) as host:
            await host.get_image(PNG)
    assert isinstance(caught.value.__cause__, KeyError)
    ours = StorageUnavailableError("down")
    with pytest.raises(StorageUnavailableError) as other:
        async with memory_host(plugins=[Failing(ours)]) as host:
            await host.get_image(PNG)
    assert other.value is ours


class Paths:
    """A plugin that only looks."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    async def get_video(self, video_file: str) -> None:
        self.seen.append(video_file)


@pytest.mark.asyncio
async def test_a_hook_gets_a_video_as_a_path_that_is_gone_afterwards() -> None:
    plugin = Paths()
    async with memory_host(plugins=[plugin]) as host:
        await host.get_video(b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 200)
    (path,) = plugin.seen
    assert path.endswith(".mp4")
    assert not await asyncio.to_thread(Path(path).exists)


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["../up", "a//b", "/a", "sp ace", "x" * 201, "", 7, "chinesisch/图"])
async def test_a_key_of_a_plugin_must_keep_to_the_rule(key: Any) -> None:
    class Naming:
        @hookimpl
        def qqmedia_object_key(self, upload: Upload) -> Any:
            assert upload.key == ""
            return key

    async with memory_host(plugins=[Naming()]) as host:
        with pytest.raises(DriverBrokenError, match="qqmedia_object_key gave"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_a_key_of_a_plugin_is_used() -> None:
    class Naming:
        @hookimpl
        def qqmedia_object_key(self, upload: Upload) -> str:
            return f"pics/{upload.sha256}"

    async with memory_host(plugins=[Naming()]) as host, host.prepare(MediaKind.IMAGE, PNG) as upload:
        assert upload.key == f"pics/{upload.sha256}"
