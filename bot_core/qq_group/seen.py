"""Remembers which events came already: the platform repeats some after a resume (PLATFORM 4.4)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ("SeenEvents",)

_KEEP_SECONDS: Final = 600.0
_KEEP_AT_MOST: Final = 100_000


class SeenEvents:
    """Tells a repeated event from a new one, for ten minutes.

    Args:
        limit: How many ids are kept at most.
        clock: Seconds; only differences count.
    """

    def __init__(self, *, limit: int = _KEEP_AT_MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._ids: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ids)

    def repeated(self, *ids: str) -> bool:
        """Return whether any of these ids was seen before, and remember them all. Empty ids do not count."""
        now = self._clock()
        self._forget(now)
        repeated = False
        for one in ids:
            if one and one in self._ids:
                repeated = True
            elif one:
                self._ids[one] = now
        return repeated

    def _forget(self, now: float) -> None:
        ids = self._ids
        while ids:
            oldest = next(iter(ids))
            if len(ids) <= self._limit and now - ids[oldest] < _KEEP_SECONDS:
                return
            del ids[oldest]
