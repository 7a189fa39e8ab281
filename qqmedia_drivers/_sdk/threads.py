"""Runs a synchronous SDK in the driver's share of the threads; a call that nobody waits for is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from qqmedia import StorageUnavailableError
from qqmedia.threads import Threads

__all__ = ("SdkThreads", "Stop", "StoppedError")

# A stopped call ends at its next read of the body, unless it waits for an answer; then the SDK's own limit ends it.
_CANCEL_SECONDS: Final = 2.0

T = TypeVar("T")


class StoppedError(Exception):
    """Raised within a call that nobody waits for any more; nobody hears of it."""


class Stop:
    """Tells a call in a thread that it was cancelled."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the call to end."""
        self._event.set()

    def check(self) -> None:
        """Raise where the call was asked to end.

        Raises:
            StoppedError: It was.
        """
        if self._event.is_set():
            raise StoppedError


class SdkThreads:
    """At most so many calls at once; the rest wait in line, and the host's limits hold for them too.

    A share of the driver's own: a video that goes up keeps nothing waiting that the host does in its threads. Leaving
    its ``async with`` stops what still runs.

    Attributes:
        count: How many calls at once.
    """

    def __init__(self, name: str, count: int) -> None:
        self.count = count
        self._name = name
        # Stopped calls had their moment when the driver closed; what hangs after that does not hold up the program.
        self._threads = Threads(count, lingers=False)
        self._running: dict[Future[Any], Stop] = {}

    async def __aenter__(self) -> Self:
        """Threads begin with the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop what runs, and give it a moment to clean up."""
        self._threads.close(self._closed)
        waiters = []
        for call, stop in list(self._running.items()):
            stop.set()
            waiters.append(asyncio.wrap_future(call))
            waiters[-1].add_done_callback(_ignore)
        if waiters:
            await asyncio.wait(waiters, timeout=_CANCEL_SECONDS)

    async def run(self, call: Callable[[Stop], T], /) -> T:
        """Run a blocking call in one of the threads and return its result.

        When cancelled, a call that has not begun never begins. One that runs is told to stop (its `Stop`, which an
        `UploadBody` asks at every read) and is given two seconds to clean up, so that by then the storage has the
        whole object or nothing. After that it is left to the SDK's own time limits, and still cleans up by itself.

        Raises:
            StorageUnavailableError: The driver was closed before the call began.
        """
        stop = Stop()
        future = self._threads.submit(call, stop)
        self._running[future] = stop
        future.add_done_callback(self._forget)
        waiter = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            stop.set()
            if not future.cancel():
                await asyncio.wait([waiter], timeout=_CANCEL_SECONDS)
            waiter.add_done_callback(_ignore)
            raise
        finally:
            # An error's traceback holds this frame: with these in it, it would keep itself, and sockets, alive.
            del future, waiter

    def share(self, work: Callable[[], object], stop: Stop, *, helpers: int) -> None:
        """Do `work` in this thread, in which one of the calls runs, and meanwhile in free ones of the share too.

        `work` takes one piece after another of a job until none is left; every helper that finds a thread calls it as
        well. Those that find none in time never begin, so that a full share cannot wait for itself. When one
        fails, `stop` is set for all, and the first failure is raised when the last has ended.
        """
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised below, by the thread that asked
                failures.append(error)
                stop.set()

        others = []
        with contextlib.suppress(StorageUnavailableError):  # the driver is being closed: no helpers then
            others += [self._threads.submit(guarded) for _ in range(helpers)]
        guarded()
        wait([other for other in others if not other.cancel()])
        if failures:
            try:
                raise failures[0]
            finally:
                failures.clear()  # else its traceback would keep it alive

    def _closed(self) -> StorageUnavailableError:
        return StorageUnavailableError(f"driver {self._name!r} was closed meanwhile")

    def _forget(self, future: Future[Any]) -> None:
        self._running.pop(future, None)


def _ignore(waiter: asyncio.Future[Any]) -> None:
    """Look at what nobody waits for, so that asyncio does not complain of it."""
    if not waiter.cancelled():
        waiter.exception()
