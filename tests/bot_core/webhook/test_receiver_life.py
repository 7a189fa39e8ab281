"""The life of a webhook: several bots at one port, the limits of one, logging in, the end, and what the log says."""

from __future__ import annotations

import asyncio
import logging
import time

import aiohttp
import pytest

from bot_core.errors import AuthenticationError, OpenAPIError
from bot_core.gateway.actions import Dispatch
from bot_core.slots import current_delivery
from bot_core.webhook import WebhookOptions, WebhookReceiver
from qqmedia import ConfigurationError
from tests.bot_core.webhook.conftest import (
    AGAIN,
    APPID,
    REFUSED,
    SECRET,
    TAKEN,
    Events,
    Platform,
    event,
    listening,
    options,
)

pytestmark = pytest.mark.asyncio


# --- several bots, and the limits of one


async def test_two_bots_on_one_address(events: Events, platform: Platform, free_port: int) -> None:
    others = Events()
    one = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", free_port))
    two = WebhookReceiver("1021", "two", WebhookOptions("127.0.0.1", free_port))
    async with listening(one, events):
        async with listening(two, others):
            assert await platform.post(two, event(1), appid="1021", secret="two") == TAKEN
            assert await platform.post(one, event(2)) == TAKEN
            assert await platform.post(one, event(3), appid="1021") == REFUSED  # with the other's secret
        assert await platform.post(one, event(4)) == TAKEN
        assert await platform.post(one, event(5), appid="1021", secret="two") == REFUSED
        assert [one.id for one in await events.until(2)] == [event(2)["id"], event(4)["id"]]
        assert [one.id for one in others.got] == [event(1)["id"]]
    with pytest.raises(aiohttp.ClientConnectorError):
        await platform.post(one, event(6))


async def test_two_bots_on_two_paths(events: Events, platform: Platform, free_port: int) -> None:
    one = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", free_port))
    two = WebhookReceiver("1021", "two", WebhookOptions("127.0.0.1", free_port, "/two"))
    async with listening(one, events), listening(two, events):
        assert await platform.post(two, event(1), appid="1021", secret="two", path="/two") == TAKEN
        assert await platform.post(one, event(2), path="/two") == REFUSED
        assert await platform.post(one, event(2)) == TAKEN


async def test_the_same_bot_twice_is_an_error(events: Events, free_port: int) -> None:
    where = WebhookOptions("127.0.0.1", free_port)
    async with listening(WebhookReceiver(APPID, SECRET, where), events):
        with pytest.raises(ConfigurationError, match=rf"bot {APPID} receives at port {free_port}, path /qqbot already"):
            async with listening(WebhookReceiver(APPID, SECRET, where), events):
                pass


async def test_one_port_with_two_sets_of_options_is_an_error(events: Events, free_port: int) -> None:
    one = WebhookOptions("127.0.0.1", free_port)
    two = WebhookOptions("127.0.0.1", free_port, trusted_proxies=("10.0.0.0/8",))
    async with listening(WebhookReceiver(APPID, SECRET, one), events):
        with pytest.raises(ConfigurationError, match="another trusted_proxies; give both the same"):
            async with listening(WebhookReceiver("1021", "two", two), events):
                pass


async def test_a_port_that_is_taken_is_named(events: Events) -> None:
    async with listening(WebhookReceiver(APPID, SECRET, options()), events) as first:
        with pytest.raises(ConfigurationError, match=rf"webhook port {first.port} is taken by another program"):
            async with listening(
                WebhookReceiver("1021", "two", WebhookOptions("127.0.0.1", first.port, "/two")), events
            ):
                pass


async def test_an_address_of_another_machine_is_named(events: Events) -> None:
    with pytest.raises(ConfigurationError, match=r"the webhook cannot listen on 192\.0\.2\.1 port 0"):
        async with listening(WebhookReceiver(APPID, SECRET, WebhookOptions("192.0.2.1", 0)), events):
            pass


async def test_a_bot_that_cannot_keep_up_gets_it_again_later(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    class Busy(Events):
        async def deliver(self, dispatch: Dispatch) -> None:
            await release.wait()
            await super().deliver(dispatch)

    events = Busy()
    async with listening(WebhookReceiver(APPID, SECRET, options(), most_waiting=2), events) as receiver:
        moment = str(int(time.time()))
        for number in (1, 2, 3):  # one is in work, two wait
            assert await platform.post(receiver, event(number)) == TAKEN
        for _ in range(3):
            assert await platform.post(receiver, event(4), timestamp=moment) == AGAIN
        release.set()
        await events.until(3)
        assert await platform.post(receiver, event(4), timestamp=moment) == TAKEN
        await events.until(4)
    assert len([one for one in caplog.records if "cannot keep up" in one.message]) == 1


async def test_what_was_acknowledged_is_handed_out_before_the_end(platform: Platform) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    class Busy(Events):
        async def deliver(self, dispatch: Dispatch) -> None:
            entered.set()
            await release.wait()
            await super().deliver(dispatch)

    events = Busy()
    async with listening(WebhookReceiver(APPID, SECRET, options()), events) as receiver:
        for number in (1, 2, 3):
            assert await platform.post(receiver, event(number)) == TAKEN
        await entered.wait()
        receiver.stop()
        assert await platform.post(receiver, event(4)) == AGAIN  # for whoever comes after this process
        release.set()
    assert len(events.got) == 3


async def test_what_was_acknowledged_is_not_left_for_the_next_process(platform: Platform) -> None:
    final: list[bool] = []

    async def deliver(_: Dispatch) -> None:
        delivery = current_delivery.get()
        final.append(delivery is not None and delivery.final)

    receiver = WebhookReceiver(APPID, SECRET, options())
    running = asyncio.create_task(receiver.run(deliver))
    await receiver.listening.wait()
    assert await platform.post(receiver, event()) == TAKEN
    receiver.stop()
    await running
    assert final == [True]
    assert current_delivery.get() is None


async def test_stopped_before_it_runs_it_does_not_run(events: Events) -> None:
    receiver = WebhookReceiver(APPID, SECRET, options())
    receiver.stop()
    await receiver.run(events.deliver)
    assert not receiver.listening.is_set()


async def test_the_port_is_free_at_once(events: Events, platform: Platform, free_port: int) -> None:
    for number in range(3):
        receiver = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", free_port))
        async with listening(receiver, events):
            assert await platform.post(receiver, event(number)) == TAKEN
    assert len(events.got) == 3


async def test_cancelling_releases_the_port(events: Events, free_port: int) -> None:
    receiver = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", free_port))
    running = asyncio.create_task(receiver.run(events.deliver))
    await receiver.listening.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with listening(WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", free_port)), events):
        pass


# --- logging in


async def test_what_ready_would_tell_is_told(events: Events) -> None:
    async def log_in() -> Dispatch:
        return Dispatch("", "READY", {"user": {"username": "bot"}}, None)

    async with listening(WebhookReceiver(APPID, SECRET, options(), log_in=log_in), events), asyncio.timeout(5):
        ready = await events.ready.get()
    assert ready.data["user"]["username"] == "bot"


async def test_a_wrong_secret_ends_it(events: Events) -> None:
    async def log_in() -> Dispatch:
        raise AuthenticationError("appid or secret wrong")

    receiver = WebhookReceiver(APPID, SECRET, options(), log_in=log_in)
    with pytest.raises(AuthenticationError, match="appid or secret wrong"):
        await receiver.run(events.deliver)
    assert not receiver.listening.is_set()


async def test_events_are_handed_out_while_the_platform_cannot_be_asked(
    events: Events, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    async def log_in() -> Dispatch:
        raise OpenAPIError("no answer")

    async with listening(WebhookReceiver(APPID, SECRET, options(), log_in=log_in), events) as receiver:
        assert await platform.post(receiver, event()) == TAKEN
        await events.until(1)
    assert "cannot log in: no answer; next try in 1 s" in caplog.text


async def test_an_error_of_the_bot_comes_out_as_it_is(platform: Platform) -> None:
    class Broken(Events):
        async def deliver(self, dispatch: Dispatch) -> None:
            raise LookupError(dispatch.id)

    receiver, events = WebhookReceiver(APPID, SECRET, options()), Broken()
    running = asyncio.create_task(receiver.run(events.deliver))
    await receiver.listening.wait()
    assert await platform.post(receiver, event()) == TAKEN
    with pytest.raises(LookupError):
        await running


# --- the log


async def test_rubbish_is_counted_and_logged_once(
    receiver: WebhookReceiver, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for number in range(50):
            await platform.post(receiver, event(number), secret="another")
        await platform.post(receiver, event(), path="/other")
    lines = [one.getMessage() for one in caplog.records if "refused" in one.message]
    assert len(lines) == 1
    assert (
        "1 wrong signature; the last one came from 127.0.0.1: it is forged, client_secret is not the bot's" in lines[0]
    )
    assert SECRET not in caplog.text


async def test_a_trusted_proxy_names_the_client(
    events: Events, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    behind = options(trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    for forwarded, expected in (
        ("203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9, 10.1.2.3", "203.0.113.9"),  # the first one is what the client says of itself
        ("rubbish\tone", "127.0.0.1"),
        (None, "127.0.0.1"),
    ):
        caplog.clear()
        async with listening(WebhookReceiver(APPID, SECRET, behind), events) as receiver:
            await platform.post(receiver, event(), secret="another", headers={"X-Forwarded-For": forwarded})
        assert f"the last one came from {expected}:" in caplog.text


async def test_without_trust_nobody_names_another_client(
    receiver: WebhookReceiver, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    await platform.post(receiver, event(), secret="another", headers={"X-Forwarded-For": "203.0.113.9"})
    assert "came from 127.0.0.1:" in caplog.text
