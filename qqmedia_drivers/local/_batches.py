"""Short calls that touch the disk, several in one trip to a thread: the trip costs more than such a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from qqmedia.threads import Threads

__all__ = ("Batches",)

# In a crowd, trips begin this far apart: one that carries a single picture costs twice what writing it does.
_APART_SECONDS: Final = 0.004

Call: TypeAlias = Callable[[], None]


class Batches:
    """Runs calls in a thread, one after another. Those that come close together share a trip.

    Nobody waits for company who came alone: only where the trip before carried several, the next one is a little later.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._waiting: list[tuple[Call, asyncio.Future[None]]] = []
        self._busy = False  # a trip is under way, or about to begin
        self._not_before = 0.0  # by the event loop's clock

    async def run(self, call: Call) -> None:
        """Run the call in a thread; what it raises is raised here.

        When this is cancelled, the call may still run: it has to look for itself whether anybody wants it.

        Raises:
            Exception: The one with which the threads were closed.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append((call, done))
        if not self._busy:
            self._plan(loop)
        await done

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        self._busy = True
        if self._not_before <= loop.time():
            self._set_off(loop)
        else:
            loop.call_at(self._not_before, self._set_off, loop)

    def _set_off(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        self._not_before = loop.time() + _APART_SECONDS if len(batch) > 1 else 0.0
        try:
            trip = self._threads.start(_run, [call for call, _ in batch])
        except Exception as error:  # noqa: BLE001 - what closed the threads, and did not wait for us, says why
            trip = loop.create_future()
            trip.set_exception(error)
        trip.add_done_callback(lambda over: self._arrived([done for _, done in batch], over))

    def _arrived(
        self, waiting: Sequence[asyncio.Future[None]], trip: asyncio.Future[list[BaseException | None]]
    ) -> None:
        self._busy = False
        if self._waiting:
            self._plan(trip.get_loop())
        refused = trip.exception()
        errors = [refused] * len(waiting) if refused is not None else trip.result()
        for done, error in zip(waiting, errors, strict=True):
            if done.done():
                continue  # cancelled meanwhile
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _run(calls: Sequence[Call]) -> list[BaseException | None]:
    return [_outcome(call) for call in calls]


def _outcome(call: Call) -> BaseException | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - raised again where the call is awaited
        return error
    return None
