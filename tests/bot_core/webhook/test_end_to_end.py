"""A whole bot, and a platform that calls it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bot_core import AmiyaBot, Chain, Event, Message, QQGroupChainBuilderOptions, WebhookOptions, qq_group
from bot_core.errors import AuthenticationError, SandboxError
from bot_core.sandbox import Sandbox, SandboxAccount, SandboxOptions
from qqmedia import ConfigurationError
from tests.fakes.tls import make_private_ca

pytestmark = pytest.mark.asyncio

ACCOUNTS = (SandboxAccount(appid="1020", secret="first"), SandboxAccount(appid="1021", secret="second"))


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(SandboxOptions(accounts=ACCOUNTS)) as opened:
        yield opened


class Running:
    """A bot that answers `hello` and presses, and what it got."""

    def __init__(self, bot: AmiyaBot) -> None:
        self.bot = bot
        self.events: list[Event] = []
        self.heard: list[str] = []
        self.pressed = asyncio.Event()


@asynccontextmanager
async def running(
    sandbox: Sandbox, tmp_path: Path, port: int, account: int = 0, **settings: Any
) -> AsyncIterator[Running]:
    settings.setdefault("receive", "webhook")
    settings.setdefault("webhook", WebhookOptions("127.0.0.1", port))
    appid, secret = ACCOUNTS[account].appid, ACCOUNTS[account].secret
    media = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / f"media {account}"))
    adapter = qq_group(secret, default_chain_builder_options=media, api_base=sandbox.api_base, **settings)
    bot = AmiyaBot(appid=appid, token="", adapter=adapter)
    found = Running(bot)

    @bot.on_message(keywords="hello", allow_direct=True)
    async def answer(data: Message) -> Chain:
        found.heard.append(data.message_id)
        return Chain(data, at=False).text(f"{appid} heard {data.text}")

    @bot.on_event("INTERACTION_CREATE")
    async def press(event: Event, _: Any) -> None:
        found.events.append(event)
        found.pressed.set()

    task = asyncio.create_task(bot.start(), name="bot under test")
    try:
        await live(bot)
        yield found
    finally:
        await bot.close()
        await task


async def live(bot: AmiyaBot) -> None:
    """Wait until the bot receives on every way."""
    async with asyncio.timeout(5):
        while not bot.status().healthy:  # noqa: ASYNC110 - a status is there to be looked at
            await asyncio.sleep(0.01)


def at(port: int) -> str:
    return f"http://127.0.0.1:{port}/qqbot"


async def test_an_event_by_webhook_is_answered(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port) as found:
        webhook = await sandbox.use_webhook(at(free_port), "first")
        said = await sandbox.say("hello you")
        [answer] = await sandbox.replies(said)
        assert answer.content == "1020 heard hello you"
        private = await sandbox.say("hello", private=True)
        assert (await sandbox.replies(private))[0].msg_id == private.id
        await webhook.settled()
        assert [(one.number, one.answer) for one in webhook.tries if one.event_id] == 2 * [(1, b'{"op":12,"d":0}')]
        assert found.bot.instance.bot_name == sandbox.options.bot_name
        assert sandbox.calls["websocket"] == 0
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as http:
            await http.get(at(free_port))


async def test_a_pressed_button_by_webhook(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port) as found:
        webhook = await sandbox.use_webhook(at(free_port), "first")
        await sandbox.emit("INTERACTION_CREATE", {"id": "inter-1", "type": 11, "group_openid": "G1", "data": {}})
        await webhook.settled()
        async with asyncio.timeout(5):
            await found.pressed.wait()
    assert (sandbox.acknowledged[0].id, sandbox.acknowledged[0].code) == ("inter-1", 0)
    assert len(found.events) == 1


async def test_the_webhook_goes_on_where_the_platform_ends_the_connection(
    sandbox: Sandbox, tmp_path: Path, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(sandbox, tmp_path, free_port, receive="both") as found:
        assert [shard.way for shard in found.bot.status().shards] == ["ws", "webhook"]
        assert sandbox.close_connections(4914) == 1
        async with asyncio.timeout(5):
            while found.bot.status().shards[0].state != "stopped":  # noqa: ASYNC110 - a status is there to be looked at
                await asyncio.sleep(0.01)
        await sandbox.use_webhook(at(free_port), "first")
        said = await sandbox.say("hello", appid="1020")
        assert len(await sandbox.replies(said)) == 1
        status = found.bot.status()
        assert [shard.state for shard in status.shards] == ["stopped", "live"]
        assert not status.healthy
    [line] = [record.getMessage() for record in caplog.records if "webhook alone" in record.getMessage()]
    assert "close code 4914" in line


async def test_what_comes_by_both_is_handled_once(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port, receive="both") as found:
        await sandbox.connected(appid="1020")
        webhook = await sandbox.use_webhook(at(free_port), "first", both=True)
        said = [await sandbox.say(f"hello {number}") for number in range(20)]
        for one in said:
            await sandbox.replies(one)
        await webhook.settled()
        last = await sandbox.say("hello, the last")
        await sandbox.replies(last)
        await webhook.settled()
        assert sorted(found.heard) == sorted(one.id for one in (*said, last))
        assert len(sandbox.arrived) == 21
        sandbox.drop_connections()  # one way is down: the other one is enough
        [answer] = await sandbox.replies(await sandbox.say("hello again"))
        assert answer.content == "1020 heard hello again"


async def test_a_retried_event_is_handled_once(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    """A proxy loses the first three answers; each retry has a timestamp, and so a signature, of its own."""
    async with running(sandbox, tmp_path, free_port) as found, losing_proxy(free_port) as proxy:
        webhook = await sandbox.use_webhook(at(proxy.port), "first", pause=0.01)
        proxy.lose = 3
        said = await sandbox.say("hello")
        await webhook.settled()
        [answer] = await sandbox.replies(said)
        assert [(one.number, one.status) for one in webhook.tries if one.event_id] == [
            (1, None),
            (2, None),
            (3, None),
            (4, 200),
        ]
        assert found.heard == [said.id]
        assert list(sandbox.arrived) == [answer]


async def test_the_same_event_id_signed_again_is_handled_once(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port) as found:
        webhook = await sandbox.use_webhook(at(free_port), "first")
        data = {"id": "ROBOT1.0_x", "content": "hello", "author": {"user_openid": "A1"}}
        body = {"op": 0, "id": "C2C_MESSAGE_CREATE:1", "t": "C2C_MESSAGE_CREATE", "d": data}
        for spaces in range(4):
            assert (await webhook.post(json.dumps(body, indent=spaces).encode())).answer == b'{"op":12,"d":0}'
        await sandbox.replies(await sandbox.say("hello, and that was all"))
    assert len(found.heard) == 2


async def test_forged_and_old_requests_reach_no_handler(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port) as found:
        webhook = await sandbox.use_webhook(at(free_port), "first")
        body = b'{"op":0,"t":"C2C_MESSAGE_CREATE","d":{"id":"x","content":"hello","author":{"user_openid":"A"}}}'
        for made in (
            await webhook.post(body, secret="guessed"),
            await webhook.post(body, timestamp="1725442341"),
            await webhook.post(body, headers={"X-Bot-Appid": "1021"}),
        ):
            assert (made.status, made.answer, made.accepted) == (401, b"", False)
        await sandbox.replies(await sandbox.say("hello"))
    assert len(found.heard) == 1


async def test_two_bots_on_one_address(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    async with running(sandbox, tmp_path, free_port, 0) as first:
        async with running(sandbox, tmp_path, free_port, 1) as second:
            await sandbox.use_webhook(at(free_port), "first", appid="1020")
            await sandbox.use_webhook(at(free_port), "second", appid="1021")
            for appid in ("1021", "1020"):
                [answer] = await sandbox.replies(await sandbox.say("hello", appid=appid))
                assert answer.content == f"{appid} heard hello"
            assert (len(first.heard), len(second.heard)) == (1, 1)
        [answer] = await sandbox.replies(await sandbox.say("hello", appid="1020"))  # the other one is closed
        assert answer.content == "1020 heard hello"


async def test_over_tls(sandbox: Sandbox, tmp_path: Path, free_port: int) -> None:
    files = await asyncio.to_thread(make_private_ca, tmp_path / "tls")
    where = WebhookOptions("127.0.0.1", free_port, certfile=files.cert_file, keyfile=files.key_file)
    async with running(sandbox, tmp_path, free_port, webhook=where):
        url = f"https://127.0.0.1:{free_port}/qqbot"
        with pytest.raises(SandboxError, match="CERTIFICATE_VERIFY_FAILED"):
            await sandbox.use_webhook(url, "first")  # like the platform, it does not take a self-made one
        await sandbox.use_webhook(url, "first", ca_file=str(files.ca_file))
        assert await sandbox.replies(await sandbox.say("hello"))


async def test_the_console_refuses_an_address_with_another_secret(
    sandbox: Sandbox, tmp_path: Path, free_port: int
) -> None:
    async with running(sandbox, tmp_path, free_port):
        with pytest.raises(SandboxError, match="cannot be used as a webhook: it answered 401"):
            await sandbox.use_webhook(at(free_port), "another")
        with pytest.raises(SandboxError, match="it answered 404"):
            await sandbox.use_webhook(f"http://127.0.0.1:{free_port}/", "first")
    with pytest.raises(SandboxError, match="cannot be used as a webhook: nothing answers at"):
        await sandbox.use_webhook(at(free_port), "first")


async def test_a_wrong_secret_ends_the_bot(sandbox: Sandbox, free_port: int) -> None:
    adapter = qq_group(
        "wrong", receive="webhook", webhook=WebhookOptions("127.0.0.1", free_port), api_base=sandbox.api_base
    )
    bot = AmiyaBot(appid="1020", token="", adapter=adapter)
    with pytest.raises(AuthenticationError):
        async with asyncio.timeout(5):
            await bot.start()


@pytest.mark.parametrize("receive", ["webhook", "both"])
async def test_a_port_that_is_taken_ends_the_bot(sandbox: Sandbox, receive: Any, free_port: int) -> None:
    where = WebhookOptions("127.0.0.1", free_port)
    media = QQGroupChainBuilderOptions("127.0.0.1", 0)
    adapter = qq_group("first", None, media, receive=receive, webhook=where, api_base=sandbox.api_base)
    bot = AmiyaBot(appid="1020", token="", adapter=adapter)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", free_port), asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match=f"webhook port {free_port} is taken"):
            await bot.start()


async def test_nothing_secret_is_logged(
    sandbox: Sandbox, tmp_path: Path, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with running(sandbox, tmp_path, free_port):
            webhook = await sandbox.use_webhook(at(free_port), "first")
            await sandbox.replies(await sandbox.say("hello"))
            assert "first" not in repr(webhook)
    assert "receives by webhook on http://127.0.0.1" in caplog.text
    assert "'first'" not in caplog.text


class Proxy:
    """Passes connections on, and loses answers while `lose` is above 0."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.lose = 0
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            while chunk := await reader.read(65536):
                sink.write(chunk)
                answer = await upstream.read(65536)
                if self.lose:
                    self.lose -= 1
                    writer.transport.abort()
                    return
                writer.write(answer)
        finally:
            sink.close()
            writer.close()


@asynccontextmanager
async def losing_proxy(target: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
