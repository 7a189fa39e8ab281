"""A clock that stands until it is moved."""

from __future__ import annotations

import asyncio

__all__ = ("ManualClock",)


class ManualClock:
    """A host's clock, moved by hand: nothing expires unless a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._moved = asyncio.Event()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was moved so far."""
        until = self._now + seconds
        while self._now < until:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        """Move the clock; whoever sleeps looks at it when the event loop runs next."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()
