"""Short calls that share a trip to a thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qqmedia_drivers.local._batches import Batches
from qqmedia_drivers.local._folder import WriteStopped


@pytest.mark.asyncio
async def test_who_waits_for_the_next_trip_hears_that_the_threads_have_ended() -> None:
    pool = ThreadPoolExecutor(1)
    batches = Batches(pool)
    gates = threading.Event(), threading.Event()

    def through(number: int) -> None:
        assert gates[number].wait(10)

    alone = asyncio.create_task(batches.run(lambda: through(0)))
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(batches.run(lambda: through(1))) for _ in range(2)]
    await asyncio.sleep(0)
    gates[0].set()
    await alone
    late = asyncio.create_task(batches.run(lambda: None))  # the trip before it carries two: it sets off a little later
    await asyncio.sleep(0)
    pool.shutdown(wait=False)
    gates[1].set()
    await asyncio.gather(*crowd)
    with pytest.raises(WriteStopped):
        await asyncio.wait_for(late, 5)
    with pytest.raises(WriteStopped):
        await asyncio.wait_for(batches.run(lambda: None), 5)
