"""When a session may be started: `max_concurrency` in 5 s over all shards of an account, within the daily limit.

A socket is opened shortly before its turn, and the turn is booked when the platform has said Hello: what counts is
when the Identify goes out, and a slow connection must not push two of them together.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from bisect import insort
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from bot_core.gateway._state import file_name, gateway_folder, locked, write_whole
from bot_core.gateway.discovery import Discovery
from bot_core.reading import InThread

__all__ = ("FilePacingStore", "IdentifyGate", "MemoryPacingStore", "PacingStore")

# So long a socket may stay open before its turn comes; the platform closes silent ones after about 60 s.
_PATIENCE_SECONDS: Final = 15.0

# Time to connect in, before a turn.
_LEAD_SECONDS: Final = 1.0

# Two Identifies travel with different speed.
_MARGIN: Final = 1.05

# The limit may be raised, or its reset come sooner than was said.
_LONGEST_SLEEP_SECONDS: Final = 3600.0

logger = logging.getLogger("bot_core.gateway")


class PacingStore(Protocol):
    """Knows when sessions of an account were started, and will be. Share one between machines by writing another."""

    async def book(self, account: str, *, limit: int, window: float, patience: float) -> float:
        """Book the next free start, if it is at most `patience` seconds off; return how many seconds off it is.

        Args:
            account: Appid and platform; any string.
            limit: How many starts are allowed in any `window`.
            window: Seconds.
            patience: With a negative number nothing is booked: it is a question.
        """
        ...


class MemoryPacingStore:
    """Paces the shards of one process.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._starts: dict[str, list[float]] = {}

    async def book(self, account: str, *, limit: int, window: float, patience: float) -> float:
        """See `PacingStore`."""
        starts = self._starts.get(account, [])
        self._starts[account], wait = _book(starts, self._clock(), limit=limit, window=window, patience=patience)
        return wait


# Bots of one process wait for each other also where no file says when the others begin.
_this_process: Final = MemoryPacingStore()


class FilePacingStore:
    """Paces all processes of one user on one machine, by a file in the state folder under a lock.

    Where the folder cannot be used, it says so once, and paces this process alone.

    Args:
        state: The state folder; else ``QQMEDIA_STATE``, else the user's.
        clock: Wall clock in seconds: what all processes have in common.
        in_thread: Where the file is read and written, and its lock is waited for.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._state = state
        self._clock = clock
        self._in_thread = in_thread
        self._alone: MemoryPacingStore | None = None

    async def book(self, account: str, *, limit: int, window: float, patience: float) -> float:
        """See `PacingStore`."""
        if self._alone is None:
            try:
                return await self._in_thread(self._book, account, limit, window, patience)
            except OSError as error:
                self._alone = _this_process
                logger.warning(
                    "the state folder cannot be used (%s): bots with this appid in other processes are not waited for;"
                    " set QQMEDIA_STATE to a folder that can be written",
                    error,
                )
        return await self._alone.book(account, limit=limit, window=window, patience=patience)

    def _book(self, account: str, limit: int, window: float, patience: float) -> float:
        folder = gateway_folder(self._state)
        path = folder / f"{file_name(account)}.starts.json"
        with locked(path.with_suffix(".lock")):
            now = self._clock()
            before = _read_starts(path)
            starts, wait = _book(before, now, limit=limit, window=window, patience=patience)
            if starts != before:
                write_whole(path, json.dumps(starts))
        return wait


class IdentifyGate:
    """Lets the shards of one account identify one after another.

    Args:
        account: Appid and platform: who is paced.
        store: Where starts are booked.
        discovery: Knows the daily limit.
        limit: How many starts are allowed in a window.
        window: Seconds.
        longest_sleep: After so many seconds of waiting for the reset the platform is asked again.
    """

    def __init__(
        self,
        account: str,
        store: PacingStore,
        discovery: Discovery,
        *,
        limit: int = 1,
        window: float = 5.0,
        longest_sleep: float = _LONGEST_SLEEP_SECONDS,
    ) -> None:
        self._account = account
        self._store = store
        self._discovery = discovery
        self._limit = limit
        self._window = window * _MARGIN
        self._longest_sleep = longest_sleep
        self._places = asyncio.Semaphore(limit)
        self._told_until = -math.inf

    async def enter(self) -> None:
        """Return when a socket for an Identify is worth opening; `leave` when the Identify is out, or will not be."""
        await self._places.acquire()
        try:
            await self._within_the_limit()
            lead = min(_LEAD_SECONDS, self._window / 5)
            while (wait := await self._book(patience=-1) - lead) > 0:  # noqa: ASYNC110 - other processes tell by file
                await asyncio.sleep(wait)
        except BaseException:
            self._places.release()
            raise

    def leave(self) -> None:
        """Let the next one in."""
        self._places.release()

    async def turn(self) -> float:
        """Return 0 when it is time to identify; or the seconds after which to come again, when that is far off."""
        wait = await self._book(patience=_PATIENCE_SECONDS)
        if wait > _PATIENCE_SECONDS:
            return wait
        await asyncio.sleep(wait)
        self._discovery.started()
        return 0.0

    async def _book(self, *, patience: float) -> float:
        return await self._store.book(self._account, limit=self._limit, window=self._window, patience=patience)

    async def _within_the_limit(self) -> None:
        await self._discovery.get()
        while (wait := self._discovery.exhausted_for) > 0:
            self._tell(wait)
            await asyncio.sleep(min(wait, self._longest_sleep))
            if wait > self._longest_sleep:
                self._discovery.failed()
            await self._discovery.get()

    def _tell(self, wait: float) -> None:
        """Say until when, once."""
        until = datetime.now().astimezone() + timedelta(seconds=wait)
        if until.timestamp() > self._told_until + self._window:
            self._told_until = until.timestamp()
            logger.warning(
                "%s: the platform allows no new session before %s (in %s), as those of 24 h are used up;"
                " sessions that are connected go on",
                self._account,
                until.isoformat(" ", "seconds"),
                timedelta(seconds=round(wait)),
            )


def _book(
    starts: Sequence[float], now: float, *, limit: int, window: float, patience: float
) -> tuple[list[float], float]:
    """Return the starts that still count, with the new one where it could be booked, and how far off that is."""
    horizon = now + max(_PATIENCE_SECONDS, patience) + window  # beyond it: the clock was set back meanwhile
    kept = sorted(start for start in starts if now - window < start <= horizon)
    at = now if len(kept) < limit else max(now, kept[-limit] + window)
    if at - now <= patience:
        insort(kept, at)
    return kept, at - now


def _read_starts(path: Path) -> list[float]:
    try:
        content: Any = json.loads(path.read_bytes())
    except (
        FileNotFoundError,
        ValueError,
        RecursionError,
    ):  # what is damaged counts for nothing: the platform would say no
        return []
    if not isinstance(content, list):
        return []
    return [start for start in content if isinstance(start, float) and math.isfinite(start)]
