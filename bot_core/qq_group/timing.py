"""Clocks, pauses and chance, as one value, so that a test need not wait."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

__all__ = ("Timing",)

_FIRST_PAUSE_SECONDS: Final = 0.4
_LONGEST_PAUSE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What sending takes its time from.

    Attributes:
        clock: Seconds; only differences count.
        wall_clock: Seconds since the epoch.
        sleep: Waits so many seconds.
        chance: A number from 0 to 1, so that many that failed together do not come again together.
    """

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random

    def pause(self, tries: int) -> float:
        """Return how many seconds to wait after so many tries."""
        return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 10)) * (0.5 + self.chance())
