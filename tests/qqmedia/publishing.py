"""What the tests of publishing share: pictures, and how one is published."""

from __future__ import annotations

import asyncio

from qqmedia import HostedMedia, MediaKind, Upload
from qqmedia.host import MediaHost
from qqmedia.testing import MemoryDriver

__all__ = ("BIG_PNG", "IMAGE", "PNG", "TTL", "Grudging", "published", "turns")

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG_PNG = PNG + b"\0" * 200_000
IMAGE = MediaKind.IMAGE
TTL = 3600.0


async def published(host: MediaHost, content: bytes = PNG) -> HostedMedia:
    async with host.prepare(IMAGE, content) as upload:
        return await host.publish(upload)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Grudging(MemoryDriver):
    """Finds and deletes only as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.finding: Exception | None = None
        self.deleting: Exception | None = None
        self.may_delete = asyncio.Event()
        self.may_delete.set()

    async def find(self, upload: Upload, /) -> str | None:
        if self.finding:
            raise self.finding
        return await super().find(upload)

    async def delete(self, key: str, /) -> None:
        self.running_deletes = True
        await self.may_delete.wait()
        await super().delete(key)
        if self.deleting:
            raise self.deleting

    running_deletes = False
