"""Takes objects down when their time is up: one task, which lives only while there is something to wait for."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from qqmedia._context import Clock

__all__ = ("Expiry",)

# Wake up now and then: the wall clock may have been set, or the machine have slept.
_LONGEST_NAP_SECONDS: Final = 30.0
_AT_ONCE: Final = 8  # deletions

logger = logging.getLogger("qqmedia.host")


class Expiry:
    """Calls `expire` for each key when it is due; a later date replaces an earlier one."""

    def __init__(self, clock: Clock, expire: Callable[[str], Awaitable[None]]) -> None:
        self._clock = clock
        self._expire = expire
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # with outdated entries, which `_due` tells apart
        self._task: asyncio.Task[None] | None = None  # ends by itself, else is ended in `aclose`

    def set(self, key: str, due: float) -> None:
        """Let `key` expire at this time."""
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="qqmedia expiry")

    async def aclose(self) -> None:
        """Stop; what is not due yet is not touched any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        while self._heap:
            wait = self._heap[0][0] - self._clock.time()
            if wait > 0:
                await self._clock.sleep(min(wait, _LONGEST_NAP_SECONDS))
                continue
            async with asyncio.TaskGroup() as tasks:
                for key in self._take_due():
                    tasks.create_task(self._call(key, slots), name=f"qqmedia expiry of {key}")

    def _take_due(self) -> list[str]:
        now, keys = self._clock.time(), []
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                keys.append(key)
        return keys

    async def _call(self, key: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            if key in self._due:  # it got more time while it waited for its turn
                return
            try:
                await self._expire(key)
            except Exception:  # whatever a driver does, the other objects must still go
                logger.exception("the clean-up of %s failed", key)
