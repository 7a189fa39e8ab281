"""An object is taken down when its time is up, and not under somebody who has it stored again."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc

import pytest

from qqmedia import HostedMedia, QQMediaError, StoragePermissionError, hookimpl
from qqmedia.testing import ManualClock, MemoryDriver, memory_host
from tests.qqmedia.publishing import BIG_PNG, PNG, TTL, Grudging, published, turns
from tests.waiting import until


@pytest.mark.asyncio
async def test_an_object_is_taken_down_when_its_time_is_up_and_not_before() -> None:
    driver, clock, seen = MemoryDriver(), ManualClock(), []

    class Listener:
        @hookimpl
        def qqmedia_unpublished(self, media: HostedMedia) -> None:
            seen.append(media)

    async with memory_host(driver, clock=clock, plugins=[Listener()]) as host:
        hosted = await published(host)
        clock.advance(TTL / 2 + 1)
        await published(host)  # found again: its life is longer now
        clock.advance(TTL / 2 + 1)
        await turns(20)
        assert driver.deleted == []
        clock.advance(TTL / 2)
        await until(lambda: seen)
        assert driver.deleted == [hosted.upload.key]
        assert seen[0].url == hosted.url
        await published(host)  # and it can come back
        assert len(driver.puts) == 2


@pytest.mark.asyncio
async def test_closing_deletes_nothing_and_ends_what_runs() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        await published(host)
        driver.stall()
        task = asyncio.create_task(published(host, BIG_PNG))
        await until(lambda: driver.running)
    with pytest.raises(QQMediaError, match="closed while"):
        await task
    assert driver.deleted == []
    assert driver.running == 0
    assert [one.get_name() for one in asyncio.all_tasks() if "qqmedia" in one.get_name()] == []


@pytest.mark.asyncio
async def test_listeners_hear_of_it_and_their_faults_fail_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[HostedMedia] = []

    class Careful:
        @hookimpl
        def qqmedia_published(self, media: HostedMedia) -> None:
            seen.append(media)

    class Careless:
        @hookimpl(tryfirst=True)
        def qqmedia_published(self) -> None:
            raise ValueError("what have I done")

    async with memory_host(plugins=[Careful(), Careless()]) as host:
        with caplog.at_level(logging.ERROR):
            hosted = await published(host)
    assert [one.url for one in seen] == [hosted.url]
    assert "Careless" in caplog.text
    assert "qqmedia_published" in caplog.text


@pytest.mark.asyncio
async def test_what_is_being_deleted_is_stored_again_only_when_it_is_gone() -> None:
    driver, clock = Grudging(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        hosted = await published(host)
        driver.may_delete.clear()
        clock.advance(TTL + 1)
        await until(lambda: driver.running_deletes)
        again = asyncio.create_task(published(host))
        await turns(20)
        assert len(driver.puts) == 1
        driver.may_delete.set()
        assert (await again).url == hosted.url
        await until(lambda: driver.deleted)
        assert hosted.upload.key in driver.objects


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [StoragePermissionError("put only"), KeyError("bug"), TimeoutError()])
async def test_an_object_that_cannot_be_deleted_is_a_line_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    driver, clock = Grudging(), ManualClock()
    driver.deleting = error
    async with memory_host(driver, clock=clock) as host:
        first = await published(host)
        second = await published(host, PNG + b"2")
        clock.advance(TTL + 1)
        await until(lambda: len(driver.deleted) == 2)
        await turns()
        assert set(driver.deleted) == {first.upload.key, second.upload.key}
        assert (await published(host)).url
    lines = [record.getMessage() for record in caplog.records if "stays there" in record.getMessage()]
    assert len(lines) == 2
    assert all("driver 'memory' could not delete" in line for line in lines)


@pytest.mark.asyncio
async def test_what_is_being_stored_again_when_its_time_is_up_is_not_deleted() -> None:
    driver, clock = MemoryDriver(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        hosted = await published(host)
        driver.objects.clear()
        clock.advance(TTL - 1)
        driver.stall()
        renewing = asyncio.create_task(published(host))
        await until(lambda: driver.running)
        clock.advance(2)
        await turns(20)
        assert driver.deleted == []
        driver.resume()
        await renewing
        clock.advance(TTL - 1)
        await turns(20)
        assert driver.deleted == []
        clock.advance(2)
        await until(lambda: driver.deleted == [hosted.upload.key])


@pytest.mark.asyncio
async def test_what_was_stored_again_while_it_waited_to_be_deleted_is_not_deleted() -> None:
    driver, clock = Grudging(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        contents = {
            (await published(host, content)).upload.key: content for content in (PNG + bytes([n]) for n in range(12))
        }
        driver.may_delete.clear()
        clock.advance(TTL + 1)
        await until(lambda: driver.running_deletes)  # a few at once, and in the order of their keys
        renewed = await published(host, contents[max(contents)])
        driver.may_delete.set()
        await until(lambda: len(driver.deleted) >= 11)
        await turns(20)
        assert renewed.upload.key not in driver.deleted
        clock.advance(TTL + 1)
        await until(lambda: renewed.upload.key in driver.deleted)


@pytest.mark.asyncio
async def test_what_is_remembered_has_a_bound() -> None:
    """Of two hundred pictures of 200 KB only the last few are kept, to be compared with what comes next."""
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        await published(host)
        tracemalloc.start()
        try:
            for number in range(200):
                await published(host, BIG_PNG + bytes([number]))
            driver.objects.clear()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 4 * 1024 * 1024 + 2 * len(BIG_PNG)
        finally:
            tracemalloc.stop()
