"""What an address answers to the platform and to others, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest
from multidict import CIMultiDict

from bot_core.gateway.actions import Dispatch
from bot_core.webhook import WebhookOptions, WebhookReceiver
from bot_core.webhook._door import Door
from bot_core.webhook._refusals import Reason
from bot_core.webhook.server import WebhookServer
from bot_core.webhook.signature import BotKey
from tests.bot_core.webhook.conftest import (
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


def validation(token: str = "Arq0D5A61EgUu4OxUvOp", moment: str = "1725442341") -> dict[str, object]:
    return {"d": {"plain_token": token, "event_ts": moment}, "op": 13}


# --- what the platform sends


async def test_an_event_is_acknowledged_and_handed_out(
    receiver: WebhookReceiver, events: Events, platform: Platform
) -> None:
    assert await platform.post(receiver, event()) == TAKEN
    assert await events.until(1) == [Dispatch(event()["id"], event()["t"], event()["d"], None)]


async def test_events_come_in_the_order_in_which_they_were_acknowledged(
    receiver: WebhookReceiver, events: Events, platform: Platform
) -> None:
    for number in range(20):
        assert await platform.post(receiver, event(number)) == TAKEN
    assert [one.id for one in await events.until(20)] == [event(number)["id"] for number in range(20)]


async def test_the_acknowledgement_does_not_wait_for_the_bot(platform: Platform) -> None:
    release = asyncio.Event()

    class Slow(Events):
        async def deliver(self, dispatch: Dispatch) -> None:
            await release.wait()
            await super().deliver(dispatch)

    events = Slow()
    async with listening(WebhookReceiver(APPID, SECRET, options()), events) as receiver:
        assert await platform.post(receiver, event(1)) == TAKEN
        assert await platform.post(receiver, event(2)) == TAKEN
        assert not events.got
        release.set()
        await events.until(2)


async def test_an_interaction_is_taken_like_any_event(
    receiver: WebhookReceiver, events: Events, platform: Platform
) -> None:
    pressed = {"op": 0, "id": "INTERACTION_CREATE:1", "t": "INTERACTION_CREATE", "d": {"id": "inter-1", "type": 11}}
    assert await platform.post(receiver, pressed) == TAKEN
    assert (await events.until(1))[0].data == pressed["d"]


async def test_op_13_is_answered_with_the_official_sample(receiver: WebhookReceiver, platform: Platform) -> None:
    taken, status, answer = [], 0, b""
    for _ in range(3):  # the machine may be busy with something else for a moment
        began = time.perf_counter()
        status, answer = await platform.post(receiver, validation())
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.1
    assert status == 200
    assert json.loads(answer) == {
        "plain_token": "Arq0D5A61EgUu4OxUvOp",
        "signature": "87befc99c42c651b3aac0278e71ada338433ae26fcb24307bdc5ad38c1adc2d0"
        "1bcfcadc0842edac85e85205028a1132afe09280305f13aa6909ffc2d652c706",
    }


async def test_the_time_of_op_13_may_be_a_number(receiver: WebhookReceiver, platform: Platform) -> None:
    asked = {"op": 13, "d": {"plain_token": "Arq0D5A61EgUu4OxUvOp", "event_ts": 1725442341}}
    assert await platform.post(receiver, asked) == await platform.post(receiver, validation())


async def test_op_13_signs_nothing_for_a_stranger(receiver: WebhookReceiver, platform: Platform) -> None:
    """Else anybody could have an event signed: `event_ts` and `plain_token` are the timestamp and the body of one."""
    assert await platform.post(receiver, validation(json.dumps(event())), secret="another") == REFUSED


async def test_a_heartbeat_is_answered(receiver: WebhookReceiver, platform: Platform) -> None:
    status, answer = await platform.post(receiver, {"op": 1, "d": 42})
    assert (status, json.loads(answer)) == (200, {"op": 11, "d": 42})


async def test_an_unknown_op_is_acknowledged(receiver: WebhookReceiver, events: Events, platform: Platform) -> None:
    assert await platform.post(receiver, {"op": 77, "d": {}}) == TAKEN
    assert not events.got


async def test_bytes_are_verified_as_they_came(receiver: WebhookReceiver, events: Events, platform: Platform) -> None:
    odd = '{ "op" : 0,\n\t"t":"GATEWAY_EVENT_NAME", "d":{"text":"\\u4e00一"} }\r\n'.encode()
    assert await platform.post(receiver, odd) == TAKEN
    assert (await events.until(1))[0].data == {"text": "一一"}


# --- what others send


async def test_a_forged_body_is_refused(receiver: WebhookReceiver, events: Events, platform: Platform) -> None:
    assert await platform.post(receiver, event(), secret="another") == REFUSED
    assert await platform.post(receiver, event(2), signed=json.dumps(event(1)).encode()) == REFUSED
    assert not events.got


async def test_the_same_request_again_is_acknowledged_and_handed_out_once(
    receiver: WebhookReceiver, events: Events, platform: Platform
) -> None:
    """Whether it is a retry of the platform or somebody's replay cannot be told: both get the same."""
    bare = {"op": 0, "t": "FRIEND_ADD", "d": {"openid": "A1"}}
    moment = str(int(time.time()))
    for _ in range(3):
        assert await platform.post(receiver, bare, timestamp=moment) == TAKEN
    assert await platform.post(receiver, event(9)) == TAKEN
    assert [one.type for one in await events.until(2)] == ["FRIEND_ADD", "GROUP_AT_MESSAGE_CREATE"]


@pytest.mark.parametrize("seconds", [-301, 301, -86400, 10**9])
async def test_a_request_from_another_time_is_refused(
    seconds: int, receiver: WebhookReceiver, platform: Platform, events: Events
) -> None:
    moment = str(int(time.time()) + seconds)
    assert await platform.post(receiver, event(), timestamp=moment) == REFUSED
    assert not events.got


async def test_the_window_is_a_setting(events: Events, platform: Platform) -> None:
    async with listening(WebhookReceiver(APPID, SECRET, options(max_age_seconds=None)), events) as receiver:
        assert await platform.post(receiver, event(), timestamp="1725442341") == TAKEN
    moment = 1_725_442_341
    narrow = WebhookReceiver(APPID, SECRET, options(max_age_seconds=10), clock=lambda: float(moment))
    async with listening(narrow, events) as receiver:
        assert await platform.post(receiver, event(2), timestamp=str(moment - 10)) == TAKEN
        assert await platform.post(receiver, event(3), timestamp=str(moment - 11)) == REFUSED


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Bot-Appid": None},
        {"X-Signature-Ed25519": None},
        {"X-Signature-Timestamp": None},
        {"X-Signature-Ed25519": ""},
        {"X-Signature-Ed25519": "zz" * 64},
        {"X-Signature-Ed25519": "ab" * 65},
        {"X-Signature-Timestamp": ""},
        {"X-Signature-Timestamp": "now"},
        {"X-Signature-Timestamp": "-1725442341"},
        {"X-Signature-Timestamp": "9" * 4000},
        {"X-Signature-Timestamp": "１７２５４４２３４１"},
        {"X-Bot-Appid": "1021"},
        {"X-Bot-Appid": ""},
    ],
)
async def test_missing_and_malformed_headers_are_refused(
    headers: dict[str, str | None], receiver: WebhookReceiver, platform: Platform, events: Events
) -> None:
    assert await platform.post(receiver, event(), headers=headers) == REFUSED
    assert not events.got


async def test_no_answer_tells_what_runs_here(receiver: WebhookReceiver) -> None:
    body, moment = b'{"op":13,"d":{"plain_token":"x","event_ts":"1"}}', str(int(time.time()))
    right = {
        "X-Bot-Appid": APPID,
        "X-Signature-Timestamp": moment,
        "X-Signature-Ed25519": BotKey.of(SECRET).sign(moment.encode() + body),
    }
    async with aiohttp.ClientSession() as http:
        for path, headers, status in (("/qqbot", {}, 401), ("/", {}, 404), ("/qqbot", right, 200)):
            url = f"http://127.0.0.1:{receiver.port}{path}"
            async with http.post(url, data=body, headers=headers) as response:
                assert (response.status, response.headers["Server"]) == (status, "")
                assert "aiohttp" not in str(response.raw_headers)


@pytest.mark.parametrize("name", ["X-Bot-Appid", "X-Signature-Ed25519", "X-Signature-Timestamp"])
@pytest.mark.parametrize("other", [None, "1"])
async def test_a_header_that_is_there_twice_is_refused(
    name: str, other: str | None, receiver: WebhookReceiver, platform: Platform, events: Events
) -> None:
    body, moment = json.dumps(event()).encode(), str(int(time.time()))
    right = {
        "X-Bot-Appid": APPID,
        "X-Signature-Timestamp": moment,
        "X-Signature-Ed25519": BotKey.of(SECRET).sign(moment.encode() + body),
    }
    given = CIMultiDict(right)
    given.add(name, other or right[name])
    url = f"http://127.0.0.1:{receiver.port}/qqbot"
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=given) as response:
        assert response.status == 401
    assert not events.got


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"op":"0"}',
        b'{"op":true}',
        b'{"op":0,"d":{}}',
        b'{"op":0,"t":"","d":{}}',
        b'{"op":0,"t":5}',
        b'{"op":13}',
        b'{"op":13,"d":{"plain_token":1,"event_ts":"2"}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"op":0',
    ],
)
async def test_a_signed_body_that_makes_no_sense_is_refused(
    body: bytes, receiver: WebhookReceiver, platform: Platform, events: Events
) -> None:
    assert await platform.post(receiver, body) == REFUSED
    assert not events.got


@pytest.mark.parametrize(("method", "path"), [("GET", "/qqbot"), ("PUT", "/qqbot"), ("POST", "/"), ("POST", "/qqbot/")])
async def test_nothing_else_is_there(method: str, path: str, receiver: WebhookReceiver) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"http://127.0.0.1:{receiver.port}{path}", data=b"{}") as response,
    ):
        assert (response.status, await response.read()) == (404, b"")


async def test_a_query_does_not_matter(receiver: WebhookReceiver, platform: Platform) -> None:
    assert await platform.post(receiver, event(), path="/qqbot?from=console") == TAKEN


async def test_a_megabyte_is_taken_and_a_byte_more_is_not(
    receiver: WebhookReceiver, platform: Platform, events: Events
) -> None:
    empty = json.dumps({"op": 0, "t": "BIG", "d": ""}).encode()
    whole = empty[:-2] + b"x" * (1024 * 1024 - len(empty)) + empty[-2:]
    assert await platform.post(receiver, whole) == TAKEN
    assert await platform.post(receiver, whole + b" ") == REFUSED
    await events.until(1)


async def exchange(receiver: WebhookReceiver, sent: bytes, *, end: bool = False) -> bytes:
    """Send raw bytes, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    try:
        writer.write(sent)
        if end:
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def head(body: bytes, *more: str) -> bytes:
    moment = str(int(time.time()))
    signature = BotKey.of(SECRET).sign(moment.encode() + body)
    lines = ["POST /qqbot HTTP/1.1", "Host: x", f"X-Bot-Appid: {APPID}", f"X-Signature-Ed25519: {signature}"]
    return "\r\n".join([*lines, f"X-Signature-Timestamp: {moment}", *more, "", ""]).encode()


async def test_a_huge_body_is_refused_before_it_is_read(receiver: WebhookReceiver) -> None:
    answer = await exchange(receiver, head(b"", f"Content-Length: {10**12}"))
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_an_endless_body_is_refused(receiver: WebhookReceiver) -> None:
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = await exchange(receiver, head(b"", "Transfer-Encoding: chunked") + 17 * piece)
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_packed_body_is_not_unpacked(receiver: WebhookReceiver, events: Events) -> None:
    """What was signed is what is on the wire; and a small body could unpack to a large one."""
    body = json.dumps(event()).encode()
    answer = await exchange(
        receiver, head(body, f"Content-Length: {len(body)}", "Content-Encoding: gzip", "Connection: close") + body
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    await events.until(1)


async def test_a_body_in_pieces_is_put_together(receiver: WebhookReceiver, events: Events) -> None:
    body = json.dumps(event()).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head(body, f"Content-Length: {len(body)}", "Connection: close") + body[:5])
    await asyncio.sleep(0.02)
    writer.write(body[5:])
    assert (await reader.read()).endswith(b'{"op":12,"d":0}')
    writer.close()
    await writer.wait_closed()
    await events.until(1)


async def test_a_body_that_does_not_come_is_not_waited_for(events: Events) -> None:
    door = Door(appid=APPID, key=BotKey.of(SECRET), max_age_seconds=None, take=lambda _: True)
    server = WebhookServer(options(), None, body_seconds=0.03)
    await server.start()
    try:
        with server.door("/qqbot", door):
            receiver = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", server.port))
            answer = await exchange(receiver, head(b"", "Content-Length: 100") + b"half")
    finally:
        await server.stop()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert server.refusals.counts == {Reason.UNREAD: 1}


async def test_a_connection_that_says_nothing_is_closed() -> None:
    server = WebhookServer(options(), None, idle_seconds=0.03)
    await server.start()
    try:
        receiver = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", server.port))
        assert await exchange(receiver, b"") == b""
    finally:
        await server.stop()


async def test_a_body_that_is_cut_harms_nobody(
    receiver: WebhookReceiver, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head(b"", "Content-Length: 100") + b"half")
    await writer.drain()
    writer.transport.abort()
    await exchange(receiver, b"\x16\x03\x01 this is no HTTP\r\n\r\n", end=True)
    assert await platform.post(receiver, event()) == TAKEN
    assert not [record for record in caplog.records if record.exc_info]
