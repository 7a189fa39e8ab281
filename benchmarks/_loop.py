"""Looks how late an event loop is."""

from __future__ import annotations

import asyncio
import time

__all__ = ("probe",)

PROBE_SECONDS = 0.002


async def probe(delays: list[int]) -> None:
    """Note, in microseconds and until cancelled, by how much each short sleep was too long."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(PROBE_SECONDS)
        delays.append(round((time.perf_counter() - asked - PROBE_SECONDS) * 1e6))
