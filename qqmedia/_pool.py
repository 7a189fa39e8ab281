"""What `qqmedia.threads` is made of: calls, the users who make them, and a pool that begins each as soon as it may."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, TypeAlias

__all__ = ("Call", "LoopCall", "Pool", "User", "Why")

# A thread that nobody needed for so long ends. Making one costs a tenth of a millisecond, as much as a few calls.
_IDLE_SECONDS: Final = 10.0

Why: TypeAlias = Callable[[], Exception]
logger = logging.getLogger("qqmedia.threads")


class User:
    """What the pool knows of one `Threads`; everything here is under its lock."""

    __slots__ = ("lingers", "most", "running", "waiting", "why")

    def __init__(self, most: int, *, lingers: bool) -> None:
        self.most = most
        self.lingers = lingers
        self.running = 0
        self.waiting: deque[AnyCall] = deque()
        self.why: Why | None = None  # it was closed


class Call(Future[Any]):
    """A call that is the future of its result at once: any thread may look at it."""

    def __init__(self, pool: Pool, user: User, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__()
        self.user = user
        self._pool = pool
        self._work: tuple[Callable[..., Any], tuple[Any, ...]] | None = function, args

    def begin(self) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """Return what is to be done, once; `None` when nobody wants it any more."""
        work, self._work = self._work, None  # who keeps the future for its result keeps nothing else
        return work if self.set_running_or_notify_cancel() else None

    def end(self, result: Any, error: BaseException | None) -> None:
        """Hand over what came of it; callbacks are called in here."""
        try:
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)
        except BaseException:  # `Future` lets `SystemExit` through, which would end a thread that is not the callback's
            logger.exception("a callback of %r failed", self)

    def refuse(self, error: Exception) -> None:
        """Say that it never begins."""
        if self.begin() is not None:
            self.set_exception(error)

    def cancel(self) -> bool:
        """Cancel it unless it runs; then it waits no longer either."""
        cancelled = super().cancel()
        if cancelled:
            self._work = None
            if self._pool.drop(self):  # else its thread, or who closes, says so
                self.set_running_or_notify_cancel()  # or `concurrent.futures.wait` would wait for it
        return cancelled


class LoopCall:
    """A call whose result goes into one event loop: half the price of a future for all threads and its echo there."""

    __slots__ = ("_future", "_loop", "_work", "user")

    def __init__(
        self,
        user: User,
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


AnyCall: TypeAlias = Call | LoopCall


class _Worker:
    __slots__ = ("call", "wake")

    def __init__(self, call: AnyCall) -> None:
        self.call: AnyCall | None = call
        self.wake = threading.Lock()
        self.wake.acquire()


class Pool:
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
        self._users: set[User] = set()
        self.forget()

    def forget(self) -> None:
        """Begin without threads and calls; in a forked child they are not there."""
        self._lock = threading.Lock()  # event loops may run in several threads
        for user in self._users:
            user.running = 0
            user.waiting.clear()
        self._running = 0
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []  # the last one is used first, so that those too many become old
        self._hungry: dict[User, None] = {}  # those with calls that wait, first come first

    def add(self, call: AnyCall) -> bool:
        """Begin it and return true, or let it wait for its turn."""
        user = call.user
        with self._lock:
            if user not in self._users:
                if user.why is not None:
                    raise user.why()
                self._users.add(user)
            if self._room(user):
                self._begin(call)
                return True
            user.waiting.append(call)
            self._hungry[user] = None
            return False

    def drop(self, call: AnyCall) -> bool:
        """Forget one that waits; return false when it does not wait any more."""
        user = call.user
        with self._lock, contextlib.suppress(ValueError):
            user.waiting.remove(call)
            if not user.waiting:
                self._hungry.pop(user, None)
            return True
        return False

    def leave(self, user: User, why: Why) -> Iterable[AnyCall]:
        """Let it have no more calls, and return those that have not begun."""
        with self._lock:
            user.why = user.why or why
            self._users.discard(user)
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

    def _room(self, user: User) -> bool:
        return user.running < user.most and (self._ceiling is None or self._running < self._ceiling or not user.running)

    def _begin(self, call: AnyCall) -> None:
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

    def _following(self, user: User) -> AnyCall | None:
        """Return what the thread that has ended a call of this user goes on with."""
        if user.waiting and self._room(user):
            return self._first(user)
        if self._ceiling is not None:
            for other in self._hungry:
                if self._room(other):
                    return self._first(other)
        return None

    def _first(self, user: User) -> AnyCall:
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
            if work is not None and isinstance(call, Call):
                call.end(result, error)  # as long as a callback takes, this thread is not free
                work = None
            following, stays = self._ended(worker, call.user)
            if work is not None:
                # Now that this thread is free: who hears of it and asks for the next call takes no other one.
                call.end(result, error)
            del work, result, error
            call = following
            if stays and following is None:
                call = self._wait(worker)

    def _ended(self, worker: _Worker, user: User) -> tuple[AnyCall | None, bool]:
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

    def _wait(self, worker: _Worker) -> AnyCall | None:
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
