"""The threads that everybody in a process shares: made when they are needed, and gone with the last who uses them.

Hosts, transforms, encoders and drivers each have `Threads`: the right to so many calls at once. The threads themselves
belong to nobody. One that is idle serves whoever comes next, and one is made whenever none is idle, so that there are
as many as there is work. Nobody waits for another's calls, were they all to hang (of heavy ones, nobody's first does),
and nobody's closing touches the calls of others.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from qqmedia._pool import Call, LoopCall, Pool, User, Why

__all__ = ("Threads",)

# More give the same throughput with several times the lag of the event loop.
_MOST: Final = 6
# For how long the end of the program waits for what still runs, so that it can take its temporary files away.
_EXIT_SECONDS: Final = 2.0
# Text replies stay as quick as without any voice; without it they take up to eight times as long.
_NICE: Final = 10

T = TypeVar("T")
logger = logging.getLogger("qqmedia.threads")


class Threads:
    """So many calls at once, in threads that all of this process share; further ones wait for those before them.

    It counts as used from its first call until `close`. The methods may be called in any thread.

    Args:
        most: How many calls at once; as a host has them where it is not given.
        heavy: They keep a processor busy. They run at low priority, where the system has that for a thread; and all
            such calls of the process together are no more at once than it has processors, except that everybody always
            has one.
        lingers: The end of the program waits for what still runs, two seconds at most.

    Raises:
        ValueError: `most` is below 1.
    """

    def __init__(self, most: int = _MOST, *, heavy: bool = False, lingers: bool = True) -> None:
        if most < 1:
            raise ValueError(f"most is how many calls run at once, 1 or more; got {most!r}")
        self._pool = _HEAVY if heavy else _LIGHT
        self._user = User(most, lingers=lingers)

    def start(self, function: Callable[..., T], /, *args: Any) -> asyncio.Future[T]:
        """Let a thread call it, and return what brings its result into the event loop that runs here.

        When that is cancelled, a call that has not begun never begins; what comes of one that has is thrown away.

        Raises:
            Exception: The one that `close` was given.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        call = LoopCall(self._user, function, args, future, loop)
        if not self._pool.add(call):
            future.add_done_callback(lambda _: self._pool.drop(call) if future.cancelled() else None)
        return future

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Let a thread call it; as `start`, and needs no event loop.

        The future's callbacks run in that thread, and it counts as busy for as long as they do.
        """
        call = Call(self._pool, self._user, function, args)
        self._pool.add(call)
        return call

    async def finish(self, function: Callable[..., object], why: Why) -> None:
        """Let a thread make a last call, then `close`: also when whoever waits for it is cancelled meanwhile."""
        last = self.start(function)
        last.add_done_callback(lambda _: self.close(why))
        await asyncio.shield(last)  # it may wait for calls that hang

    def close(self, why: Why) -> None:
        """Fail what has not begun, and what comes later, with an error made by `why`; what runs ends by itself."""
        for call in self._pool.leave(self._user, why):
            call.refuse(why())


def _lower_priority() -> None:
    """Let everything else go first, where the system can do that for one thread. Children inherit it."""
    if sys.platform == "linux":  # elsewhere this number could be another process
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        except OSError as error:  # a container may forbid it; the work is done all the same
            logger.debug("threads for heavy work keep their priority: %s", error.strerror)


_LIGHT: Final = Pool("qqmedia")
_HEAVY: Final = Pool("qqmedia-heavy", prepare=_lower_priority, ceiling=os.cpu_count() or 1)


def _linger() -> None:
    """Let what was given up, and still runs, take its temporary files away before the interpreter ends."""
    until = time.monotonic() + _EXIT_SECONDS
    while (_LIGHT.lingering() or _HEAVY.lingering()) and time.monotonic() < until:
        time.sleep(0.01)


atexit.register(_linger)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LIGHT.forget)
    os.register_at_fork(after_in_child=_HEAVY.forget)
