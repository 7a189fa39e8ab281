"""Looks how late an event loop is, by the doing of its own process.

A look is late by as much as the clock says, and by no more than the process computed meanwhile: what the store, the
other side and other programs take of the machine is not counted.
"""

from __future__ import annotations

import asyncio
import time

__all__ = ("probe",)

PROBE_SECONDS = 0.002


async def probe(delays: list[int]) -> None:
    """Note, in microseconds and until cancelled, by how much each short sleep was too long."""
    while True:
        asked, computed = time.perf_counter(), time.process_time()
        await asyncio.sleep(PROBE_SECONDS)
        late = time.perf_counter() - asked - PROBE_SECONDS
        delays.append(round(min(late, time.process_time() - computed) * 1e6))
