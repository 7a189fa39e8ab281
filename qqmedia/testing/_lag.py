"""Measures for how long the event loop did nothing but one thing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ("Heartbeat", "heartbeat")

_BEAT_SECONDS: Final = 0.005
_LONGEST_TURN_SECONDS: Final = 0.05  # what took a thread longer that only sleeps, the machine took


class Heartbeat:
    """A beat that is late shows who holds the loop.

    It is late by as much as the clock says, and by no more than this process could do meanwhile: what the loop's thread
    computed, and for how long another thread went on that does nothing. What a busy machine took from both of them is
    nobody's fault.

    Attributes:
        worst_seconds: How late the latest beat was.
    """

    def __init__(self) -> None:
        self.worst_seconds = 0.0
        self._went_on = 0.0
        self._over = threading.Event()
        self._other = threading.Thread(target=self._go_on, name="qqmedia heartbeat", daemon=True)

    def _go_on(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(_BEAT_SECONDS):
            now = time.perf_counter()
            self._went_on += min(now - last, _LONGEST_TURN_SECONDS)
            last = now

    async def beat(self) -> None:
        """Beat until cancelled."""
        self._other.start()
        try:
            while True:
                before, went_on = time.perf_counter(), self._went_on + time.thread_time()
                await asyncio.sleep(_BEAT_SECONDS)
                late = time.perf_counter() - before - _BEAT_SECONDS
                self.worst_seconds = max(self.worst_seconds, min(late, self._went_on + time.thread_time() - went_on))
        finally:
            self._over.set()


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
