"""A strict platform for odd faults: token, HTTP calls that are answered by the test, and a gateway that it scripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

APPID = "1020000001"
SECRET = "s3cret-of-the-bot"


@dataclass
class Reply:
    """How the platform answers one HTTP call."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0

    def response(self) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, content_type="text/html", headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@dataclass
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """The platform's end of one socket; acknowledges heartbeats unless it is `deaf`."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.request = request
        self.deaf = False
        self.beats: list[int | None] = []
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.ended = asyncio.Event()

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code

    async def send(self, frame: Any) -> None:
        await self.socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def hello(self, interval: int = 41250) -> dict[str, Any]:
        """Greet, and return what the client says to it."""
        await self.send({"op": 10, "d": {"heartbeat_interval": interval}})
        return await self.frame()

    async def frame(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.frames.get()

    async def ready(self, session_id: str = "session-1", *, seq: int = 1, interval: int = 41250) -> dict[str, Any]:
        """Greet, and accept the identify, which is returned."""
        identify = await self.hello(interval)
        assert identify["op"] == 2, identify
        user = {"id": "1", "username": "bot", "bot": True}
        await self.event("READY", {"version": 1, "session_id": session_id, "user": user, "shard": [0, 0]}, seq=seq)
        return identify

    async def event(self, kind: str, data: Any, *, seq: int) -> None:
        await self.send({"id": f"{kind}:{seq}", "op": 0, "t": kind, "s": seq, "d": data})

    async def close(self, code: int) -> None:
        await self.socket.close(code=code)

    def cut(self) -> None:
        """End the socket without a close frame."""
        assert self.request.transport is not None
        self.request.transport.abort()

    async def gone(self) -> None:
        async with asyncio.timeout(5):
            await self.ended.wait()

    async def serve(self) -> None:
        try:
            async for message in self.socket:
                assert message.type == WSMsgType.TEXT
                frame = json.loads(message.data)
                if frame["op"] != 1:
                    self.frames.put_nowait(frame)
                    continue
                self.beats.append(frame["d"])
                if not self.deaf:
                    with contextlib.suppress(ConnectionError):
                        await self.send({"op": 11})
        finally:
            self.ended.set()


class FakePlatform:
    """Listens on loopback while it is open."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.calls: list[Call] = []
        self.token_calls: list[Call] = []
        self.replies: deque[Reply] = deque()
        self.token_replies: deque[Reply] = deque()
        self.socket_replies: deque[Reply] = deque()
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()
        self.tokens = 0
        self.shards = 1
        self.start_limit = {"total": 1500, "remaining": 1500, "reset_after": 86_400_000, "max_concurrency": 1}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        return f"{self.base}/app/getAppAccessToken"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/app/getAppAccessToken", self._token)
        app.router.add_get("/websocket", self._socket)
        app.router.add_route("*", "/{path:.*}", self._call)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def accept(self) -> Connection:
        async with asyncio.timeout(5):
            return await self.connections.get()

    async def _token(self, request: web.Request) -> web.Response:
        call = await _recorded(request)
        self.token_calls.append(call)
        if self.token_replies:
            reply = self.token_replies.popleft()
            await asyncio.sleep(reply.delay)
            return reply.response()
        if call.json != {"appId": APPID, "clientSecret": SECRET}:
            return Reply(body={"code": 100016, "message": "invalid appid or secret"}).response()
        self.tokens += 1
        return Reply(body={"access_token": f"token-{self.tokens}", "expires_in": "7200"}).response()

    async def _call(self, request: web.Request) -> web.Response:
        call = await _recorded(request)
        self.calls.append(call)
        if self.replies:
            reply = self.replies.popleft()
            await asyncio.sleep(reply.delay)
            return reply.response()
        if call.path == "/gateway/bot":
            url = f"ws://127.0.0.1:{self.port}/websocket"
            return Reply(body={"url": url, "shards": self.shards, "session_start_limit": self.start_limit}).response()
        return Reply().response()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.socket_replies:
            return self.socket_replies.popleft().response()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.put_nowait(connection)
        await connection.serve()
        return socket


async def _recorded(request: web.Request) -> Call:
    return Call(request.method, request.raw_path, dict(request.headers), await request.read())
