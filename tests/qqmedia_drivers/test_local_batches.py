"""Short calls that share a trip to a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from qqmedia.threads import Threads
from qqmedia_drivers.local._batches import Batches
from qqmedia_drivers.local._folder import WriteStopped


@pytest.mark.asyncio
async def test_who_waits_for_the_next_trip_hears_that_the_threads_have_ended() -> None:
    threads = Threads(1)
    batches = Batches(threads)
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
    threads.close(WriteStopped)
    gates[1].set()
    await asyncio.gather(*crowd)
    with pytest.raises(WriteStopped):
        await asyncio.wait_for(late, 5)
    with pytest.raises(WriteStopped):
        await asyncio.wait_for(batches.run(lambda: None), 5)


@pytest.mark.asyncio
async def test_a_trip_that_never_began_is_told_to_all_whom_it_would_have_carried() -> None:
    threads = Threads(1)
    batches = Batches(threads)
    gate = threading.Event()
    hanging = threads.start(gate.wait, 10)
    waiting = [asyncio.create_task(batches.run(lambda: None)) for _ in range(2)]
    await asyncio.sleep(0)
    threads.close(WriteStopped)
    for one in waiting:
        with pytest.raises(WriteStopped):
            await asyncio.wait_for(one, 5)
    gate.set()
    assert await hanging


@pytest.mark.asyncio
async def test_who_is_cancelled_on_a_trip_keeps_nobody_else_from_arriving(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads(1)
    batches = Batches(threads)
    gate = threading.Event()
    waiting = [asyncio.create_task(batches.run(lambda: None)) for _ in range(3)]
    hanging = threads.start(gate.wait, 10)
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    gate.set()
    await asyncio.wait_for(waiting[2], 5)
    assert await hanging
    threads.close(WriteStopped)
    assert not caplog.records
