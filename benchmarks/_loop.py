"""Looks how late an event loop is, by the doing of its own process.

A look is late by as much as the clock says, and by no more than the process computed meanwhile: what the store, the
other side and other programs take of the machine is not counted. Where the system tells (Linux), what the loop's thread
waited for a processor is not counted either.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ("probe",)

PROBE_SECONDS = 0.002


async def probe(delays: list[int]) -> None:
    """Note, in microseconds and until cancelled, by how much each short sleep was too long."""
    with _queued_seconds() as queued:
        while True:
            asked, computed, waited = time.perf_counter(), time.process_time(), queued()
            await asyncio.sleep(PROBE_SECONDS)
            late = time.perf_counter() - asked - PROBE_SECONDS - (queued() - waited)
            delays.append(round(max(0.0, min(late, time.process_time() - computed)) * 1e6))


@contextmanager
def _queued_seconds() -> Iterator[Callable[[], float]]:
    """Give what tells for how long this thread has waited for a processor."""
    try:
        statistics = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    except OSError:  # another system, or a kernel that does not count
        yield lambda: 0.0
        return
    try:
        yield lambda: int(os.pread(statistics, 100, 0).split()[1]) / 1e9
    finally:
        os.close(statistics)
