"""COMPAT, `timed_task`: again and again, once, by a trigger, until it is removed or the bot ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

from qqmedia.errors import ConfigurationError
from tests.fakes.adapter import make_bot, running, settled


@pytest.mark.asyncio
async def test_timed_task_runs_again_and_again_until_close() -> None:
    bot, _ = make_bot()
    runs: list[Any] = []
    enough = asyncio.Event()

    @bot.timed_task(each=0.01)
    async def task(given: Any) -> None:
        runs.append(given)
        if len(runs) == 2:
            raise ValueError("an error does not end it")
        if len(runs) == 4:
            enough.set()

    async with running(bot), asyncio.timeout(2):
        await enough.wait()
    count = len(runs)
    await asyncio.sleep(0.03)
    assert len(runs) == count
    assert set(runs) == {bot}


@pytest.mark.asyncio
async def test_timed_task_without_each_runs_once_and_run_when_added_runs_at_once() -> None:
    bot, _ = make_bot()
    runs: list[str] = []

    @bot.timed_task()
    async def once(given: Any) -> None:
        runs.append("once")

    @bot.timed_task(each=60, run_when_added=True)
    async def at_once(given: Any) -> None:
        runs.append("at once")

    @bot.timed_task(each=60)
    async def later(given: Any) -> None:
        runs.append("later")

    async with running(bot):
        await settled()

        @bot.timed_task(run_when_added=True)
        async def added(given: Any) -> None:
            runs.append("added while running")

        await settled()
    assert runs == ["once", "at once", "added while running"]


@pytest.mark.asyncio
async def test_a_timed_task_that_ran_for_the_last_time_is_let_go() -> None:
    bot, _ = make_bot()
    ran = 0

    def add() -> weakref.ref[Any]:
        @bot.timed_task()
        async def once(given: Any) -> None:
            nonlocal ran
            ran += 1

        return weakref.ref(once)

    async with running(bot):
        known = [add() for _ in range(20)]
        await settled()
        gc.collect()
        assert ran == 20
        assert [one() for one in known] == [None] * 20


@pytest.mark.asyncio
async def test_remove_timed_task_removes_exactly_this_tag() -> None:
    bot, _ = make_bot()
    runs: list[str] = []
    third = asyncio.Event()

    @bot.timed_task(each=0.01, sub_tag="news")
    async def news(given: Any) -> None:
        runs.append("news")
        bot.remove_timed_task("news")  # from within: it may finish
        await asyncio.sleep(0)
        runs.append("news finished")

    @bot.timed_task(each=0.01, sub_tag="newsletter")
    async def newsletter(given: Any) -> None:
        runs.append("newsletter")
        if runs.count("newsletter") == 3:
            third.set()

    async with running(bot), asyncio.timeout(2):
        await third.wait()
    assert [run for run in runs if run != "newsletter"] == ["news", "news finished"]


@pytest.mark.asyncio
@pytest.mark.blocking  # APScheduler reads the machine's time zone from a file
async def test_timed_task_with_a_trigger_of_apscheduler() -> None:
    bot, _ = make_bot()
    runs = asyncio.Semaphore(0)

    @bot.timed_task(trigger="cron", second="*")
    async def each_second(given: Any) -> None:
        runs.release()

    @bot.timed_task(each=0.02, jitter=0.001, max_instances=1)
    async def often(given: Any) -> None:
        runs.release()

    async with running(bot), asyncio.timeout(3):
        for _ in range(3):
            await runs.acquire()


@pytest.mark.blocking  # as above
def test_timed_task_refuses_nonsense() -> None:
    bot, _ = make_bot()

    async def task(given: Any) -> None: ...

    for how in ({"each": 0}, {"each": -1}, {"trigger": "moon"}, {"trigger": "cron", "hour": 99}, {"hours": 1}):
        with pytest.raises(ConfigurationError, match="timed_task"):
            bot.timed_task(**how)(task)


def test_timed_task_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apscheduler.triggers.cron", None)
    bot, _ = make_bot()

    async def task(given: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[cron\]"'):
        bot.timed_task(trigger="cron", hour=0)(task)
