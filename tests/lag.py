"""How late the event loop is while something else goes on."""

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
            before = time.perf_counter()
            await asyncio.sleep(_BEAT_SECONDS)
            lags.late.append(time.perf_counter() - before - _BEAT_SECONDS)

    task = asyncio.create_task(beat(), name="beat")
    try:
        yield lags
    finally:
        task.cancel()
        await asyncio.wait([task])


async def assert_loop_goes_on(work: Callable[[], Awaitable[object]], *, p99_seconds: float = 0.010) -> None:
    """Fail if the work holds the loop up; other programs of this machine may be in the way, so it has some tries."""
    for _ in range(4):
        async with worst_lags() as idle:
            await asyncio.sleep(0.2)
        async with worst_lags() as busy:
            await work()
        print(f"idle: {idle}; busy: {busy}")
        if busy.p99 <= max(p99_seconds, 2 * idle.p99):
            return
    raise AssertionError(f"idle: {idle}; busy: {busy}")
