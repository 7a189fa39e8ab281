"""The threads that everybody in a process shares: made when they are needed, and gone with the last who uses them.

Hosts, transforms, encoders and drivers each have `Threads`: the right to so many calls at once. The threads themselves
belong to nobody. One that is idle serves whoever comes next, and one is made whenever none is idle, so that there are
as many as there is work. Nobody waits for another's calls, were they all to hang, and nobody's closing touches the
calls of others.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, TypeAlias, TypeVar

__all__ = ("Threads",)

# A thread that nobody needed for so long ends. Making one costs a tenth of a millisecond, as much as a few calls.
_IDLE_SECONDS: Final = 10.0
# For how long the end of the program waits for what still runs, so that it can take its temporary files away.
_EXIT_SECONDS: Final = 2.0
# Text replies stay as quick as without any voice; without it they take up to eight times as long.
_NICE: Final = 10

T = TypeVar("T")
Why: TypeAlias = Callable[[], Exception]
logger = logging.getLogger("qqmedia.threads")


class Threads:
    """So many calls at once, in threads that all of this process share; further ones wait for those before them.

    It counts as used from its first call until `close`. The methods may be called in any thread.

    Args:
        most: How many calls at once.
        heavy: They keep a processor busy. They run at low priority, where the system has that for a thread; and all
            such calls of the process together are no more at once than it has processors, except that everybody always
            has one.
        lingers: The end of the program waits for what still runs, two seconds at most.
    """

    def __init__(self, most: int, *, heavy: bool = False, lingers: bool = True) -> None:
        self._pool = _HEAVY if heavy else _LIGHT
        self._user = _User(most, lingers=lingers)

    def start(self, function: Callable[..., T], /, *args: Any) -> asyncio.Future[T]:
        """Let a thread call it, and return what brings its result into the event loop that runs here.

        When that is cancelled, a call that has not begun never begins; what comes of one that has is thrown away.

        Raises:
            Exception: The one that `close` was given.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        call = _LoopCall(self._user, function, args, future, loop)
        if not self._pool.add(call):
            future.add_done_callback(lambda _: self._pool.drop(call) if future.cancelled() else None)
        return future

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Let a thread call it; as `start`, and needs no event loop."""
        call = _Call(self._pool, self._user, function, args)
        self._pool.add(call)
        return call

    def close(self, why: Why) -> None:
        """Fail what has not begun, and what comes later, with an error made by `why`; what runs ends by itself."""
        for call in self._pool.leave(self._user, why):
            call.refuse(why())


class _User:
    """What the pool knows of one `Threads`; everything here is under its lock."""

    __slots__ = ("counted", "lingers", "most", "running", "waiting", "why")

    def __init__(self, most: int, *, lingers: bool) -> None:
        self.most = most
        self.lingers = lingers
        self.running = 0
        self.waiting: deque[_AnyCall] = deque()
        self.counted = False
        self.why: Why | None = None  # it was closed


class _Call(Future[Any]):
    """A call that is the future of its result at once: any thread may look at it."""

    def __init__(self, pool: _Pool, user: _User, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__()
        self.user = user
        self._pool = pool
        self._work: tuple[Callable[..., Any], tuple[Any, ...]] | None = function, args

    def begin(self) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """Return what is to be done, once; `None` when nobody wants it any more."""
        work, self._work = self._work, None  # who keeps the future for its result keeps nothing else
        return work if self.set_running_or_notify_cancel() else None

    def end(self, result: Any, error: BaseException | None) -> None:
        """Hand over what came of it."""
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    def refuse(self, error: Exception) -> None:
        """Say that it never begins."""
        if self.begin() is not None:
            self.set_exception(error)

    def cancel(self) -> bool:
        """Cancel it unless it runs; then it waits no longer either."""
        cancelled = super().cancel()
        if cancelled:
            self._work = None
            self._pool.drop(self)
        return cancelled


class _LoopCall:
    """A call whose result goes into one event loop: half the price of a future for all threads and its echo there."""

    __slots__ = ("_future", "_loop", "_work", "user")

    def __init__(
        self,
        user: _User,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.user = user
        self._work = function, args
        self._future = future
        self._loop = loop

    def begin(self) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """Return what is to be done; `None` when nobody wants it any more."""
        return None if self._future.cancelled() else self._work

    def end(self, result: Any, error: BaseException | None) -> None:
        """Hand over what came of it."""
        try:
            self._loop.call_soon_threadsafe(_settle, self._future, result, error)
        except RuntimeError:
            logger.debug("nobody hears what came of %r: its event loop is closed", self._work[0])

    def refuse(self, error: Exception) -> None:
        """Say that it never begins."""
        self.end(None, error)


_AnyCall: TypeAlias = _Call | _LoopCall


class _Worker:
    __slots__ = ("call", "wake")

    def __init__(self, call: _AnyCall) -> None:
        self.call: _AnyCall | None = call
        self.wake = threading.Lock()
        self.wake.acquire()


class _Pool:
    """Threads of one priority.

    Args:
        name: Of the threads.
        prepare: Called by each thread when it begins.
        ceiling: How many calls at once, beyond the one that every user may have.
        idle_seconds: After how long an idle thread ends.
    """

    def __init__(
        self,
        name: str,
        *,
        prepare: Callable[[], None] | None = None,
        ceiling: int | None = None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._name = name
        self._prepare = prepare
        self._ceiling = ceiling
        self._idle_seconds = idle_seconds
        self._numbers = itertools.count(1)
        self._users = 0
        self.forget()

    def forget(self) -> None:
        """Begin without threads; in a forked child they are not there."""
        self._lock = threading.Lock()  # event loops may run in several threads
        self._running = 0
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []  # the last one is used first, so that those too many become old
        self._hungry: dict[_User, None] = {}  # who waits though the share is not used up

    def add(self, call: _AnyCall) -> bool:
        """Begin it and return true, or let it wait for its turn."""
        user = call.user
        with self._lock:
            if not user.counted:
                self._enter(user)
            if self._room(user):
                self._begin(call)
                return True
            user.waiting.append(call)
            self._hungry[user] = None
            return False

    def drop(self, call: _AnyCall) -> None:
        """Forget one that waits; do nothing when it has begun."""
        user = call.user
        with self._lock, contextlib.suppress(ValueError):
            user.waiting.remove(call)
            if not user.waiting:
                self._hungry.pop(user, None)

    def leave(self, user: _User, why: Why) -> Iterable[_AnyCall]:
        """Let it have no more calls, and return those that have not begun."""
        with self._lock:
            user.why = user.why or why
            if not user.counted:
                return ()
            user.counted = False
            self._users -= 1
            waiting, user.waiting = user.waiting, deque()
            self._hungry.pop(user, None)
            if not self._users:
                for worker in self._idle:
                    self._workers.discard(worker)
                    worker.wake.release()
                self._idle.clear()
            return waiting

    def lingering(self) -> bool:
        """Return whether something runs that the end of the program waits for."""
        with self._lock:
            return any(worker.call is not None and worker.call.user.lingers for worker in self._workers)

    # --- with the lock

    def _enter(self, user: _User) -> None:
        if user.why is not None:
            raise user.why()
        user.counted = True
        self._users += 1

    def _room(self, user: _User) -> bool:
        return user.running < user.most and (self._ceiling is None or self._running < self._ceiling or not user.running)

    def _begin(self, call: _AnyCall) -> None:
        if self._idle:
            worker = self._idle.pop()
            worker.call = call
            worker.wake.release()
        else:
            worker = _Worker(call)
            name = f"{self._name}-{next(self._numbers)}"
            # Not waited for without end when the interpreter ends: a bot that was stopped would stay for as long as a
            # dead file system or store hangs.
            threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
            self._workers.add(worker)
        call.user.running += 1
        self._running += 1

    def _following(self, user: _User) -> _AnyCall | None:
        """Return what the thread that has ended a call of this user goes on with."""
        if user.waiting and self._room(user):
            return self._first(user)
        if self._ceiling is not None:
            for other in self._hungry:
                if self._room(other):
                    return self._first(other)
        return None

    def _first(self, user: _User) -> _AnyCall:
        call = user.waiting.popleft()
        if not user.waiting:
            self._hungry.pop(user, None)
        user.running += 1
        self._running += 1
        return call

    # --- in the threads

    def _work(self, worker: _Worker) -> None:
        if self._prepare is not None:
            self._prepare()
        call = worker.call
        while call is not None:
            work = call.begin()
            result, error = (None, None) if work is None else _outcome(*work)
            following, stays = self._ended(worker, call.user)
            if work is not None:
                # Now that this thread is free: who hears of it and asks for the next call takes no other one.
                call.end(result, error)
            del work, result, error
            call = following
            if stays and following is None:
                call = self._wait(worker)

    def _ended(self, worker: _Worker, user: _User) -> tuple[_AnyCall | None, bool]:
        with self._lock:
            user.running -= 1
            self._running -= 1
            worker.call = following = self._following(user)
            if following is not None:
                return following, True
            if self._users:
                self._idle.append(worker)
                return None, True
            self._workers.discard(worker)
            return None, False

    def _wait(self, worker: _Worker) -> _AnyCall | None:
        if not worker.wake.acquire(timeout=self._idle_seconds):
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._workers.discard(worker)
                    return None
            worker.wake.acquire()  # a call came at the last moment
        return worker.call


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return function(*args), None
    except StopIteration as error:  # no future takes it
        wrapped = RuntimeError("the function raised StopIteration")
        wrapped.__cause__ = error
        return None, wrapped
    except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
        return None, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # cancelled meanwhile
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _lower_priority() -> None:
    """Let everything else go first, where the system can do that for one thread. Children inherit it."""
    if sys.platform == "linux":  # elsewhere this number could be another process
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        except OSError as error:  # a container may forbid it; the work is done all the same
            logger.debug("threads for heavy work keep their priority: %s", error.strerror)


_LIGHT: Final = _Pool("qqmedia")
_HEAVY: Final = _Pool("qqmedia-heavy", prepare=_lower_priority, ceiling=os.cpu_count() or 1)


def _linger() -> None:
    """Let what was given up, and still runs, take its temporary files away before the interpreter ends."""
    until = time.monotonic() + _EXIT_SECONDS
    while (_LIGHT.lingering() or _HEAVY.lingering()) and time.monotonic() < until:
        time.sleep(0.01)


atexit.register(_linger)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LIGHT.forget)
    os.register_at_fork(after_in_child=_HEAVY.forget)
