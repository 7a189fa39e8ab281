"""The life of an adapter: opening, closing, starting again, the hosts and ports that it shares."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from bot_core.chain import Chain
from bot_core.errors import AuthenticationError, BotError
from bot_core.message import Event, Message
from bot_core.qq_group import QQGroupChainBuilderOptions, qq_group
from bot_core.sandbox import Sandbox, SandboxAccount, SandboxOptions
from qqmedia import ConfigurationError, DriverNotFoundError
from tests.bot_core.qq_group.conftest import Start, png, running

pytestmark = pytest.mark.asyncio


async def test_before_it_is_started_nothing_is_sent() -> None:
    adapter = qq_group("secret")("1020", "")
    with pytest.raises(BotError, match="not started"):
        await adapter.send_message(Chain().text("x"), channel_id="G")
    with pytest.raises(BotError, match="not started"):
        _ = adapter.api


async def test_after_it_was_closed_it_says_so(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).text("x")) as bot:
        await sandbox.say("hi")
        await bot.until(lambda: bot.received)
    for call in (
        bot.adapter.send_message(Chain().text("x"), channel_id="G"),
        bot.adapter.send_chain(Chain(bot.received[0]).text("x")),
    ):
        with pytest.raises(BotError, match="bot 1020 was closed, and reaches the platform no more"):
            await call
    with pytest.raises(BotError, match="was closed"):
        _ = bot.adapter.api


async def test_calls_made_while_it_opens_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    opening = asyncio.Event()

    async def send() -> None:
        await opening.wait()
        await adapter.send_message(Chain().text("early"), channel_id="G1")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(send())
        await asyncio.sleep(0)
        opening.set()
        async with adapter.open():
            await task
    assert (await sandbox.next_arrival()).content == "early"


async def test_it_can_be_started_again_after_it_ended(sandbox: Sandbox, tmp_path: Path) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    adapter = qq_group("secret", None, options, api_base=sandbox.api_base)("1020", "")
    for _ in range(2):
        async with running(adapter, lambda data: Chain(data).image(png()), sandbox):
            assert await sandbox.replies(await sandbox.say("hi"))


async def test_stopping_before_listening_is_no_error(sandbox: Sandbox) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    adapter.stop()
    async with adapter.open():
        adapter.stop()
        await adapter.listen(_never)


async def _never(_: Message | Event) -> None:
    raise AssertionError


async def test_a_wrong_secret_is_an_error_of_listen() -> None:
    accounts = (SandboxAccount(appid="1020", secret="right"),)
    async with Sandbox.open(SandboxOptions(accounts=accounts)) as sandbox:
        adapter = qq_group("wrong", "direct", api_base=sandbox.api_base)("1020", "")
        async with adapter.open():
            with pytest.raises(AuthenticationError):
                await adapter.listen(_never)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"default_chain_builder": "nowhere"}, DriverNotFoundError),
        ({"default_chain_builder": object()}, ConfigurationError),
        ({"default_chain_builder": ["direct", 5]}, ConfigurationError),
        ({"api_base": "not a url"}, ConfigurationError),
    ],
)
async def test_wrong_settings_show_when_it_opens(settings: dict[str, Any], error: type[Exception]) -> None:
    adapter = qq_group("secret", **settings)("1020", "")
    with pytest.raises(error):
        async with adapter.open():
            pass


async def test_two_bots_share_one_port_and_one_may_go(
    sandbox: Sandbox, start: Start, unused_tcp_port: int, tmp_path: Path
) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", unused_tcp_port, str(tmp_path / "shared"))
    async with start(lambda data: Chain(data).image(png(1)), "1", default_chain_builder_options=options):
        async with start(lambda data: Chain(data).image(png(2)), "2", default_chain_builder_options=options):
            for appid in ("1", "2"):
                [answer] = await sandbox.replies(await sandbox.say("hi", appid=appid))
                assert answer.media is not None
                assert f":{unused_tcp_port}/resource/" in str(answer.media.url)
        [answer] = await sandbox.replies(await sandbox.say("still", group="other", private=False, appid="1"))
        assert answer.media is not None


async def test_a_host_that_was_given_open_stays_open(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    async with qqmedia.open_host("local", platform_on_loopback=True, **local) as host:
        async with start(lambda data: Chain(data).image(png()), default_chain_builder=host):
            [answer] = await sandbox.replies(await sandbox.say("hi"))
            assert answer.media is not None
            assert answer.media.way == "url"
        assert str(await host.get_image(png())).startswith("http")


async def test_a_host_that_nobody_opened_opens_with_the_bot(
    sandbox: Sandbox, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody has to tell it that the platform is on this machine, too."""
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    host = qqmedia.open_host("local", **local)
    async with start(lambda data: Chain(data).image(png()), default_chain_builder=host):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        assert answer.media is not None
        assert answer.media.way == "url"
        assert "as bytes" not in caplog.text
    await host.aclose()


async def test_drivers_are_tried_in_their_order(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QQMEDIA_LOCAL_PORT", "0")
    monkeypatch.setenv("QQMEDIA_LOCAL_HOST", "127.0.0.1")
    async with start(
        lambda data: Chain(data).image(png()),
        default_chain_builder=["local", "direct"],
        default_chain_builder_options=QQGroupChainBuilderOptions(),
    ):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.way == "url"


async def test_options_of_the_server_reach_it_beside_other_drivers_too(
    sandbox: Sandbox, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda data: Chain(data).image(png()), default_chain_builder=["local", "direct"]):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        assert await asyncio.to_thread((tmp_path / "resource").is_dir)
    assert answer.media is not None
    assert answer.media.way == "url"
    assert "means nothing" not in caplog.text


async def test_the_environment_names_the_driver(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QQMEDIA_DRIVER", "direct")
    async with start(lambda data: Chain(data).image(png())):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.way == "file_data"
    # The options of the server that were given have no use then.
    assert "host, port, resource_path means nothing beside the driver direct" in caplog.text


async def test_a_private_address_is_told_once_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    async with qq_group("secret", default_chain_builder_options=options)("1020", "").open():
        [line] = [one for one in caplog.records if one.name == "bot_core.qq_group"]
    assert line.levelno == logging.INFO
    assert "media go to the platform as bytes" in line.getMessage()
    assert "QQMEDIA_LOCAL_PUBLIC_URL" in line.getMessage()


async def test_a_port_that_is_taken_is_one_warning_without_other_advice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    with socket.socket() as other:
        if os.name != "nt":  # what a program before us left on the port must not count; there it means something else
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("0.0.0.0", 8086))
        except OSError:
            pytest.skip("another program has the port, and may give it back at any moment")
        other.listen()
        async with qq_group("secret")("1020", "").open():
            pass
    said = [one.getMessage() for one in caplog.records if one.name.startswith(("bot_core", "qqmedia"))]
    assert len(said) == 1
    assert "port 8086 is taken" in said[0]


async def test_a_public_address_needs_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    monkeypatch.setenv("QQMEDIA_LOCAL_PUBLIC_URL", "https://media.example.com")
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    async with qq_group("secret", default_chain_builder_options=options)("1020", "").open():
        assert [one for one in caplog.records if one.name == "bot_core.qq_group"] == []


async def test_everything_goes_through_the_proxy() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        adapter = qq_group("secret", "direct", api_base="http://platform.invalid", proxy=address)("1020", "")
        async with adapter.open():
            with pytest.raises(BotError):
                await adapter.api.get_me()
    assert (await asked.get()).startswith(b"POST http://platform.invalid/app/getAppAccessToken")


async def test_a_bot_whose_name_is_not_told_works_without(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox.open(SandboxOptions(bot_name="")) as nameless:
        nameless.faults.answer("me", status=500)
        adapter = qq_group("secret", "direct", api_base=nameless.api_base)("1020", "")
        async with running(adapter, lambda data: Chain(data).text("hi"), nameless):
            assert await nameless.replies(await nameless.say("hi"))
    assert adapter.bot_name == ""
    assert "the name of bot 1020 is not known" in caplog.text


async def test_starting_twice_is_an_error(sandbox: Sandbox) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    async with adapter.open():
        with pytest.raises(BotError, match="started already"):
            async with adapter.open():
                pass


async def test_two_shards_of_one_bot_each_answer(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "shared"))
    shards = [{"shard_index": index, "shards": 2, "default_chain_builder_options": options} for index in (0, 1)]
    async with (
        start(lambda data: Chain(data, at=False).text("zero").image(png()), **shards[0]),
        start(lambda data: Chain(data, at=False).text("one").image(png()), **shards[1]),
    ):
        for index, content in enumerate(("zero", "one")):
            [answer] = await sandbox.replies(await sandbox.say("who?", shard=index))
            assert answer.content == content
            assert answer.media is not None
