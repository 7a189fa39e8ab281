"""A listening receiver without a bot, and somebody who calls it as the platform would."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest_asyncio

from bot_core.gateway.actions import Dispatch
from bot_core.webhook import WebhookOptions, WebhookReceiver
from bot_core.webhook.signature import BotKey

APPID = "1020"
SECRET = "DG5g3B4j9X2KOErG"
# What an address answers.
TAKEN = (200, b'{"op":12,"d":0}')
REFUSED = (401, b"")
AGAIN = (200, b'{"op":12,"d":1}')


class Events:
    """What a receiver handed out."""

    def __init__(self) -> None:
        self.got: list[Dispatch] = []
        self.ready: asyncio.Queue[Dispatch] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def deliver(self, dispatch: Dispatch) -> None:
        self.got.append(dispatch)
        self._changed.set()

    async def on_ready(self, dispatch: Dispatch) -> None:
        self.ready.put_nowait(dispatch)

    async def until(self, count: int) -> list[Dispatch]:
        async with asyncio.timeout(5):
            while len(self.got) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.got


@asynccontextmanager
async def listening(receiver: WebhookReceiver, events: Events) -> AsyncIterator[WebhookReceiver]:
    """Run the receiver until the block ends."""
    running = asyncio.create_task(receiver.run(events.deliver, events.on_ready), name="receiver under test")
    waiting = asyncio.create_task(receiver.listening.wait(), name="listening")
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            await running
        yield receiver
    finally:
        receiver.stop()
        await running


class Platform:
    """Calls an address, rightly or wrongly."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def post(
        self,
        receiver: WebhookReceiver,
        body: bytes | Mapping[str, Any],
        *,
        appid: str = APPID,
        secret: str = SECRET,
        path: str = "/qqbot",
        timestamp: str | None = None,
        signed: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> tuple[int, bytes]:
        """Post a body; `signed` is what the signature is for, where that is another one."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        moment = timestamp if timestamp is not None else str(int(time.time()))
        sent: dict[str, str | None] = {
            "X-Bot-Appid": appid,
            "X-Signature-Timestamp": moment,
            "X-Signature-Ed25519": BotKey.of(secret).sign(
                moment.encode("utf-8", "surrogateescape") + (raw if signed is None else signed)
            ),
        }
        sent |= dict(headers or {})
        given = {name: value for name, value in sent.items() if value is not None}
        url = f"http://127.0.0.1:{receiver.port}{path}"
        async with self._http.post(url, data=io.BytesIO(raw), headers=given) as response:
            return response.status, await response.read()


def options(**changes: Any) -> WebhookOptions:
    return WebhookOptions("127.0.0.1", 0, **changes)


def event(number: int = 1, name: str = "GROUP_AT_MESSAGE_CREATE") -> dict[str, Any]:
    return {"op": 0, "id": f"{name}:{number}", "d": {"id": f"ROBOT1.0_{number}", "content": "hi"}, "t": name}


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    async with aiohttp.ClientSession() as http:
        yield Platform(http)


@pytest_asyncio.fixture
async def events() -> Events:
    return Events()


@pytest_asyncio.fixture
async def receiver(events: Events) -> AsyncIterator[WebhookReceiver]:
    async with listening(WebhookReceiver(APPID, SECRET, options()), events) as running:
        yield running


@pytest_asyncio.fixture
async def free_port() -> int:
    """A port that nobody has at the moment, for what has to be named twice."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
