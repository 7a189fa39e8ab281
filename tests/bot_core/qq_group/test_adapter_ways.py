"""Which way the adapter sends a medium, what it fetches itself, and what a bad one does."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from bot_core.chain import Chain
from bot_core.errors import PartlySentError, PayloadError, ReplyContextError, TargetError
from bot_core.message import Message
from bot_core.qq_group import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import MediaFormatError, MediaSourceError
from tests.bot_core.qq_group.conftest import Start, mp4, png, wav
from tests.bot_core.qq_group.uploading import sha256

pytestmark = pytest.mark.asyncio


async def test_bytes_go_up_where_the_platform_cannot_reach(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot_core")
    async with start(lambda data: Chain(data, at=False).image(png(side=300)), default_chain_builder="direct") as bot:
        [answer] = await sandbox.replies(await sandbox.say("picture"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png(side=300)))
    assert bot.handles[0].deliveries[0].way == "bytes"
    [line] = [one.getMessage() for one in caplog.records if "as bytes" in one.getMessage()]
    assert line.endswith("choose another driver (default_chain_builder, or QQMEDIA_DRIVER)")
    assert "public_url" not in line  # `direct` serves nothing, under whatever address


async def test_a_link_of_the_author_is_passed_on(sandbox: Sandbox, start: Start) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    async with start(lambda data: Chain(data, at=False).image(url=link), default_chain_builder="direct") as bot:
        [answer] = await sandbox.replies(await sandbox.say("link"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.url) == ("url", link)
    assert bot.handles[0].deliveries[0].url == link


@pytest.mark.parametrize("by", ["element", "options"])
async def test_a_link_can_be_fetched_here(sandbox: Sandbox, start: Start, by: str) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    options = QQGroupChainBuilderOptions(download_media=by == "options")
    download = True if by == "element" else None
    async with start(
        lambda data: Chain(data, at=False).image(url=link, download=download),
        default_chain_builder="direct",
        default_chain_builder_options=options,
    ):
        [answer] = await sandbox.replies(await sandbox.say("link"))
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png()))


async def test_a_download_has_a_limit(sandbox: Sandbox, start: Start) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    async with start(
        lambda data: Chain(data, at=False).image(url=link, download=True),
        default_chain_builder="direct",
        default_chain_builder_options=QQGroupChainBuilderOptions(media_max_bytes=10),
    ) as bot:
        await sandbox.say("link")
        assert "raise media_max_bytes" in str(await bot.error())


async def test_a_download_has_a_time_limit(sandbox: Sandbox, start: Start) -> None:
    hangs_up = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hangs_up.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        link = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
        async with start(
            lambda data: Chain(data, at=False).image(url=link, download=True),
            default_chain_builder="direct",
            default_chain_builder_options=QQGroupChainBuilderOptions(media_download_timeout=0.05),
        ) as bot:
            await sandbox.say("link")
            assert "raise media_download_timeout" in str(await bot.error())
        hangs_up.set()


async def test_a_link_to_nothing_is_an_error(sandbox: Sandbox, start: Start) -> None:
    link = f"{sandbox.api_base}/sandbox/media/nothing?sign=secret"
    async with start(lambda data: Chain(data, at=False).image(url=link, download=True)) as bot:
        await sandbox.say("link")
        error = await bot.error()
    assert isinstance(error, MediaSourceError)
    assert "404" in str(error)
    assert "secret" not in str(error)


# --- when something is wrong


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("missing.png", MediaSourceError),
        (".", MediaSourceError),
        (b"", MediaSourceError),
        (b"just text, called a picture", MediaFormatError),
        (42, MediaSourceError),
    ],
)
async def test_a_bad_medium_sends_nothing_and_the_bot_lives(
    sandbox: Sandbox, start: Start, bad: Any, error: type[Exception]
) -> None:
    def answer(data: Message) -> Chain:
        chain = Chain(data, at=False).text("before").image(png())
        return chain.image(bad) if data.text == "bad" else chain

    async with start(answer) as bot:
        said = await sandbox.say("bad")
        assert isinstance(await bot.error(), error)
        assert await sandbox.replies(await sandbox.say("good"))
        with pytest.raises(TimeoutError):
            await sandbox.replies(said, timeout=0.01)


async def test_a_message_that_failed_does_not_swallow_the_next(sandbox: Sandbox, start: Start) -> None:
    def answer(data: Message) -> Chain:
        return Chain(data, at=False).text("one").voice(wav()).text("see https://example.com").video(mp4())

    async with start(answer) as bot:
        said = await sandbox.say("all")
        error = await bot.error()
        answers = await sandbox.replies(said, 3)
    assert isinstance(error, PartlySentError)
    assert len(error.handles) == len(answers) == 3
    assert isinstance(error.errors[0], PayloadError)
    assert "3 of 4 messages were sent" in str(error)
    assert "40054010" in str(error)


async def test_after_a_hopeless_failure_the_rest_is_not_tried(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).text("one").voice(wav())) as bot:
        sandbox.faults.answer("messages", status=400, code=40054003)
        await sandbox.say("hi")
        assert isinstance(await bot.error(), TargetError)
        assert sandbox.calls["messages"] == 1


async def test_one_reply_too_many_is_refused_before_anything_is_sent(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).image([png(number) for number in range(6)])) as bot:
        await sandbox.say("six")
        assert isinstance(await bot.error(), ReplyContextError)
        assert sandbox.calls["messages"] == sandbox.calls["files"] == 0


async def test_elements_without_a_form_are_left_out_with_a_warning(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda data: Chain(data, at=False).text("hi").face(5).tag("x")):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.content == "hi"
    assert "Face, Tag" in caplog.text


async def test_an_empty_chain_sends_nothing(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: None) as bot:
        await sandbox.say("hi")
        await bot.until(lambda: bot.received)
        [message] = bot.received
        assert isinstance(message, Message)
        assert await bot.adapter.send_chain(Chain(message, at=False)) == []
    assert sandbox.calls["messages"] == 0


async def test_a_download_may_go_through_the_proxy_of_the_environment(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        content = png(3)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        async with start(
            lambda data: Chain(data).image(url="http://pictures.invalid/a.png", download=True),
            default_chain_builder="direct",
            default_chain_builder_options=QQGroupChainBuilderOptions(media_trust_env=True),
        ):
            [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.sha256 == sha256(png(3))


async def test_a_link_to_a_host_that_is_not_there_is_an_error(sandbox: Sandbox, start: Start) -> None:
    link = "http://127.0.0.1:1/a.png"
    async with start(lambda data: Chain(data).image(url=link, download=True)) as bot:
        await sandbox.say("hi")
        assert "cannot be fetched" in str(await bot.error())


async def test_bytes_of_a_plugin_go_up_in_place_of_the_picture(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    class Stamp:
        @qqmedia.hookimpl
        def get_image(self, image: bytes) -> bytes:
            return png(8) if image == png() else image

    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    async with (
        qqmedia.open_host("local", platform_on_loopback=True, plugins=[Stamp()], **local) as host,
        start(lambda data: Chain(data).image(png()), default_chain_builder=host) as bot,
    ):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png(8)))
    assert bot.handles[0].deliveries[0].way == "bytes"
