"""A bare bot that knows the platform's HTTP and WebSocket, and none of our client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from bot_core.sandbox import Sandbox, SandboxOptions

GROUP_AND_C2C = 1 << 25


def make_png(size: int = 0) -> bytes:
    """A valid 1x1 PNG, padded with `size` bytes that decoders ignore."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"") + b"\0" * size


class Clock:
    """A wall clock that tests move."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class BareBot:
    """Does one call at a time, and returns what came: status, headers, body."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession, appid: str) -> None:
        self.sandbox = sandbox
        self.http = http
        self.appid = appid
        self.headers: dict[str, str] = {}
        self.ws: aiohttp.ClientWebSocketResponse | None = None
        self.session_id = ""
        self.seq: int | None = None

    async def ask_token(self, secret: str = "secret", appid: str | None = None) -> dict[str, Any]:
        pair = {"appId": appid or self.appid, "clientSecret": secret}
        async with self.http.post(self.sandbox.token_url, json=pair) as response:
            assert response.status == 200
            return await response.json()

    async def login(self) -> None:
        self.headers = {"Authorization": f"QQBot {(await self.ask_token())['access_token']}"}

    async def call(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        """Return status and JSON (or text)."""
        headers = arguments.pop("headers", self.headers)
        async with self.http.request(method, self.sandbox.api_base + path, headers=headers, **arguments) as response:
            if response.content_type == "application/json":
                assert response.headers["X-Tps-trace-ID"]
                return response.status, await response.json()
            return response.status, await response.text()

    async def hello(self) -> dict[str, Any]:
        _, where = await self.call("GET", "/gateway/bot")
        self.ws = await self.http.ws_connect(where["url"])
        return await self.frame()

    async def frame(self, timeout: float = 5) -> dict[str, Any]:
        """Return the next frame; a close as ``{"close": code}``."""
        assert self.ws is not None
        message = await self.ws.receive(timeout=timeout)
        if message.type != aiohttp.WSMsgType.TEXT:
            return {"close": self.ws.close_code}
        frame = message.json()
        self.seq = frame.get("s", self.seq)
        return frame

    async def send(self, op: int, d: Any) -> None:
        assert self.ws is not None
        await self.ws.send_json({"op": op, "d": d})

    async def identify(self, *, intents: Any = GROUP_AND_C2C, shard: Any = (0, 1), token: str | None = None) -> Any:
        d = {"token": token or self.headers["Authorization"], "intents": intents, "shard": shard}
        await self.send(2, d)
        frame = await self.frame()
        if frame.get("t") == "READY":
            self.session_id = frame["d"]["session_id"]
        return frame

    async def connect(self, **identify: Any) -> None:
        await self.login()
        await self.hello()
        frame = await self.identify(**identify)
        assert frame.get("t") == "READY", frame

    async def resume(self, *, seq: int | None = None, session_id: str | None = None) -> None:
        token = self.headers["Authorization"]
        await self.send(
            6, {"token": token, "session_id": session_id or self.session_id, "seq": self.seq if seq is None else seq}
        )

    async def upload(self, target: str, content: bytes, file_type: int = 1, **more: Any) -> tuple[int, Any]:
        data = base64.b64encode(content).decode()
        body = {"file_type": file_type, "file_data": data, "srv_send_msg": False, **more}
        return await self.call("POST", f"/v2/{target}/files", json=body)

    async def post(self, target: str, **body: Any) -> tuple[int, Any]:
        return await self.call("POST", f"/v2/{target}/messages", json=body)

    async def heard(self) -> dict[str, Any]:
        """Return the `d` of the next event."""
        return (await self.frame())["d"]


Play = Callable[..., AbstractAsyncContextManager[tuple[Sandbox, BareBot]]]


@asynccontextmanager
async def open_bot(sandbox: Sandbox, appid: str = "1020000001") -> AsyncIterator[BareBot]:
    async with aiohttp.ClientSession() as http:
        bot = BareBot(sandbox, http, appid)
        try:
            yield bot
        finally:
            if bot.ws is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await bot.ws.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def play() -> Play:
    """Open a sandbox with these options and a bare bot beside it; `connect=False` leaves the bot outside."""

    @asynccontextmanager
    async def start(*, connect: bool = True, **options: Any) -> AsyncIterator[tuple[Sandbox, BareBot]]:
        async with Sandbox.open(SandboxOptions(**options)) as sandbox, open_bot(sandbox) as bot:
            if connect:
                await bot.connect()
            yield sandbox, bot

    return start


@pytest.fixture
def another_bot() -> Callable[[Sandbox, str], AbstractAsyncContextManager[BareBot]]:
    return open_bot


@pytest.fixture
def png() -> Callable[[int], bytes]:
    return make_png


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until something is so."""

    async def wait(is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_so():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

    return wait


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Serve what a handler returns; give the address."""
    runners = []

    async def start(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> str:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()
