"""Heavy work: at low priority, limited in time, and stopped when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from qqmedia.errors import MediaError
from qqmedia.threads import Threads

__all__ = ("Abandoned", "Jobs", "Killable", "Stop")

# For how long stopped work is waited for: a child is gone after milliseconds, a codec may be in the middle of a call.
_GRACE_SECONDS: Final = 1.0

T = TypeVar("T")


class Abandoned(Exception):  # noqa: N818 - not an error: nobody waits for this work any more
    """Ends the work in a thread whose caller has gone."""


class Killable(Protocol):
    """A child process, as far as `Stop` is concerned."""

    def kill(self) -> None:
        """End the child at once; harmless when it has ended."""
        ...


class Stop:
    """Lets the event loop end the work of a thread: it is asked between two steps, and its child is killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Killable | None = None
        self._asked = False

    def ask(self) -> None:
        """End the work; returns at once."""
        with self._lock:
            self._asked = True
            if self._child is not None:
                self._child.kill()

    def guard(self, child: Killable | None) -> None:
        """Kill this child (from now on the only one) when asked, or now if it is already too late."""
        with self._lock:
            self._child = child
            if self._asked and child is not None:
                child.kill()

    def check(self) -> None:
        """Raise `Abandoned` when asked to stop."""
        if self._asked:
            raise Abandoned


class Jobs:
    """Runs work that can be asked to stop, in `Threads` for heavy calls.

    Args:
        what: What is worked on, for errors.
        at_once: How many jobs run at the same time; more of them wait.
        owner: Whose closing ends them, for errors.
    """

    def __init__(self, what: str, *, at_once: int, owner: str = "the media host") -> None:
        self._closed_meanwhile = f"the {what} was not made ready: {owner} was closed meanwhile"
        self._threads = Threads(at_once, heavy=True)
        self._running: dict[asyncio.Future[Any], Stop] = {}

    async def run(self, work: Callable[[Stop], T], *, timeout: float | None = None) -> T:
        """Return what the work returns; when cancelled, the work is asked to stop.

        Raises:
            TimeoutError: It took longer, waiting for its turn not counted.
            MediaError: Everything is being closed.
        """
        stop, loop, in_thread = Stop(), asyncio.get_running_loop(), threading.Event()
        begun: asyncio.Future[None] = loop.create_future()

        def begin() -> T:
            in_thread.set()
            stop.check()  # after that: who has asked and found the event unset does not wait for this
            loop.call_soon_threadsafe(begun.set_result, None)
            return work(stop)

        ended = self._threads.start(begin)
        self._running[ended] = stop
        ended.add_done_callback(self._forget)
        try:
            await asyncio.wait((begun, ended), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((ended,), timeout=timeout)
            if not ended.done():
                raise TimeoutError
            return ended.result()
        except Abandoned:
            raise self._closed() from None
        finally:
            if not ended.done():
                stop.ask()
                if in_thread.is_set():
                    await asyncio.wait((ended,), timeout=_GRACE_SECONDS)
                else:
                    ended.cancel()

    async def aclose(self) -> None:
        """Stop what is running, and wait a little for it to end; closing twice is harmless."""
        self._threads.close(self._closed)
        for stop in self._running.values():
            stop.ask()
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=_GRACE_SECONDS)

    def _forget(self, ended: asyncio.Future[Any]) -> None:
        del self._running[ended]
        if not ended.cancelled():
            ended.exception()  # nobody may be left to hear of it

    def _closed(self) -> MediaError:
        return MediaError(self._closed_meanwhile)
