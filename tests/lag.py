"""How late the event loop is while something else goes on in this process.

A beat is late by as much as the clock says, and by no more than this process has computed meanwhile: what other
programs of a busy machine take is not our doing. Where the system tells (Linux), what the loop's thread waited for a
processor is left out too: then all that counts is who kept the interpreter to himself.
"""

from __future__ import annotations

import asyncio
import os
import threading
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


def _statistics(thread: int) -> int | None:
    try:
        return os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
    except OSError:  # another system, or a kernel that does not count
        return None


@asynccontextmanager
async def worst_lags() -> AsyncIterator[Lags]:
    """Measure until the block ends."""
    lags = Lags()
    statistics = await asyncio.to_thread(_statistics, threading.get_native_id())

    def waited() -> float:
        """Return for how long this thread has waited for a processor until now."""
        return int(os.pread(statistics, 100, 0).split()[1]) / 1e9 if statistics is not None else 0.0

    async def beat() -> None:
        while True:
            before, computed, queued = time.perf_counter(), time.process_time(), waited()
            await asyncio.sleep(_BEAT_SECONDS)
            late = time.perf_counter() - before - _BEAT_SECONDS - (waited() - queued)
            lags.late.append(max(0.0, min(late, time.process_time() - computed)))

    task = asyncio.create_task(beat(), name="beat")
    try:
        yield lags
    finally:
        task.cancel()
        await asyncio.wait([task])
        if statistics is not None:
            os.close(statistics)


async def assert_loop_goes_on(work: Callable[[], Awaitable[object]], *, p99_seconds: float = 0.010) -> None:
    """Fail if the work holds the loop up, each of three times."""
    for _ in range(3):
        async with worst_lags() as lags:
            await work()
        print(lags)
        if lags.p99 <= p99_seconds:
            return
    raise AssertionError(f"the loop was held up: {lags}")
