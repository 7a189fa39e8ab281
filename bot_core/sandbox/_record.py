"""Keeps what happened, bounded, and tells whoever listens or waits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence

from bot_core.sandbox._signal import Signal
from bot_core.sandbox._values import (
    Acknowledged,
    Arrived,
    Connection,
    Happening,
    Recalled,
    Refused,
    Said,
    Undelivered,
    UploadCall,
)

__all__ = ("Record",)


class Record:
    """The history of one sandbox, the newest `kept` entries of each kind."""

    def __init__(self, kept: int) -> None:
        self.arrived: deque[Arrived] = deque(maxlen=kept)
        self.refused: deque[Refused] = deque(maxlen=kept)
        self.recalled: deque[Recalled] = deque(maxlen=kept)
        self.acknowledged: deque[Acknowledged] = deque(maxlen=kept)
        self.undelivered: deque[Undelivered] = deque(maxlen=kept)
        self.upload_calls: deque[UploadCall] = deque(maxlen=kept)
        self.calls: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._last_number = 0
        self._read_number = 0
        self._listeners: list[Callable[[Happening], None]] = []
        self._arrival = Signal()

    def subscribe(self, listener: Callable[[Happening], None]) -> Callable[[], None]:
        """Call `listener` with everything that happens from now on; the returned function ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def next_number(self) -> int:
        """Return the number of the arrival that is being made."""
        self._last_number = next(self._numbers)
        return self._last_number

    def note(self, happening: Happening) -> None:
        """Keep an entry and tell everybody."""
        match happening:
            case Arrived():
                self.arrived.append(happening)
                self._arrival.fire()
            case Refused():
                self.refused.append(happening)
            case Recalled():
                self.recalled.append(happening)
            case Acknowledged():
                self.acknowledged.append(happening)
            case Undelivered():
                self.undelivered.append(happening)
            case Said() | Connection():
                pass
        if self._listeners:
            for listener in tuple(self._listeners):
                listener(happening)

    def since(self, number: int) -> Sequence[Arrived]:
        """Return the arrivals after the one with this number, oldest first."""
        if not self.arrived or number >= self._last_number:
            return ()
        skipped = max(0, number + 1 - self.arrived[0].number)
        return tuple(itertools.islice(self.arrived, skipped, None))

    async def wait_since(self, number: int, timeout: float) -> Sequence[Arrived]:
        """Return the arrivals after this number as soon as there are any, or nothing after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._last_number <= number:
                    await self._arrival.wait()
        return self.since(number)

    async def next_arrival(self) -> Arrived:
        """Return the first arrival that this method has not returned before."""
        while self._last_number <= self._read_number:
            await self._arrival.wait()
        first = self.arrived[0].number
        arrival = self.arrived[max(0, self._read_number + 1 - first)]
        self._read_number = arrival.number
        return arrival
