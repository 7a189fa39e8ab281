"""The probe of the benchmarks: how late a loop is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from benchmarks._loop import probe

DESCRIPTORS = Path("/proc/self/fd")


async def probed(work_seconds: float) -> list[int]:
    """Return what the probe saw while the loop was kept busy once."""
    delays: list[int] = []
    probing = asyncio.create_task(probe(delays), name="probe")
    await asyncio.sleep(0.01)
    until = time.process_time() + work_seconds
    while time.process_time() < until:
        pass
    await asyncio.sleep(0.01)
    probing.cancel()
    await asyncio.wait([probing])
    return delays


def test_the_probe_sees_a_loop_that_was_busy() -> None:
    assert max(asyncio.run(probed(0.05))) > 30_000


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="only Linux shows what is open")
def test_the_probe_leaves_nothing_open() -> None:
    asyncio.run(probed(0))
    before = len(list(DESCRIPTORS.iterdir()))
    asyncio.run(probed(0))
    assert len(list(DESCRIPTORS.iterdir())) == before
