"""A driver of a list that failed rests, and is tried again by one put."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from qqmedia import HostedMedia, HostPolicy, MediaHost, MediaKind, StorageError, StorageUnavailableError
from qqmedia.testing import ManualClock, MemoryDriver
from tests.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


@dataclass
class Line:
    """Two drivers in their order, and a clock that stands."""

    first: MemoryDriver
    second: MemoryDriver
    clock: ManualClock
    host: MediaHost
    pictures: int = 0

    async def put(self) -> HostedMedia:
        self.pictures += 1
        async with self.host.prepare(MediaKind.IMAGE, PNG + bytes([self.pictures])) as upload:
            return await self.host.publish(upload)

    async def break_first(self, times: int = 1) -> None:
        self.first.fail(*(StorageUnavailableError("out of order") for _ in range(times)))


@asynccontextmanager
async def line(*names: str, retries: int = 0, put_timeout: float = 5.0) -> AsyncIterator[Line]:
    first, second, clock = MemoryDriver(name="first"), MemoryDriver(name="second"), ManualClock()
    policy = HostPolicy(retries=retries, retry_wait=0.0, put_timeout=put_timeout)
    chosen = list(names or ("first", "second"))
    async with MediaHost(chosen, plugins=[first, second], policy=policy, clock=clock) as host:
        yield Line(first, second, clock, host)


async def trial_of_the_first(two: Line) -> asyncio.Task[HostedMedia]:
    """Let the first fail and rest; return the put that tries it again, which it holds up."""
    await two.break_first()
    await two.put()
    two.clock.advance(31)
    two.first.stall()
    trial = asyncio.create_task(two.put(), name="trial")
    await until(lambda: two.first.running)
    return trial


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.mark.asyncio
async def test_a_driver_that_failed_is_not_asked_until_its_rest_is_over(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as two:
        await two.break_first()
        assert [(await two.put()).driver for _ in range(5)] == ["second"] * 5
        assert len(two.first.puts) == 1
        two.clock.advance(29.9)
        assert (await two.put()).driver == "second"
        two.clock.advance(0.2)
        assert [(await two.put()).driver for _ in range(3)] == ["first"] * 3
        assert len(said(caplog)) == 2
        assert said(caplog)[0].startswith("driver 'first' rests for 30 s, and the next one is used: driver 'first'")
        assert said(caplog)[1] == "driver 'first' works again"


@pytest.mark.asyncio
async def test_the_rest_grows_to_ten_minutes_and_begins_anew_after_a_success(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as two:
        await two.break_first(7)
        for number, seconds in enumerate((30, 60, 120, 240, 480, 600, 600), start=1):
            assert (await two.put()).driver == "second"
            assert len(two.first.puts) == number
            two.clock.advance(seconds - 0.1)
            await two.put()
            assert len(two.first.puts) == number
            two.clock.advance(0.2)
        assert (await two.put()).driver == "first"
        caplog.clear()
        await two.break_first()
        await two.put()
        assert said(caplog)[0].startswith("driver 'first' rests for 30 s,")


@pytest.mark.asyncio
async def test_one_put_tries_again_while_the_others_go_on() -> None:
    async with line() as two:
        trial = await trial_of_the_first(two)
        assert [(await two.put()).driver for _ in range(3)] == ["second"] * 3
        two.first.resume()
        assert (await trial).driver == "first"
        assert len(two.first.puts) == 2


@pytest.mark.asyncio
async def test_a_trial_that_is_cancelled_leaves_the_trial_to_the_next() -> None:
    async with line() as two:
        trial = await trial_of_the_first(two)
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        two.first.resume()
        assert (await two.put()).driver == "first"


@pytest.mark.asyncio
async def test_many_that_fail_at_once_are_one_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as two:
        two.first.stall()
        await two.break_first(6)
        puts = [asyncio.create_task(two.put(), name="put") for _ in range(6)]
        await until(lambda: two.first.running == 6)
        two.first.resume()
        assert {(await put).driver for put in puts} == {"second"}
        assert len(said(caplog)) == 1
        two.clock.advance(31)
        assert (await two.put()).driver == "first"


@pytest.mark.asyncio
async def test_a_driver_that_is_too_slow_rests_too() -> None:
    async with line(put_timeout=0.05) as two:
        two.first.stall()
        assert [(await two.put()).driver for _ in range(3)] == ["second"] * 3
        assert len(two.first.puts) == 1


@pytest.mark.asyncio
async def test_what_it_has_already_is_given_while_it_rests() -> None:
    async with line() as two, two.host.prepare(MediaKind.IMAGE, PNG) as upload:
        known = await two.host.publish(upload)
        await two.break_first()
        await two.put()
        assert (await two.host.publish(upload)).url == known.url
        assert len(two.first.puts) == 2


@pytest.mark.asyncio
async def test_a_fault_that_does_not_pass_shows_each_time(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as two:
        two.first.fail(StorageError("a bug"), StorageError("a bug"))
        await two.put()
        await two.put()
        assert [line.count("a bug; the next driver is tried") for line in said(caplog)] == [1, 1]


@pytest.mark.asyncio
async def test_a_single_driver_is_asked_each_time() -> None:
    async with line("first") as one:
        await one.break_first(3)
        for number in (1, 2, 3):
            with pytest.raises(StorageUnavailableError, match="out of order"):
                await one.put()
            assert len(one.first.puts) == number
        assert (await one.put()).driver == "first"


@pytest.mark.asyncio
async def test_the_last_of_a_list_is_asked_each_time_and_its_error_is_the_answer() -> None:
    async with line() as two:
        await two.break_first()
        two.second.fail(StorageUnavailableError("also"), StorageUnavailableError("also"))
        for number in (1, 2):
            with pytest.raises(StorageUnavailableError, match=r"driver 'second' .*also"):
                await two.put()
            assert (len(two.first.puts), len(two.second.puts)) == (1, number)


@pytest.mark.asyncio
async def test_direct_at_the_end_means_the_bytes() -> None:
    async with line("first", "direct") as two:
        await two.break_first()
        for _ in range(2):
            hosted = await two.put()
            assert (hosted.url, hosted.driver) == (None, "direct")
        assert await two.host.get_image(PNG) == PNG
        two.clock.advance(31)
        assert (await two.put()).driver == "first"
