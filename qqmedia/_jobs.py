"""Heavy work for transforms: in a few threads of low priority, limited in time, and stopped when nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from qqmedia.errors import MediaError
from qqmedia.voice._encoder import lower_priority
from qqmedia.voice._pcm import Abandoned, Stop

__all__ = ("Jobs",)

# For how long stopped work is waited for: a child is gone after milliseconds, a codec may be in the middle of a call.
_GRACE_SECONDS: Final = 1.0

T = TypeVar("T")


class Jobs:
    """Runs work that can be asked to stop. It belongs to the event loop in which it is used first.

    Args:
        what: What is worked on, for errors.
        at_once: How many jobs run at the same time; more of them wait.
    """

    def __init__(self, what: str, *, at_once: int) -> None:
        self._what = what
        # Their own: the host's threads must not wait for a video, and replies come first.
        self._threads = ThreadPoolExecutor(at_once, f"qqmedia-{what}", initializer=lower_priority)
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[asyncio.Future[Any], Stop] = {}
        self._closed = False

    async def run(self, work: Callable[[Stop], T], *, timeout: float | None = None) -> T:
        """Return what the work returns; when cancelled, the work is asked to stop.

        Raises:
            TimeoutError: It took longer, waiting for its turn not counted.
            MediaError: Everything is being closed.
        """
        await self._slots.acquire()
        if self._closed:
            self._slots.release()
            raise self._closed_meanwhile()
        stop = Stop()
        try:
            job = asyncio.wrap_future(self._threads.submit(work, stop))
        except BaseException:
            self._slots.release()
            raise
        self._running[job] = stop
        job.add_done_callback(self._ended)
        try:
            await asyncio.wait((job,), timeout=timeout)
            if not job.done():
                raise TimeoutError
            result: T = job.result()
        except Abandoned:
            raise self._closed_meanwhile() from None
        finally:
            if not job.done():
                stop.ask()
                await asyncio.wait((job,), timeout=_GRACE_SECONDS)
        return result

    async def aclose(self) -> None:
        """Stop what is running, and wait a little for it to end."""
        self._closed = True
        for stop in self._running.values():
            stop.ask()
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=_GRACE_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self, job: asyncio.Future[Any]) -> None:
        # Only now: work that could not be stopped still takes its place.
        self._slots.release()
        del self._running[job]
        if not job.cancelled():
            job.exception()  # nobody may be left to hear of it

    def _closed_meanwhile(self) -> MediaError:
        return MediaError(f"the {self._what} was not made ready: the media host was closed meanwhile")
