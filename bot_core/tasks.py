"""Timed tasks: run while the bot runs, and end with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot_core.calls import call, describe
from bot_core.slots import Slot, current_slot
from qqmedia.errors import ConfigurationError

__all__ = ("TimedTasks",)

# The wall clock may be set, or the machine sleep: look at it again at least this often.
_LONGEST_SLEEP_SECONDS: Final = 60.0

logger = logging.getLogger("bot_core.tasks")


@dataclass(slots=True, eq=False)
class _TimedTask:
    function: Callable[..., Any]
    tag: str
    each: float | None
    at_once: bool
    trigger: Any
    task: asyncio.Task[None] | None = None
    running: bool = False
    removed: bool = False

    def end(self) -> None:
        """Let no further run begin; one that runs may finish."""
        self.removed = True
        if self.task is not None and not self.running:
            self.task.cancel()


class TimedTasks:
    """The timed tasks that were registered on one bot."""

    def __init__(self, bot: object, on_exit: Callable[[SystemExit], None]) -> None:
        self._bot = bot
        self._on_exit = on_exit
        self._entries: list[_TimedTask] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False

    def add(
        self, function: Callable[..., Any], *, each: float | None, tag: str, at_once: bool, options: dict[str, Any]
    ) -> None:
        """Take a task in; it begins with the bot, or now if that runs already.

        Raises:
            ConfigurationError: `options` need the extra `cron`, or make no sense.
        """
        if each is not None and each <= 0:
            raise ConfigurationError(f"timed_task(each={each!r}): the time between two runs is more than 0 seconds")
        trigger = _make_trigger(each, options) if options else None
        entry = _TimedTask(function, tag, each, at_once, trigger)
        self._entries.append(entry)
        if self._started:
            self._begin(entry)

    def remove(self, tag: str) -> None:
        """Remove every task with this tag."""
        for entry in self._entries:
            if entry.tag == tag:
                entry.end()
        self._entries = [entry for entry in self._entries if not entry.removed]

    def start(self) -> None:
        """Begin all of them, in the running loop."""
        self._started = True
        for entry in self._entries:
            self._begin(entry)

    def stop(self) -> set[asyncio.Task[None]]:
        """Begin no further run; return the tasks that are not through yet, for the caller to await."""
        self._started = False
        for entry in self._entries:
            entry.end()
        return set(self._tasks)

    def _begin(self, entry: _TimedTask) -> None:
        task = asyncio.create_task(self._repeat(entry), name=f"timed task {describe(entry.function)}")
        entry.task = task
        self._tasks.add(task)  # `stop` hands them to the bot, which awaits them
        task.add_done_callback(lambda done: self._ended(done, entry))

    def _ended(self, task: asyncio.Task[None], entry: _TimedTask) -> None:
        self._tasks.discard(task)
        if entry in self._entries:  # it ran for the last time: a bot that adds such tasks all day must not keep them
            self._entries.remove(entry)

    async def _repeat(self, entry: _TimedTask) -> None:
        current_slot.set(Slot(self._bot))
        if entry.at_once or (entry.each is None and entry.trigger is None):
            await self._run(entry)
        async for _ in _beats(entry):
            await self._run(entry)
            if entry.removed:  # while it ran; a sleeping one is cancelled
                break

    async def _run(self, entry: _TimedTask) -> None:
        entry.running = True
        try:
            await call(entry.function, self._bot)
        except SystemExit as error:  # out of the task it would tear down the loop
            self._on_exit(error)
        except Exception:  # a bot author's bug must not stop the next run
            logger.exception("timed task %s failed", describe(entry.function))
        finally:
            entry.running = False


async def _beats(entry: _TimedTask) -> AsyncIterator[None]:
    """Yield whenever a run is due; runs that were missed because one took long are left out."""
    if entry.trigger is not None:
        previous: datetime | None = None
        while (due := entry.trigger.get_next_fire_time(previous, datetime.now().astimezone())) is not None:
            await _sleep_until(due)
            yield
            previous = due
    elif entry.each is not None:
        clock = asyncio.get_running_loop().time
        due_at = clock() + entry.each
        while True:
            await asyncio.sleep(due_at - clock())
            yield
            due_at += entry.each * max(1, (clock() - due_at) // entry.each)


async def _sleep_until(due: datetime) -> None:
    left = (due - datetime.now().astimezone()).total_seconds()
    while left > 0:
        await asyncio.sleep(min(left, _LONGEST_SLEEP_SECONDS))
        left = (due - datetime.now().astimezone()).total_seconds()


# What APScheduler's `add_job` takes besides the trigger's own words. Runs of one task never overlap here.
_JOB_OPTIONS: Final = frozenset({"coalesce", "max_instances", "misfire_grace_time", "name"})


def _make_trigger(each: float | None, options: dict[str, Any]) -> Any:
    try:
        from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - an extra
        from apscheduler.triggers.date import DateTrigger  # noqa: PLC0415
        from apscheduler.triggers.interval import IntervalTrigger  # noqa: PLC0415
    except ModuleNotFoundError as error:
        given = ", ".join(options)
        raise ConfigurationError(
            f'timed_task({given}) needs a scheduler, which is not installed; run: pip install "qqmedia[cron]"'
        ) from error
    words = {name: value for name, value in options.items() if name not in _JOB_OPTIONS and name != "trigger"}
    kind = options.get("trigger", "date" if each is None else "interval")
    if each is not None:
        words["seconds"] = each
    if not isinstance(kind, str):
        return kind
    kinds = {"cron": CronTrigger, "date": DateTrigger, "interval": IntervalTrigger}
    if kind not in kinds:
        raise ConfigurationError(f"timed_task(trigger={kind!r}): the triggers are {', '.join(kinds)}")
    try:
        return kinds[kind](**words)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"timed_task(trigger={kind!r}) with {words}: {error}") from error
