"""The least bot that is correct: aiohttp, pysilk, PyAV, and no feature beyond what the benchmark asks of it.

It is the yardstick. It caches `file_info`, serves pictures from memory, encodes voices in two low-priority threads, and
has one connection to the platform; it has no routing, no reconnect, no error handling, no settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import itertools
import json
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import av
import pysilk
from aiohttp import web

from benchmarks.media import picture

RATE = 24_000


def silk(path: Path) -> bytes:
    """Decode any audio and encode it as Tencent silk."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pcm = bytearray()
    with av.open(str(path)) as source:
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                pcm += bytes(piece.planes[0])[: piece.samples * 2]
        for piece in resampler.resample(None):
            pcm += bytes(piece.planes[0])[: piece.samples * 2]
    pcm += bytes(-len(pcm) % 960)
    out = io.BytesIO()
    pysilk.encode(io.BytesIO(bytes(pcm)), out, RATE, RATE, tencent=True)
    return out.getvalue()


def low_priority() -> None:
    """Let the event loop run first."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class MinimalBot:
    """One account, one connection."""

    def __init__(self, http: aiohttp.ClientSession, api: str, folder: Path) -> None:
        self.http = http
        self.api = api
        self.folder = folder
        self.headers: dict[str, str] = {}
        self.hosted: dict[str, bytes | Path] = {}
        self.base = ""
        self.numbers = itertools.count()
        self.infos: dict[tuple[str, str], str] = {}
        self.threads = ThreadPoolExecutor(os.cpu_count(), initializer=low_priority)
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve what is hosted on a free port."""
        app = web.Application()
        app.router.add_get("/resource/{name}", self.resource)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}/resource/"

    async def resource(self, request: web.Request) -> web.StreamResponse:
        """Answer with a hosted body."""
        body = self.hosted[request.match_info["name"]]
        return web.FileResponse(body) if isinstance(body, Path) else web.Response(body=body)

    async def listen(self) -> None:
        """Log in and answer messages for ever."""
        secret = {"appId": "1020000001", "clientSecret": "benchmark"}
        async with self.http.post(os.environ["QQ_TOKEN_URL"], json=secret) as answer:
            token = "QQBot " + (await answer.json())["access_token"]
        self.headers = {"Authorization": token}
        async with self.http.get(f"{self.api}/gateway", headers=self.headers) as answer:
            url = (await answer.json())["url"]
        async with self.http.ws_connect(url, max_msg_size=0) as socket:
            async for frame in socket:
                event = json.loads(frame.data)
                if event["op"] == 10:
                    self.start(self.beat(socket, event["d"]["heartbeat_interval"] / 1000))
                    await socket.send_json({"op": 2, "d": {"token": token, "intents": 1 << 25, "shard": [0, 1]}})
                elif event["op"] == 0 and event["t"] == "GROUP_AT_MESSAGE_CREATE":
                    self.start(self.answer(event["d"]))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it as a task that is kept until it is done."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def beat(self, socket: aiohttp.ClientWebSocketResponse, interval: float) -> None:
        """Say every `interval` seconds that the bot is there."""
        while True:
            await socket.send_json({"op": 1, "d": None})
            await asyncio.sleep(interval)

    async def answer(self, data: dict[str, Any]) -> None:
        """Do what the message says."""
        group = data["group_openid"]
        word, _, rest = data["content"].strip().partition(" ")
        body: dict[str, Any] = {"msg_id": data["id"], "msg_seq": 1}
        match word:
            case "text":
                body |= {"msg_type": 0, "content": f"echo {rest}"}
            case "same":
                body |= await self.media(group, 1, "0.png", picture(0))
            case "distinct":
                body |= await self.media(group, 1, f"{rest}.png", picture(int(rest)))
            case "voice":
                path = self.folder / f"voice-{rest}.mp3"
                loop = asyncio.get_running_loop()
                body |= await self.media(group, 3, f"{rest}.silk", await loop.run_in_executor(self.threads, silk, path))
            case "video":
                body |= await self.media(group, 2, "video.mp4", self.folder / "video.mp4")
            case _:
                return
        async with self.http.post(f"{self.api}/v2/groups/{group}/messages", json=body, headers=self.headers) as answer:
            await answer.read()

    async def media(self, group: str, file_type: int, name: str, body: bytes | Path) -> dict[str, Any]:
        """Host a body, let the platform fetch it, and return the part of the message that shows it."""
        digest = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else str(body)
        info = self.infos.get((group, digest))
        if info is None:
            name = f"{next(self.numbers)}-{name}"  # eight groups may be shown the same at once
            self.hosted[name] = body
            url = f"{self.api}/v2/groups/{group}/files"
            request = {"file_type": file_type, "url": self.base + name, "srv_send_msg": False}
            async with self.http.post(url, json=request, headers=self.headers) as answer:
                info = (await answer.json())["file_info"]
            del self.hosted[name]
            self.infos[group, digest] = info
        return {"msg_type": 7, "media": {"file_info": info}}


async def main() -> None:
    """Run until killed."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        bot = MinimalBot(http, os.environ["QQ_API_BASE"], Path(sys.argv[1]))
        await bot.serve()
        await bot.listen()


if __name__ == "__main__":
    asyncio.run(main())
