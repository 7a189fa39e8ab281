"""How late the event loop is while something else goes on in this process.

A beat is late by as much as the clock says, and by no more than this process has computed meanwhile: what other
programs of a busy machine take is not our doing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_BEAT_SECONDS = 0.002


@dataclass
class Lags:
    """Seconds by which each beat was late."""

    late: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.late)[int(len(self.late) * 0.99)]

    def __str__(self) -> str:
        return f"{len(self.late)} beats, p99 {self.p99 * 1000:.1f} ms, worst {max(self.late) * 1000:.1f} ms"


@asynccontextmanager
async def worst_lags() -> AsyncIterator[Lags]:
    """Measure until the block ends."""
    lags = Lags()

    async def beat() -> None:
        while True:
            before, computed = time.perf_counter(), time.process_time()
            await asyncio.sleep(_BEAT_SECONDS)
            late = time.perf_counter() - before - _BEAT_SECONDS
            lags.late.append(min(late, time.process_time() - computed))

    task = asyncio.create_task(beat(), name="beat")
    try:
        yield lags
    finally:
        task.cancel()
        await asyncio.wait([task])


async def assert_loop_goes_on(work: Callable[[], Awaitable[object]], *, p99_seconds: float = 0.010) -> None:
    """Fail if the work holds the loop up, each of three times."""
    for _ in range(3):
        async with worst_lags() as lags:
            await work()
        print(lags)
        if lags.p99 <= p99_seconds:
            return
    raise AssertionError(f"the loop was held up: {lags}")
