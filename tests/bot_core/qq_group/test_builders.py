"""Builders as bots bring them: classmethods, staticmethods, plain methods."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bot_core.chain import Chain
from bot_core.elements import Text
from bot_core.qq_group import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import ChainBuilder, ConfigurationError, MediaError, MediaSourceError
from tests.bot_core.qq_group.conftest import Start, mp4, png, wav
from tests.bot_core.qq_group.uploading import sha256

pytestmark = pytest.mark.asyncio

NO_SERVER = QQGroupChainBuilderOptions()


@pytest.fixture
def calls() -> list[tuple[str, Any]]:
    return []


def builders(calls: list[tuple[str, Any]], answer: Any) -> dict[str, Any]:
    """The same builder in every shape that is used in the wild."""

    class Plain(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            calls.append(("image", image))
            return answer

    class Class(ChainBuilder):
        @classmethod
        async def get_image(cls, image: str | bytes) -> str | bytes:
            calls.append(("image", image))
            return answer

    class Static(ChainBuilder):
        @staticmethod
        async def get_image(image: str | bytes) -> str | bytes:
            calls.append(("image", image))
            return answer

    class Duck:
        def get_image(self, image: str | bytes) -> str | bytes:
            calls.append(("image", image))
            return answer

        def get_voice(self, voice_file: str) -> str: ...

        def get_video(self, video_file: str) -> str: ...

    return {
        "plain": Plain(),
        "plain class": Plain,
        "classmethod": Class(),
        "classmethod class": Class,
        "staticmethod": Static(),
        "duck, not async": Duck(),
    }


SHAPES = ["plain", "plain class", "classmethod", "classmethod class", "staticmethod", "duck, not async"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_link_of_the_builder_is_what_the_platform_fetches(
    sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]], shape: str
) -> None:
    link = (await sandbox.attachment(png(9), filename="a.png"))["url"]
    builder = builders(calls, link)[shape]
    async with start(
        lambda data: Chain(data, at=False).image(png()),
        default_chain_builder=builder,
        default_chain_builder_options=NO_SERVER,
    ):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert (answer.media.url, answer.media.sha256) == (link, sha256(png(9)))
    assert calls == [("image", png())]


@pytest.mark.parametrize("answer", [None, "", b""], ids=["None", "no text", "no bytes"])
async def test_a_falsy_answer_means_unchanged(
    sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]], answer: Any
) -> None:
    builder = builders(calls, answer)["plain"]
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=builder):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert (arrived.media.way, arrived.media.sha256) == ("file_data", sha256(png()))


async def test_bytes_that_come_back_go_up(sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]]) -> None:
    builder = builders(calls, png(7))["plain"]
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=builder):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert (arrived.media.way, arrived.media.sha256) == ("file_data", sha256(png(7)))


async def test_a_path_is_read_for_get_image_and_left_alone_for_the_others(
    sandbox: Sandbox, start: Start, tmp_path: Path
) -> None:
    given: list[Any] = []

    class Notes(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            given.append(image)
            return image

        async def get_voice(self, voice_file: str) -> str | bytes:
            given.append(voice_file)
            return voice_file

        async def get_video(self, video_file: str) -> str | bytes:
            given.append(video_file)
            return video_file

    picture, voice, video = tmp_path / "a.png", tmp_path / "b.wav", tmp_path / "c.mp4"
    for path, content in ((picture, png()), (voice, wav()), (video, mp4())):
        await asyncio.to_thread(path.write_bytes, content)
    async with start(
        lambda data: Chain(data, at=False).image(str(picture)).voice(str(voice)).video(str(video)),
        default_chain_builder=Notes(),
    ):
        answers = await sandbox.replies(await sandbox.say("hi"), 3)
    assert sorted(given, key=str) == sorted([png(), str(voice), str(video)], key=str)
    types = [one.media.content_type for one in answers if one.media]
    assert types[0] == "image/png"
    assert "silk" in types[1]
    assert types[2] == "video/mp4"


async def test_the_builder_of_the_chain_wins(sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]]) -> None:
    mine = builders(calls, png(7))["plain"]

    class Adapters(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            raise AssertionError

    async with start(
        lambda data: Chain(data, at=False, chain_builder=mine).image(png()), default_chain_builder=Adapters()
    ):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert arrived.media.sha256 == sha256(png(7))
    assert len(calls) == 1


async def test_what_is_overridden_can_ask_the_base_in_every_shape() -> None:
    class Plain(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            return await super().get_image(image)

    class Class(ChainBuilder):
        @classmethod
        async def get_image(cls, image: str | bytes) -> str | bytes:
            return await super().get_image(image)

        @classmethod
        async def get_voice(cls, voice_file: str) -> str | bytes:
            return await super().get_voice(voice_file)

        @classmethod
        async def get_video(cls, video_file: str) -> str | bytes:
            return await super().get_video(video_file)

        @classmethod
        async def on_page_rendered(cls, page: object) -> None:
            await super().on_page_rendered(page)

    assert await Plain().get_image(b"1") == await Class.get_image(b"1") == await Class().get_image(b"1") == b"1"
    assert (await Class.get_voice("a.mp3"), await Class.get_video("a.mp4")) == ("a.mp3", "a.mp4")
    await Class.on_page_rendered(None)


async def test_a_class_that_cannot_be_made_is_used_as_it_is(
    sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]]
) -> None:
    class Wants(ChainBuilder):
        def __init__(self, something: str) -> None:
            raise AssertionError

        @classmethod
        async def get_image(cls, image: str | bytes) -> str | bytes:
            return png(4)

        @classmethod
        async def get_voice(cls, voice_file: str) -> str | bytes:
            return voice_file

    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=Wants):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert arrived.media.sha256 == sha256(png(4))


@pytest.mark.parametrize(
    ("given", "says"),
    [("missing.png", "missing.png"), (42, "of type int"), (io.StringIO("text"), "of type StringIO gave str")],
    ids=["missing", "number", "text file"],
)
async def test_a_picture_that_cannot_be_read_is_an_error_that_names_it(
    sandbox: Sandbox, start: Start, given: Any, says: str
) -> None:
    async with start(lambda data: Chain(data).image(given), default_chain_builder=ChainBuilder()) as bot:
        await sandbox.say("hi")
        error = await bot.error()
    assert isinstance(error, MediaSourceError)
    assert says in str(error)


def _pipe(path: Path) -> Chain:
    os.mkfifo(path)
    return Chain().image(str(path))


def _large(path: Path) -> Chain:
    with path.open("wb") as file:
        file.truncate(400_000_000)
    return Chain().image(path)


def _closed(_path: Path) -> Chain:
    file = io.BytesIO(png())
    file.close()
    return Chain().image(file)


def _text(path: Path) -> Chain:
    path.write_text("no picture at all, says everybody")
    return Chain().image(str(path))


posix = pytest.mark.skipif(sys.platform == "win32", reason="has no pipes and devices among its files")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(_pipe, "is a device or a pipe", id="pipe", marks=posix),
        pytest.param(lambda _: Chain().image("/dev/zero"), "is a device or a pipe", id="device", marks=posix),
        pytest.param(_large, "400000000 bytes, 1000000 are allowed", id="too large"),
        pytest.param(_closed, "I/O operation on closed file", id="closed"),
        pytest.param(lambda _: Chain().image(b""), "empty bytes", id="empty"),
        pytest.param(_text, "is text, by its first bytes", id="text"),
        pytest.param(lambda _: Chain().image("a\0b.png"), "embedded null", id="NUL"),
        pytest.param(lambda _: Chain().voice(png()), "is image/png, by its first bytes", id="voice"),
        pytest.param(lambda _: Chain().video(bytearray(png())), "is image/png, by its first bytes", id="video"),
    ],
)
async def test_what_cannot_be_the_medium_is_refused_before_the_builder_is_asked(
    sandbox: Sandbox, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, make: Any, says: str
) -> None:
    monkeypatch.setenv("QQMEDIA_HOST_MAX_BYTES", "1000000")
    calls: list[tuple[str, Any]] = []
    chain = await asyncio.to_thread(make, tmp_path / "cat.png")

    def answer(data: Any) -> Chain:
        chain.chain.insert(0, Text("before it"))
        chain.data = data
        return chain

    async with start(answer, default_chain_builder=builders(calls, None)["plain"]) as bot:
        await sandbox.say("hi")
        error = await bot.error()
    assert isinstance(error, MediaError)
    assert says in str(error)
    assert "for Plain: " in str(error)
    assert calls == []
    assert sandbox.calls["messages"] == 0


@pytest.mark.parametrize(
    "link", ["http://", "http://[::1", "https://me:hidden@host:99999/a.png?sign=hidden", "http:///a.png"]
)
@pytest.mark.parametrize("own_builder", [False, True])
async def test_a_link_that_is_none_sends_nothing(
    sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]], link: str, own_builder: bool
) -> None:
    def answer(data: Any) -> Chain:
        chain = Chain(data).text("before it")
        return chain.image(link) if data.text == "image" else chain.video(link)

    options = {"default_chain_builder": builders(calls, None)["plain"]} if own_builder else {}
    async with start(answer, **options) as bot:
        for kind in ("image", "video"):
            await sandbox.say(kind)
            error = await bot.error()
            assert isinstance(error, MediaSourceError)
            assert "which is no whole URL" in str(error)
            assert "hidden" not in str(error)
    assert sandbox.calls["messages"] == 0


async def test_a_binary_file_is_read(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).image(io.BytesIO(png())), default_chain_builder=ChainBuilder()):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert arrived.media.sha256 == sha256(png())


async def test_an_optional_start_is_called(sandbox: Sandbox, start: Start) -> None:
    started = []

    class Starts(ChainBuilder):
        def start(self) -> None:
            started.append(asyncio.get_running_loop())

    async with start(lambda data: Chain(data).text("hi"), default_chain_builder=Starts()):
        pass
    assert len(started) == 1


async def test_a_builder_that_raises_sends_nothing_and_the_bot_lives(sandbox: Sandbox, start: Start) -> None:
    class Broken(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            raise RuntimeError("my storage is down")

    def answer(data: Any) -> Chain:
        chain = Chain(data, at=False).text("text")
        return chain.text("x").voice(wav()).image(png()) if data.text == "bad" else chain

    async with start(answer, default_chain_builder=Broken()) as bot:
        await sandbox.say("bad")
        assert "my storage is down" in str(await bot.error())
        assert sandbox.calls["messages"] == 0
        assert await sandbox.replies(await sandbox.say("good"))


async def test_an_answer_that_cannot_be_sent_is_an_error(
    sandbox: Sandbox, start: Start, calls: list[tuple[str, Any]]
) -> None:
    builder = builders(calls, {"url": "x"})["plain"]
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=builder) as bot:
        await sandbox.say("hi")
        error = await bot.error()
    assert isinstance(error, MediaSourceError)
    assert "Plain.get_image returned dict" in str(error)


async def test_what_is_no_builder_is_an_error_that_names_what_is_missing(sandbox: Sandbox, start: Start) -> None:
    class Half:
        async def get_image(self, image: bytes) -> bytes:
            return image

    with pytest.raises(ConfigurationError, match="it has no get_voice, get_video"):
        async with start(lambda _: None, default_chain_builder=Half()):
            pass
