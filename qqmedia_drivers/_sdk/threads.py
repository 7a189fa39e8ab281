"""Runs a synchronous SDK in a bounded pool of the driver's own, where a call that nobody waits for is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, Final, Self, TypeVar

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

    Leaving its ``async with`` stops what still runs.

    Attributes:
        count: How many threads there are.
    """

    def __init__(self, name: str, count: int) -> None:
        self.count = count
        self._pool = _Pool(f"qqmedia-{name}", count)
        self._running: dict[Future[Any], Stop] = {}

    async def __aenter__(self) -> Self:
        """Threads begin with the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop what runs, and give it a moment to clean up."""
        self._pool.close()
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
        """
        stop = Stop()
        future = self._pool.submit(lambda: call(stop))
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
        """Do `work` in this thread, which is one of the pool's, and meanwhile in free ones too.

        `work` takes one piece after another of a job until none is left; every helper that finds a thread calls it as
        well. Those that find none in time never begin, so that full threads cannot wait for each other. When one
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
        with contextlib.suppress(RuntimeError):  # the pool is being closed: no helpers then
            others += [self._pool.submit(guarded) for _ in range(helpers)]
        guarded()
        wait([other for other in others if not other.cancel()])
        if failures:
            try:
                raise failures[0]
            finally:
                failures.clear()  # else its traceback would keep it alive

    def _forget(self, future: Future[Any]) -> None:
        self._running.pop(future, None)


class _Pool:
    """At most so many threads, begun as they are needed.

    `concurrent.futures` waits for its threads when the interpreter ends: with a store that does not answer, a bot that
    was stopped would stay for all of the SDK's time limit. These end with it.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._most = count
        self._begun = 0
        self._idle = threading.Semaphore(0)
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Let a thread call it.

        Raises:
            RuntimeError: The pool is closed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the threads of {self._name} have ended")
            self._calls.put((future, call))
            if not self._idle.acquire(blocking=False) and self._begun < self._most:
                self._begun += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._begun}", daemon=True).start()
        return future

    def close(self) -> None:
        """Cancel what has not begun; a thread ends after the call that it is in."""
        with self._lock:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while (waiting := self._calls.get_nowait()) is not None:
                    waiting[0].cancel()
            for _ in range(self._begun):
                self._calls.put(None)

    def _work(self) -> None:
        while (waiting := self._calls.get()) is not None:
            future, call = waiting
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del waiting, future, call  # an error's traceback holds this frame
            self._idle.release()


def _ignore(waiter: asyncio.Future[Any]) -> None:
    """Look at what nobody waits for, so that asyncio does not complain of it."""
    if not waiter.cancelled():
        waiter.exception()
