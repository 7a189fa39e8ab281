"""The platform's side: what the sandbox sends to an address that is not a bot of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from bot_core.cli._say import _speak
from bot_core.errors import SandboxError
from bot_core.sandbox import Sandbox
from bot_core.sandbox._lines import Lines
from bot_core.webhook.signature import BotKey

pytestmark = pytest.mark.asyncio

SECRET = "naOC0ocQE3shWLAfffVLB1rhYPG7"
Answers = Callable[[int], Awaitable[web.Response]]


class Address:
    """Answers op 13 rightly, and events as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answers = self.accept
        self._key = BotKey.of(SECRET)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests if json.loads(body)["op"] == 0]

    async def accept(self, number: int) -> web.Response:
        return web.Response(text='{"op":12,"d":0}')

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        frame = json.loads(body)
        if frame["op"] != 13:
            return await self.answer(len(self.events))
        token = frame["d"]["plain_token"]
        signature = self._key.sign(f"{frame['d']['event_ts']}{token}".encode())
        return web.json_response({"plain_token": token, "signature": signature})


@asynccontextmanager
async def serving(address: Address) -> AsyncIterator[Address]:
    runner = web.ServerRunner(web.Server(address.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.url = f"http://127.0.0.1:{runner.addresses[0][1]}/any"
        yield address
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture
async def address() -> AsyncIterator[Address]:
    async with serving(Address()) as served:
        yield served


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open() as opened:
        yield opened


async def test_requests_are_what_the_platform_sends(sandbox: Sandbox, address: Address) -> None:
    webhook = await sandbox.use_webhook(address.url, SECRET, appid="1020")
    said = await sandbox.say("hi", appid="1020")
    await webhook.settled()
    (headers, validation), (_, event) = address.requests
    assert (headers["User-Agent"], headers["X-Bot-Appid"]) == ("QQBot-Callback", "1020")
    assert set(json.loads(validation)["d"]) == {"plain_token", "event_ts"}
    for sent, body in address.requests:
        assert BotKey.of(SECRET).verify(sent["X-Signature-Ed25519"], sent["X-Signature-Timestamp"], body)
    frame = json.loads(event)
    assert (frame["op"], frame["t"], frame["id"]) == (0, "GROUP_AT_MESSAGE_CREATE", said.event_id)
    assert frame["d"]["id"] == said.id
    assert "s" not in frame


@pytest.mark.parametrize(
    "refusal",
    [
        web.Response(status=500),
        web.Response(status=204),
        web.Response(text='{"op":12,"d":1}'),
    ],
    ids=["500", "204", "d:1"],
)
async def test_three_retries_with_the_same_id(refusal: web.Response, sandbox: Sandbox, address: Address) -> None:
    async def refuse(number: int) -> web.Response:
        return web.Response(status=refusal.status, body=refusal.body)

    address.answer = refuse
    webhook = await sandbox.use_webhook(address.url, SECRET, pause=0.001)
    said = await sandbox.say("hi")
    await webhook.settled()
    assert [one["id"] for one in address.events] == [said.event_id] * 4
    assert [one.number for one in webhook.tries if one.event_id] == [1, 2, 3, 4]


async def test_a_slow_answer_is_none(sandbox: Sandbox, address: Address) -> None:
    given_up = asyncio.Event()

    async def slow_once(number: int) -> web.Response:
        if number == 1:
            await given_up.wait()
        return web.Response()

    address.answer = slow_once
    webhook = await sandbox.use_webhook(address.url, SECRET, pause=0.001, timeout=0.25)
    await sandbox.say("hi")
    await webhook.settled()
    given_up.set()
    first, second = (one for one in webhook.tries if one.event_id)
    assert (first.status, first.error, second.status) == (None, "no answer within 0.25 s", 200)


@pytest.mark.parametrize("text", ["", "{}", "ok", '{"op":12,"d":{}}', '{"opcode":12}', '{"op":12,"d":0}'])
async def test_any_200_is_enough(text: str, sandbox: Sandbox, address: Address) -> None:
    async def accept(number: int) -> web.Response:
        return web.Response(text=text)

    address.answer = accept
    webhook = await sandbox.use_webhook(address.url, SECRET)
    await sandbox.say("hi")
    await webhook.settled()
    assert len(address.events) == 1


async def test_another_secret_is_not_accepted(sandbox: Sandbox, address: Address) -> None:
    with pytest.raises(SandboxError, match="it signs with another secret"):
        await sandbox.use_webhook(address.url, "another")
    with pytest.raises(SandboxError, match="secret, and it is empty"):
        await sandbox.use_webhook(address.url, "")


async def test_an_address_that_is_something_else(sandbox: Sandbox) -> None:
    class Page(Address):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="<html>")

    async with serving(Page()) as page:
        with pytest.raises(SandboxError, match="it does not answer op 13"):
            await sandbox.use_webhook(page.url, SECRET)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/", "nothing answers at 127.0.0.1 port 1"),
        ("no address", "it is no address"),
        ("http://bot.invalid/", "the name bot.invalid is not known"),
    ],
)
async def test_an_address_where_nothing_is(sandbox: Sandbox, url: str, why: str) -> None:
    with pytest.raises(SandboxError, match=f"{url} cannot be used as a webhook: .*{why}"):
        await sandbox.use_webhook(url, SECRET)


async def test_a_ca_file_that_is_none(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"ca_file .*missing\.pem cannot be used: No such file"):
        await sandbox.use_webhook("https://127.0.0.1/", SECRET, ca_file=str(tmp_path / "missing.pem"))


async def test_a_new_address_takes_the_place_of_the_old(sandbox: Sandbox, address: Address) -> None:
    async with serving(Address()) as other:
        await sandbox.use_webhook(address.url, SECRET)
        second = await sandbox.use_webhook(other.url, SECRET)
        await sandbox.say("hi")
        await second.settled()
        assert (len(address.events), len(other.events)) == (0, 1)


async def test_what_is_under_way_ends_with_the_sandbox(address: Address) -> None:
    async def never(number: int) -> web.Response:
        return web.Response(status=500)

    address.answer = never
    async with asyncio.timeout(2):
        async with Sandbox.open() as sandbox:
            await sandbox.use_webhook(address.url, SECRET, pause=60)
            await sandbox.say("hi")


async def test_what_is_under_way_ends_with_the_switch_back(sandbox: Sandbox, address: Address) -> None:
    async def never(number: int) -> web.Response:
        return web.Response(status=500)

    address.answer = never
    webhook = await sandbox.use_webhook(address.url, SECRET, pause=60)
    await sandbox.say("hi")
    await sandbox.use_gateway()
    async with asyncio.timeout(2):
        await webhook.settled()


async def test_it_can_be_switched_from_outside(sandbox: Sandbox, address: Address) -> None:
    switch = f"{sandbox.api_base}/sandbox/webhook"
    async with aiohttp.ClientSession() as http:
        async with http.post(switch, json={"url": address.url, "secret": SECRET, "appid": "1020"}) as answer:
            assert (answer.status, await answer.json()) == (200, {"appid": "1020", "url": address.url})
        for body, status, text in (
            ({"url": address.url}, 400, "`secret` is missing; it must be a string"),
            ({"url": 5, "secret": SECRET}, 400, "`url` must be a string, got 5"),
            ({"url": address.url, "secret": SECRET, "retries": "x"}, 400, "`retries` must be a whole number from 0"),
            ({"url": address.url, "secret": SECRET, "path": "/"}, 400, "unknown: path; there are appid, both, ca_file"),
            ({"url": address.url, "secret": "another"}, 409, "it signs with another secret"),
            ({"url": "no address", "secret": SECRET}, 409, "cannot be used as a webhook"),
        ):
            async with http.post(switch, json=body) as answer:
                assert answer.status == status
                assert text in (await answer.json())["error"]
        await sandbox.say("hi", appid="1020")
        async with asyncio.timeout(5):
            while not address.events:  # noqa: ASYNC110 - a list that a server fills
                await asyncio.sleep(0.01)
        for body, status in (({}, 409), ({"appid": "1020"}, 200), ({"appid": "1020"}, 409)):
            async with http.delete(switch, json=body) as answer:
                assert answer.status == status


async def test_an_ack_that_gets_lost_a_request_that_does_and_one_that_is_late(
    sandbox: Sandbox, address: Address
) -> None:
    webhook = await sandbox.use_webhook(address.url, SECRET, pause=0.001)
    sandbox.faults.lose_answer("webhook", times=2)
    said = await sandbox.say("hi")
    await webhook.settled()
    assert [one["id"] for one in address.events] == [said.event_id] * 3
    sandbox.faults.cut("webhook")
    sandbox.faults.stall("webhook", seconds=0.02)
    said = await sandbox.say("hi")
    await webhook.settled()
    assert [one["id"] for one in address.events[3:]] == [said.event_id]
    lost, sent = (one for one in webhook.tries if one.event_id == said.event_id)
    assert (lost.number, lost.status, lost.error) == (1, None, "not sent: a fault that was asked for")
    assert (sent.number, sent.status) == (2, 200)
    assert [(one.number, one.last, one.why) for one in sandbox.undelivered] == [
        (1, False, "answer lost: a fault that was asked for"),
        (2, False, "answer lost: a fault that was asked for"),
        (1, False, "not sent: a fault that was asked for"),
    ]


async def test_what_a_webhook_does_not_take_is_told_to_whoever_waits(
    sandbox: Sandbox, address: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(number: int) -> web.Response:
        return web.Response(status=401) if number == 1 else web.Response(text='{"op":12,"d":1}')

    lines: list[str] = []
    stop = sandbox.subscribe(lambda happening: lines.append(Lines("bot").line(happening)[0]))
    address.answer = refuse
    webhook = await sandbox.use_webhook(address.url, SECRET, retries=1, pause=0.001)
    said = await sandbox.say("hi")
    await webhook.settled()
    stop()
    assert lines[1].endswith(f" not taken by {address.url}, try 1: it answered 401")
    assert lines[2].endswith(f' not taken by {address.url}, try 2, the last one: it is given up: it answered "d":1')
    with pytest.raises(TimeoutError, match=r'did not take it: it answered "d":1'):
        await sandbox.replies(said, timeout=0.01)
    async with aiohttp.ClientSession() as http, http.get(f"{sandbox.api_base}/sandbox/state") as answer:
        [_, last] = (await answer.json())["undelivered"]
    assert (last["event_id"], last["number"], last["last"]) == (said.event_id, 2, True)
    assert not await _speak(sandbox.api_base, {"text": "hi again"}, 0.1, None)
    assert f'  {address.url} did not take it, try 1: it answered "d":1' in capsys.readouterr().out


async def test_events_come_twice_or_late_by_webhook_too(sandbox: Sandbox, address: Address) -> None:
    webhook = await sandbox.use_webhook(address.url, SECRET)
    sandbox.faults.repeat_events()
    sandbox.faults.delay_event()
    for text in ("twice", "late", "early", "last"):
        await sandbox.say(text)
        await webhook.settled()
    assert [one["d"]["content"].strip() for one in address.events] == ["twice", "twice", "early", "late", "last"]


@pytest.mark.parametrize("numbers", [{"retries": -1}, {"timeout": 0}, {"pause": -0.1}, {"retries": 1.5}])
async def test_numbers_that_make_no_sense(sandbox: Sandbox, address: Address, numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="retries and pause must be 0 or more, and its timeout more than 0"):
        await sandbox.use_webhook(address.url, SECRET, **numbers)
    assert not address.requests
