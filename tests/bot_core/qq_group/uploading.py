"""An adapter that only sends, beside a sandbox: nobody has to say something first, and pauses take no time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from aiohttp import web

from bot_core.adapter import Delivery, MessageHandle
from bot_core.chain import Chain
from bot_core.qq_group.adapter import QQGroupAdapter
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.settings import AdapterSettings
from bot_core.qq_group.timing import Timing

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Pauses:
    """A clock that sleeping moves, and nothing else does."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.taken: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class HasAddress(Protocol):
    """The sandbox, or another platform."""

    @property
    def api_base(self) -> str: ...


class Outbox:
    """Sends media to chats of a platform."""

    def __init__(self, adapter: QQGroupAdapter, pauses: Pauses) -> None:
        self.adapter = adapter
        self.pauses = pauses

    async def send(self, chain: Chain, group: str = "G1") -> MessageHandle:
        [handle] = await self.adapter.send_message(chain, channel_id=group)
        return handle

    async def image(self, content: Any, group: str = "G1", **options: Any) -> Delivery:
        [delivery] = (await self.send(Chain().image(content, **options), group)).deliveries
        return delivery

    async def video(self, content: Any, group: str = "G1") -> Delivery:
        [delivery] = (await self.send(Chain().video(content), group)).deliveries
        return delivery


@asynccontextmanager
async def outbox(
    sandbox: HasAddress, builder: Any = "direct", *, appid: str = "1020", **settings: Any
) -> AsyncIterator[Outbox]:
    pauses = Pauses()
    settings.setdefault("options", QQGroupChainBuilderOptions())
    settings.setdefault("inline_limit", 3_670_016)
    adapter = QQGroupAdapter(
        appid,
        AdapterSettings(
            client_secret="secret",
            builder=builder,
            api_base=sandbox.api_base,
            timing=Timing(clock=pauses, sleep=pauses.sleep),
            **settings,
        ),
    )
    async with adapter.open():
        yield Outbox(adapter, pauses)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@asynccontextmanager
async def web_server(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve on loopback; gives the address."""
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def platform_that_forgets() -> AsyncIterator[str]:
    """Take everything at once and keep nothing: for what the sender alone costs."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = b""
        async for piece in request.content.iter_any():
            body = piece if len(body) < 2000 and not body else body[:2000]
        what = request.path.rpartition("/")[2]
        if what == "getAppAccessToken":
            return web.json_response({"access_token": "T", "expires_in": "7200"})
        if what == "upload_prepare":
            size, block = int(json.loads(body)["file_size"]), 10 * MIB
            numbers = range(1, -(-size // block) + 1)
            parts = [{"index": number, "presigned_url": f"http://{request.host}/part/{number}"} for number in numbers]
            config = {"concurrency": 10}
            return web.json_response({"upload_id": "U", "block_size": block, "parts": parts, "upload_config": config})
        return web.json_response({"id": "M", "file_info": "INFO", "ttl": 300})

    async with web_server(answer) as base:
        yield base


def url_of(base: str, path: str = "", name: str = "cdn.example") -> str:
    """Return the address under a public name, for a resolver that knows it."""
    return base.replace("127.0.0.1", name) + path
