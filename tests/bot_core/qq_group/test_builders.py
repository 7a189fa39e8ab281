"""Builders as bots bring them: classmethods, staticmethods, plain methods; and AmiyaBot's own, subclassed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from bot_core.chain import Chain
from bot_core.elements import Text
from bot_core.qq_group import QQGroupChainBuilder, QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import ChainBuilder, ConfigurationError, MediaError, MediaKind, MediaSourceError
from tests.bot_core.qq_group.conftest import Start, mp4, png, wav

pytestmark = pytest.mark.asyncio

NO_SERVER = QQGroupChainBuilderOptions()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


# --- AmiyaBot's own builder


@pytest.fixture
def options(tmp_path: Path) -> QQGroupChainBuilderOptions:
    return QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "files"))


async def test_the_built_in_builder_serves(sandbox: Sandbox, start: Start, options: QQGroupChainBuilderOptions) -> None:
    async with start(
        lambda data: Chain(data, at=False).image(png()), default_chain_builder=QQGroupChainBuilder(options)
    ):
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
    assert arrived.media is not None
    assert (arrived.media.way, arrived.media.sha256) == ("url", sha256(png()))
    assert re.search(r"/resource/[0-9a-f]{64}\.png$", str(arrived.media.url))


async def test_a_subclass_may_name_a_tunnel(
    sandbox: Sandbox, start: Start, options: QQGroupChainBuilderOptions
) -> None:
    class Tunnel(QQGroupChainBuilder):
        @property
        def domain(self) -> str:
            return "https://media.example.com/resource"

        async def get_image(self, image: str | bytes) -> str | bytes:
            urls.append(str(await super().get_image(image)))
            return png(5)

    urls: list[str] = []
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=Tunnel(options)):
        await sandbox.replies(await sandbox.say("hi"))
    assert re.fullmatch(r"https://media\.example\.com/resource/[0-9a-f]{64}\.png", urls[0])


@pytest.mark.parametrize("first", [True, False], ids=["beside super()", "alone"])
async def test_a_subclass_may_write_files_of_its_own(
    sandbox: Sandbox, start: Start, options: QQGroupChainBuilderOptions, first: bool
) -> None:
    class Writes(QQGroupChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            if first:
                await super().get_image(image)
            path, url = self.temp_filename("png")
            assert self.file_caches[url] == path
            await asyncio.to_thread(Path(path).write_bytes, png(6))
            written.append(path)
            return url

    written: list[str] = []
    builder = Writes(options)
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=builder) as bot:
        [arrived] = await sandbox.replies(await sandbox.say("hi"))
        await bot.until(lambda: bot.handles)
    assert arrived.media is not None
    assert (arrived.media.way, arrived.media.sha256) == ("url", sha256(png(6)))
    # Once it was sent, nothing of it stays behind.
    assert builder.file_caches == {}
    assert not await asyncio.to_thread(Path(written[0]).exists)


async def test_given_to_a_chain_it_serves_for_as_long_as_that_is_sent(
    sandbox: Sandbox, start: Start, options: QQGroupChainBuilderOptions
) -> None:
    builder = QQGroupChainBuilder(options)
    async with start(
        lambda data: Chain(data, at=False, chain_builder=builder).image([png(1), png(2)]),
        default_chain_builder="direct",
    ) as bot:
        said = [await sandbox.say("hi", group=f"g{number}") for number in range(4)]
        answers = [answer for one in said for answer in await sandbox.replies(one, 2)]
        await bot.until(lambda: len(bot.handles) == 8)
        assert {one.media.way for one in answers if one.media} == {"url"}
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectionError):
                await http.get(str(answers[0].media.url if answers[0].media else ""))


async def test_where_the_platform_cannot_reach_it_the_medium_itself_is_sent(
    options: QQGroupChainBuilderOptions,
) -> None:
    class Writes(QQGroupChainBuilder):
        async def get_voice(self, voice_file: str) -> str | bytes:
            path, url = self.temp_filename("silk")
            await asyncio.to_thread(Path(path).write_bytes, b"silk")
            return url

    builder = Writes(options)
    async with builder.opened(platform_on_loopback=False):
        url = await builder.get_image(png())
        assert await builder.settle(MediaKind.IMAGE, url, png()) == png()
        voice = await builder.get_voice("a.mp3")
        assert await builder.settle(MediaKind.VOICE, voice, "a.mp3") == Path(builder.file_caches[str(voice)])
        elsewhere = "https://example.com/a.png"
        assert await builder.settle(MediaKind.IMAGE, elsewhere, png()) == elsewhere


async def test_alone_it_opens_when_it_is_used_and_closes_when_told(options: QQGroupChainBuilderOptions) -> None:
    builder = QQGroupChainBuilder(options)
    try:
        url = str(await builder.get_image(png()))
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert await response.read() == png()
        assert builder.domain == url.rsplit("/", 1)[0]
        assert await builder.get_image("https://example.com/a.png") == "https://example.com/a.png"
    finally:
        await builder.close()
    await builder.close()


@pytest.mark.parametrize(
    ("given", "domain"),
    [
        (QQGroupChainBuilderOptions("10.1.2.3", 9000), "http://10.1.2.3:9000/resource"),
        (QQGroupChainBuilderOptions(public_url="https://m.example.com/"), "https://m.example.com/resource"),
        (
            QQGroupChainBuilderOptions("::1", 80, http_server_options={"uvicorn_options": {"ssl_certfile": "c"}}),
            "https://[::1]:80/resource",
        ),
    ],
)
async def test_the_domain_follows_the_options(given: QQGroupChainBuilderOptions, domain: str) -> None:
    assert QQGroupChainBuilder(given).domain == domain


@pytest.mark.parametrize(
    ("given", "domain"),
    [
        (QQGroupChainBuilderOptions("10.1.2.3"), "http://10.1.2.3:9001/resource"),
        (QQGroupChainBuilderOptions("10.1.2.3", 9000), "http://10.1.2.3:9000/resource"),
        (
            QQGroupChainBuilderOptions("10.1.2.3", http_server_options=SimpleNamespace(ssl_certfile="c")),
            "https://10.1.2.3:9001/resource",
        ),
        (
            QQGroupChainBuilderOptions("10.1.2.3", server_config={"title": "about ssl_certfile"}),
            "http://10.1.2.3:9001/resource",
        ),
    ],
)
async def test_the_domain_follows_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, given: QQGroupChainBuilderOptions, domain: str
) -> None:
    monkeypatch.setenv("QQMEDIA_LOCAL_PORT", "9001")
    assert QQGroupChainBuilder(given).domain == domain
    monkeypatch.setenv("QQMEDIA_LOCAL_PUBLIC_URL", "https://m.example.com")
    assert QQGroupChainBuilder(given).domain == "https://m.example.com/resource"


async def test_the_domain_is_known_before_the_first_picture(
    sandbox: Sandbox, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("QQMEDIA_LOCAL_PORT", str(unused_tcp_port))

    class Notes(QQGroupChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            before = self.domain
            url = await super().get_image(image)
            known.append((before, str(url).rpartition("/")[0]))
            return url

    known: list[tuple[str, str]] = []
    builder = Notes(QQGroupChainBuilderOptions(resource_path=tmp_path / "served"))
    async with start(lambda data: Chain(data, at=False).image(png()), default_chain_builder=builder):
        await sandbox.replies(await sandbox.say("hi"))
    [(before, after)] = known
    assert before == after == f"http://127.0.0.1:{unused_tcp_port}/resource"


async def test_the_default_domain_is_an_address_of_this_machine() -> None:
    assert re.fullmatch(r"http://[0-9.]+:8086/resource", QQGroupChainBuilder(QQGroupChainBuilderOptions()).domain)


@pytest.mark.parametrize("answer", [b"\x89PNG\r\n\x1a\nof the plugin", "https://pictures.example/a.png"])
async def test_what_a_plugin_answers_is_what_the_builder_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | str
) -> None:
    def install() -> None:
        info = tmp_path / "answering-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: answering\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[qqmedia]\nanswering = answering_plugin\n")
        source = f"import qqmedia\n\n@qqmedia.hookimpl\ndef get_image(image):\n    return {answer!r}\n"
        (tmp_path / "answering_plugin.py").write_text(source)

    await asyncio.to_thread(install)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "answering_plugin", raising=False)

    class Tunnel(QQGroupChainBuilder):
        @property
        def domain(self) -> str:
            return "https://tunnel.example/resource"

    builder = Tunnel(QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "resource")))
    try:
        assert await builder.get_image(png()) == answer
    finally:
        await builder.close()


@pytest.mark.parametrize("name", ["http_server_options", "server_config"])
async def test_the_password_of_the_key_is_in_no_repr(name: str) -> None:
    options = QQGroupChainBuilderOptions(**{name: {"ssl_keyfile_password": "geheim"}})
    assert options.server_settings()["http_server_options"] == {"ssl_keyfile_password": "geheim"}
    assert "geheim" not in f"{options!r} {QQGroupChainBuilder(options)!r}"
