"""The driver keeps every promise of the contract, before a real WebDAV server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio
from qqmedia_webdav import qqmedia_register_drivers
from webdav_server import Server

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverAt, DriverConformance, open_driver

Opener = Callable[..., AbstractAsyncContextManager[Driver]]

SPEC = qqmedia_register_drivers()


class TestWebDAV(DriverConformance):
    types_by_extension = True
    server: Server

    @pytest.fixture
    def opener(self, server: Server) -> Opener:
        self.server = server

        def open_it(url: str = server.url, password: str = server.password) -> AbstractAsyncContextManager[Driver]:
            return open_driver(SPEC, url=url, user=server.user, password=password, public_url=server.public_url)

        return open_it

    @pytest_asyncio.fixture
    async def driver(self, opener: Opener) -> AsyncIterator[Driver]:
        async with opener() as driver:
            yield driver

    @pytest.fixture
    def faulty(self, server: Server, opener: Opener) -> DriverAt:
        return DriverAt(server.address, lambda url: opener(server.url.replace(server.address, url)))

    @pytest.fixture
    def wrong_credentials(self, opener: Opener) -> AbstractAsyncContextManager[Driver]:
        return opener(password="wr0ng-password")

    @pytest.fixture
    def secrets(self, server: Server) -> Collection[str]:
        passwords = [server.password, "wr0ng-password"]
        return passwords + [base64.b64encode(f"bot:{one}".encode()).decode() for one in passwords]

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return SPEC

    async def read(self, key: str) -> bytes | None:
        file = self.server.folder / key.replace("/", "~")
        return await asyncio.to_thread(lambda: file.read_bytes() if file.exists() else None)

    async def remove(self, key: str) -> None:
        await asyncio.to_thread((self.server.folder / key.replace("/", "~")).unlink, missing_ok=True)

    async def leftovers(self) -> Collection[str]:
        return await asyncio.to_thread(lambda: [file.name for file in self.server.folder.glob(".qqmedia-*")])
