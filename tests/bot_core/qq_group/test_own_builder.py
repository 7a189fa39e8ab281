"""`QQGroupChainBuilder`, which bots subclass: what it serves, where, and for how long."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from bot_core.chain import Chain
from bot_core.qq_group import QQGroupChainBuilder, QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import MediaKind
from tests.bot_core.qq_group.conftest import Start, png
from tests.bot_core.qq_group.uploading import sha256

pytestmark = pytest.mark.asyncio

# Whoever asks for `domain` before the server is open reads the settings there and then, and loads this: not in a loop.
importlib.import_module("pydantic_settings")


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
