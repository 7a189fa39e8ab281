from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot_core import WebhookOptions, qq_group
from bot_core.webhook._door import Replays
from bot_core.webhook._refusals import Reason, Refusals
from qqmedia import ConfigurationError


def test_the_defaults_are_the_documented_ones() -> None:
    options = WebhookOptions()
    assert (options.host, options.port, options.path) == ("0.0.0.0", 8443, "/qqbot")
    assert (options.certfile, options.keyfile, options.trusted_proxies) == (None, None, ())
    assert options.max_age_seconds == 300
    assert WebhookOptions("127.0.0.1", 8080, "/bot") == WebhookOptions(host="127.0.0.1", port=8080, path="/bot")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"port": -1}, "port must be a number from 0 to 65535, got -1"),
        ({"port": 65536}, "got 65536"),
        ({"port": "8443"}, "got '8443'"),
        ({"port": True}, "got True"),
        ({"path": "qqbot"}, "path must be like '/qqbot', got 'qqbot'"),
        ({"path": "/qqbot?a=b"}, "path must be like"),
        ({"path": 5}, "path must be like '/qqbot', got 5"),
        ({"max_age_seconds": "300"}, "max_age_seconds must be more than 0, .* got '300'"),
        ({"path": "/一"}, "path must be like"),
        ({"keyfile": "key.pem"}, "certfile, which is missing"),
        ({"max_age_seconds": 0}, "max_age_seconds must be more than 0"),
        ({"trusted_proxies": "10.0.0.1"}, r"is a list: \['10\.0\.0\.1'\]"),
        ({"trusted_proxies": ["nginx"]}, "'nginx' does not appear to be"),
    ],
)
def test_nonsense_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        WebhookOptions(**given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"receive": "http"}, "receive must be 'ws', 'webhook' or 'both', got 'http'"),
        ({"webhook": WebhookOptions()}, "set receive='webhook' or 'both'"),
        ({"receive": "webhook", "webhook": "/qqbot"}, r"webhook must be WebhookOptions\(\.\.\.\), got str"),
        ({"receive": "webhook", "shards": 2}, "leave shards away"),
        ({"receive": "both", "shards": 2, "shard_index": 1}, "leave shards away"),
    ],
)
def test_nonsense_of_the_adapter_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        qq_group("secret", **given)


def test_what_is_the_same_in_other_words_is_no_difference() -> None:
    one = WebhookOptions(certfile="a.pem", keyfile=Path("k.pem"), trusted_proxies=["10.0.0.0/8", "127.0.0.1"])
    two = WebhookOptions(certfile=Path("a.pem"), keyfile="k.pem", trusted_proxies=("127.0.0.1/32", "10.0.0.0/8"))
    assert not one.differences(two)
    three = WebhookOptions(certfile="b.pem", keyfile="k.pem", trusted_proxies=["10.0.0.0/8"])
    assert one.differences(three) == "certfile, trusted_proxies"
    assert one.differences(WebhookOptions()) == "certfile, keyfile, trusted_proxies"


def test_refusals_are_logged_once_a_minute_at_most(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    refusals = Refusals(clock=lambda: now)
    refusals.note(Reason.SIGNATURE, "203.0.113.1")
    for _ in range(2000):
        refusals.note(Reason.SIGNATURE, "203.0.113.1")
    refusals.note(Reason.TIME, "203.0.113.2")
    now += 59.9
    refusals.note(Reason.APPID, "203.0.113.3")
    assert len(caplog.records) == 1
    now += 0.2
    refusals.note(Reason.APPID, "203.0.113.4")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("webhook refused: 1 wrong signature; the last one came from 203.0.113.1: it is forged, ")
    assert second == (
        "webhook refused: 2000 wrong signature, 2 unknown appid, 1 timestamp too old or too new; the last one came "
        "from 203.0.113.4: no bot with this appid receives at this address"
    )
    assert refusals.counts == {Reason.SIGNATURE: 2001, Reason.TIME: 1, Reason.APPID: 2}


def test_what_was_not_said_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(clock=lambda: 0.0)
    with caplog.at_level(logging.WARNING):
        refusals.flush()
        refusals.note(Reason.SIZE, "203.0.113.1")
        refusals.note(Reason.SIZE, "203.0.113.1")
        refusals.flush()
        refusals.flush()
    assert len(caplog.records) == 2


def test_signatures_are_remembered_within_bounds() -> None:
    replays = Replays()
    assert replays.add("first")
    assert not replays.add("first")
    for number in range(20_000):
        assert replays.add(str(number))
    assert replays.add("first")  # it has made room
    replays.forget("19999")
    replays.forget("unknown")
    assert replays.add("19999")


@pytest.mark.asyncio
async def test_what_was_refused_in_the_quiet_minute_is_said_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now, loop, waits = 0.0, asyncio.get_running_loop(), []

    def later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        waits.append(seconds)
        return loop.call_later(0, call)

    refusals = Refusals(clock=lambda: now, later=later)
    refusals.note(Reason.SIGNATURE, "203.0.113.1")
    now = 20.0
    for _ in range(500):
        refusals.note(Reason.SIGNATURE, "203.0.113.2")
    assert (len(caplog.messages), waits) == (1, [40.0])
    now = 60.0
    await asyncio.sleep(0.01)
    assert caplog.messages[1].startswith("webhook refused: 500 wrong signature; the last one came from 203.0.113.2")
    assert len(caplog.messages) == 2
