"""Measures for how long the event loop did nothing but one thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ("Heartbeat", "heartbeat")

_BEAT_SECONDS: Final = 0.005


class Heartbeat:
    """A beat that is late shows who holds the loop.

    Attributes:
        worst_seconds: How late the latest beat was.
    """

    def __init__(self) -> None:
        self.worst_seconds = 0.0

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_BEAT_SECONDS)
            self.worst_seconds = max(self.worst_seconds, time.perf_counter() - before - _BEAT_SECONDS)


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Measure until the block ends."""
    heart = Heartbeat()
    task = asyncio.create_task(heart.beat(), name="qqmedia heartbeat")
    try:
        await asyncio.sleep(0)  # it has begun
        yield heart
        await asyncio.sleep(2 * _BEAT_SECONDS)  # a beat that is late now has come
    finally:
        task.cancel()
        await asyncio.wait([task])
