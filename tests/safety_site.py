"""What stands behind the addresses of the safety tests: names, and all that listens on this machine."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import pytest
from aiohttp import web

from qqmedia.testing import Resolved
from tests.bot_core.qq_group.uploading import web_server
from tests.safety_table import Try

__all__ = ("PUBLIC", "Names", "Site", "each")

PUBLIC = Resolved("93.184.216.34", connect_to="127.0.0.1")


def each(table: tuple[Try, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("tried", table, ids=lambda tried: ascii(tried.what or tried.text))


class Names:
    """As a system would say it, numbers in all spellings included; public names stand on loopback."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, name: str) -> list[Resolved]:
        self.asked.append(name)
        match name:
            case "pictures.example":
                return [PUBLIC]
            case "half.example":
                return [PUBLIC, Resolved("10.0.0.1")]
            case "rebind.example" if self.asked.count(name) == 1:
                return [PUBLIC]
            case (
                "localhost"
                | "intranet"
                | "nas.local"
                | "metadata.google.internal"
                | "inside.example"
                | "rebind.example"
            ):
                return [Resolved("127.0.0.1")]
        return [Resolved(socket.inet_ntoa(socket.inet_aton(name)))]  # raises OSError


class Site:
    """All that listens on this machine: whoever reaches it under a private address has found what he looked for."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.cookies: list[str] = []
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def served(cls) -> AsyncIterator[Self]:
        """Let it listen."""
        site = cls()
        async with web_server(site.answer) as base:
            site.port = int(base.rpartition(":")[2])
            yield site

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.hosts.append(request.url.host or "")
        self.cookies.append(request.headers.get("Cookie", ""))
        match request.path:
            case "/to":
                return web.Response(status=302, headers={"Location": request.query["url"]})
            case "/loop":
                return web.Response(status=302, headers={"Location": "/loop"})
            case "/cookie":
                return web.Response(body=b"x", headers={"Set-Cookie": "a=b"})
            case "/gzip":
                packed = gzip.compress(bytes(1_000_000))
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "/endless":
                response = web.StreamResponse()
                response.enable_chunked_encoding()
                await response.prepare(request)
                while True:
                    await response.write(bytes(65536))
        return web.Response(body=b"secret")

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def reached(self) -> list[str]:
        """Under which private names."""
        return [host for host in self.hosts if host not in ("pictures.example", "rebind.example")]
