"""A driver that keeps everything in memory, and serves it over a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from qqmedia._context import Clock
from qqmedia.driver import DriverContext, DriverSpec
from qqmedia.errors import StorageError
from qqmedia.guard import NameResolver
from qqmedia.hookspecs import hookimpl
from qqmedia.host import HostPolicy, MediaHost
from qqmedia.media import Reach, Upload, Workspace

__all__ = ("MemoryDriver", "StoredMedia", "memory_host")


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """An object in memory."""

    content: bytes = field(repr=False)
    content_type: str


class MemoryDriver:
    """Stores media in a dictionary; their URLs answer on a free port of 127.0.0.1. Also a plugin that brings itself.

    Open it with `serve`, or hand it to a host: ``open_host("memory", plugins=[MemoryDriver()])``.

    Attributes:
        objects: What is stored, by key.
        puts: Keys in the order in which `put` was called, failures included.
        deleted: Keys in the order in which `delete` was called.
        failures: Raised by the next puts, one each.
        running: How many puts run now.
        most_running: How many ran at once, at most.
    """

    def __init__(self, *, name: str = "memory", reach: Reach = Reach.PUBLIC) -> None:
        self.objects: dict[str, StoredMedia] = {}
        self.puts: list[str] = []
        self.deleted: list[str] = []
        self.failures: list[Exception] = []
        self.running = 0
        self.most_running = 0
        self._name = name
        self._reach = reach
        self._base_url: str | None = None
        self._go = asyncio.Event()
        self._go.set()

    @property
    def reach(self) -> Reach:
        """As it was told to claim."""
        return self._reach

    @property
    def keeps(self) -> bool:
        """What it holds stays until it is deleted."""
        return True

    def fail(self, *errors: Exception) -> None:
        """Let the next puts raise these, one each."""
        self.failures.extend(errors)

    def stall(self) -> None:
        """Let every put wait until `resume`."""
        self._go.clear()

    def resume(self) -> None:
        """Let stalled puts go on."""
        self._go.set()

    async def put(self, upload: Upload, /) -> str:
        """Store the upload and return its URL.

        Raises:
            StorageError: It is not open.
        """
        self.puts.append(upload.key)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self._go.wait()
            if self.failures:
                raise self.failures.pop(0)
            url = self._url(upload.key)
            content = upload.content if isinstance(upload.content, bytes) else await asyncio.to_thread(upload.read)
        finally:
            self.running -= 1
        self.objects[upload.key] = StoredMedia(content, upload.content_type)
        return url

    async def find(self, upload: Upload, /) -> str | None:
        """Return the URL of an object that is there."""
        stored = self.objects.get(upload.key)
        return self._url(upload.key) if stored and len(stored.content) == upload.size else None

    async def delete(self, key: str, /) -> None:
        """Forget the object."""
        self.deleted.append(key)
        self.objects.pop(key, None)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Answer the URLs until the block ends."""
        application = web.Application()
        application.router.add_get("/{key:.+}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self._base_url = None
            await runner.cleanup()

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        """Bring this very object as a driver."""
        return DriverSpec(name=self._name, open=self._open)

    @asynccontextmanager
    async def _open(self, _settings: Any, _context: DriverContext) -> AsyncIterator[Self]:
        async with self.serve():
            yield self

    def _url(self, key: str) -> str:
        if self._base_url is None:
            raise StorageError("the memory driver is not open; enter serve() first")
        return f"{self._base_url}/{key}"

    async def _answer(self, request: web.Request) -> web.Response:
        stored = self.objects.get(request.match_info["key"])
        if stored is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": stored.content_type, "Cache-Control": "public", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=stored.content, headers=headers)


@asynccontextmanager
async def memory_host(
    driver: MemoryDriver | None = None,
    *,
    policy: HostPolicy | None = None,
    plugins: Sequence[object] = (),
    clock: Clock | None = None,
    resolver: NameResolver | None = None,
    platform_on_loopback: bool = True,
    state_dir: str | os.PathLike[str] | None = None,
) -> AsyncIterator[MediaHost]:
    """Open a host whose media stay in memory.

    Args:
        driver: The driver, to look into it or to make it fail; a new one by default.
        policy: Limits; by default those of `HostPolicy`, with no pause between tries.
        plugins: More objects with hooks.
        clock: When media expire; the system's by default.
        resolver: What host names mean to downloads; the system's by default.
        platform_on_loopback: Downloads may come from loopback addresses, and those count as reachable.
        state_dir: For the secret of object names; by default a temporary folder, so that nothing of the user's is
            touched, and names differ from host to host.
    """
    driver = driver or MemoryDriver()
    workspace = Workspace()
    try:
        async with MediaHost(
            driver.qqmedia_register_drivers().name,
            policy=policy or HostPolicy(retry_wait=0.0),
            plugins=[driver, *plugins],
            clock=clock,
            resolver=resolver,
            platform_on_loopback=platform_on_loopback,
            state_dir=state_dir or await asyncio.to_thread(workspace.file),
        ) as host:
            yield host
    finally:
        await asyncio.to_thread(workspace.close)
