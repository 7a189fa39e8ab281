"""Sessions that outlive their process: after a restart the platform replays what was missed (PLATFORM 4.6, rule 7).

One session has one owner: two copies of a bot that resumed the same one would throw each other out for ever.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from bot_core.gateway._state import clear_parts, file_name, forget, gateway_folder, locked, read_whole, write_whole
from bot_core.reading import InThread

__all__ = ("FileSessionStore", "KeptSession", "MemorySessionStore", "SessionKeeper", "SessionStore", "SupportsClaim")

# The platform keeps a session for some minutes; an older one costs a refused resume for nothing.
_YOUNG_SECONDS: Final = 300.0

# What finished within this time before a kill comes again, and its answers are refused as duplicates.
_WRITE_EVERY_SECONDS: Final = 0.25

# For a process that is just ending to let go of its session; longer where it has said that its handlers are finishing.
_CLAIM_SECONDS: Final = 1.0
_CLAIM_STEP_SECONDS: Final = 0.2

# For what an ending process does besides its handlers: acknowledgements, the media server, handlers that are cut off.
_CLOSING_SECONDS: Final = 10.0

logger = logging.getLogger("bot_core.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSession:
    """One session, as it is kept.

    Attributes:
        session_id: The platform's name for it.
        seq: Of the last event up to which every handler has finished.
        intents: What the bot wanted to hear when it began.
        at: Wall clock in seconds, when the session was last known to be alive.
        ends_by: When the bot will have ended, by the same clock, if it takes no more events and only waits for its
            handlers; else `None`.
        quiet_restarts: How many processes in a row resumed it and had no event.
    """

    session_id: str
    seq: int
    intents: int
    at: float
    ends_by: float | None = None
    quiet_restarts: int = 0


class SessionStore(Protocol):
    """Keeps one session for each key; a key is a string that names account and shard."""

    async def load(self, key: str) -> KeptSession | None:
        """Return what was kept; `None` where there is nothing, or nothing that can be read."""
        ...

    async def save(self, key: str, session: KeptSession | None) -> None:
        """Keep it, wholly or not at all; `None` forgets it.

        Raises:
            OSError: It could not be kept.
        """
        ...


@runtime_checkable
class SupportsClaim(Protocol):
    """A store that knows whether somebody else keeps a session there."""

    async def claim(self, key: str, *, patience: float) -> bool:
        """Become the one who keeps this session; `False` where somebody else is that for all of `patience` seconds."""
        ...

    async def release(self, key: str) -> None:
        """Let somebody else keep it; nothing happens where it was not claimed."""
        ...


class MemorySessionStore:
    """Keeps sessions as long as the process lives."""

    def __init__(self) -> None:
        self._sessions: dict[str, KeptSession] = {}

    async def load(self, key: str) -> KeptSession | None:
        """See `SessionStore`."""
        return self._sessions.get(key)

    async def save(self, key: str, session: KeptSession | None) -> None:
        """See `SessionStore`."""
        if session is None:
            self._sessions.pop(key, None)
        else:
            self._sessions[key] = session


class _Claim:
    """A lock that a thread takes, and that its owner may give up at any time, before the thread has it too."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._locks: ExitStack | None = None
        self._given_up = False

    def keep(self, locks: ExitStack) -> None:
        """Keep what was locked, unless nobody wants it any more."""
        with self._changing:
            if not self._given_up:
                self._locks = locks.pop_all()

    def give_up(self) -> None:
        """Let go of it; again does nothing."""
        with self._changing:
            self._given_up = True
            locks, self._locks = self._locks, None
        if locks is not None:
            locks.close()


class FileSessionStore:
    """Keeps each session in a file of its own in the state folder, readable by this user only.

    Args:
        state: The state folder; else ``QQMEDIA_STATE``, else the user's.
        in_thread: Where files are read and written, and claims are waited for.
    """

    def __init__(self, state: Path | None = None, *, in_thread: InThread = asyncio.to_thread) -> None:
        self._state = state
        self._in_thread = in_thread
        self._claims: dict[str, _Claim] = {}

    async def claim(self, key: str, *, patience: float) -> bool:
        """See `SupportsClaim`; a claim goes with its process, however that ends."""
        claim = _Claim()
        try:
            claimed = await self._in_thread(self._claim, key, patience, claim)
        except asyncio.CancelledError:  # the thread goes on, and what it locks must not be kept for ever
            claim.give_up()
            raise
        if claimed:
            self._claims[key] = claim
        return claimed

    async def release(self, key: str) -> None:
        """See `SupportsClaim`; it never waits, so that no cancelling comes between."""
        claim = self._claims.pop(key, None)
        if claim is not None:
            claim.give_up()

    async def load(self, key: str) -> KeptSession | None:
        """See `SessionStore`."""
        return await self._in_thread(self._load, key)

    async def save(self, key: str, session: KeptSession | None) -> None:
        """See `SessionStore`."""
        await self._in_thread(self._save, key, session)

    def _path(self, key: str) -> Path:
        return gateway_folder(self._state) / f"{file_name(key)}.session.json"

    def _claim(self, key: str, patience: float, claim: _Claim) -> bool:
        with ExitStack() as locks:
            try:
                path = self._path(key)
                locks.enter_context(locked(path.with_suffix(".lock"), timeout=patience))
                clear_parts(path)  # of a process that was killed while it wrote
            except TimeoutError:
                return False
            except OSError as error:  # nobody else can keep anything there either
                logger.debug("no lock for the kept session: %s", error)
            claim.keep(locks)
        return True

    def _load(self, key: str) -> KeptSession | None:
        try:
            return _read(json.loads(read_whole(self._path(key))))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("the session that was kept cannot be read, a new one begins: %s", error)
            return None

    def _save(self, key: str, session: KeptSession | None) -> None:
        path = self._path(key)
        if session is not None:
            write_whole(path, json.dumps(asdict(session)))
        else:
            forget(path)


def _read(raw: object) -> KeptSession | None:
    """Return what another version of this program may have kept: fields that are not known here do not matter."""
    fields: dict[str, Any] = raw if isinstance(raw, dict) else {}
    session_id, seq, intents, at = (fields.get(name) for name in ("session_id", "seq", "intents", "at"))
    if not isinstance(session_id, str) or not session_id or type(seq) is not int or seq < 0:
        return None
    if type(intents) is not int or not isinstance(at, float):  # a whole number may be too large to reckon with
        return None
    ends_by = fields.get("ends_by")
    ends_by = ends_by if isinstance(ends_by, float) else None
    quiet = fields.get("quiet_restarts")
    quiet = quiet if type(quiet) is int and quiet > 0 else 0
    return KeptSession(session_id=session_id, seq=seq, intents=intents, at=at, ends_by=ends_by, quiet_restarts=quiet)


def _left(kept: KeptSession | None, now: float) -> float:
    """Return how many seconds an ending bot may still take; the platform keeps its session no longer than is young."""
    if kept is None or kept.ends_by is None or not abs(now - kept.at) < _YOUNG_SECONDS:
        return 0.0
    return min(kept.ends_by - now, kept.at + _YOUNG_SECONDS - now)


class SessionKeeper:
    """Writes what shards tell it, in the background and not too often; the last word when it is closed.

    Args:
        store: Where.
        account: Appid and platform.
        write_every: Least seconds between two writes.
        patience: Seconds that another copy of the bot gets to let go of its session.
        grace: Seconds that this one's handlers get when it ends.
        resumes: Whether what the last process kept is taken up; else each shard begins anew, and is kept.
        clock: Wall clock in seconds.
    """

    def __init__(
        self,
        store: SessionStore,
        account: str,
        *,
        write_every: float = _WRITE_EVERY_SECONDS,
        patience: float = _CLAIM_SECONDS,
        grace: float = 10.0,
        resumes: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._account = account
        self._write_every = write_every
        self._patience = patience
        self._grace = grace
        self._resumes = resumes
        self._clock = clock
        self._sources: dict[str, Callable[[], KeptSession | None]] = {}
        self._written: dict[str, KeptSession | None] = {}
        self._due: set[str] = set()
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._complained = False
        self._claimed: set[str] = set()
        self._ending_since: float | None = None
        self._shared = False  # another copy of this bot keeps a session of it

    async def claim(self, shard: tuple[int, int]) -> bool:
        """Become the one who keeps the session of this shard, until the keeper is closed; `False`: another copy is."""
        if not isinstance(self._store, SupportsClaim):
            return True
        key = self._key(shard)
        claimed = await self._store.claim(key, patience=0 if self._shared else self._patience)
        if not claimed and not self._shared:  # who has a session of his own by now waits for nobody's
            claimed = await self._claim_of_ending(self._store, key)
        if claimed:
            self._claimed.add(key)
            return True
        if not self._shared:
            self._shared = True
            logger.warning(
                "another copy of bot %s runs with the same state folder and keeps the session: this one begins one of"
                " its own, and does not keep it as long as the other runs; the platform may throw one of the two out",
                self._account,
            )
        return False

    async def _claim_of_ending(self, store: SupportsClaim, key: str) -> bool:
        """Wait for a copy that takes no more events: what comes now is in its session alone."""
        told = False
        while (left := _left(await self._store.load(key), self._clock())) > 0:
            if not told:
                told = True
                until = datetime.fromtimestamp(self._clock() + left).astimezone().isoformat(" ", "seconds")
                logger.info(
                    "another copy of bot %s is ending: it is waited for, until %s at most, to go on with its session",
                    self._account,
                    until,
                )
            if await store.claim(key, patience=_CLAIM_STEP_SECONDS):
                return True
        return False

    def ending(self) -> None:
        """No more events are taken; who starts meanwhile may wait for what is still in work."""
        self._ending_since = self._clock()
        self._due.update(self._sources)
        self._changed.set()

    async def load(self, shard: tuple[int, int], *, intents: int) -> KeptSession | None:
        """Return the session of this shard, if it is young and was for the same events, and may be resumed.

        A clock that was set back a little is no reason to lose events: at worst the platform refuses the resume.
        """
        kept = await self._store.load(self._key(shard)) if self._resumes else None
        if kept is None or kept.intents != intents or not abs(self._clock() - kept.at) < _YOUNG_SECONDS:
            return None
        return kept

    def watch(self, shard: tuple[int, int], source: Callable[[], tuple[str, int, int, int] | None]) -> None:
        """Keep what `source` tells from now on: session id, sequence, intents, quiet restarts; or `None`."""

        def look() -> KeptSession | None:
            found = source()
            if found is None:
                return None
            session_id, seq, intents, quiet = found
            since = self._ending_since
            at = self._clock() if since is None else since  # it has no connection any more
            ends_by = None if since is None else since + self._grace + _CLOSING_SECONDS
            return KeptSession(
                session_id=session_id, seq=seq, intents=intents, at=at, ends_by=ends_by, quiet_restarts=quiet
            )

        self._sources[self._key(shard)] = look

    def changed(self, shard: tuple[int, int]) -> None:
        """The session of this shard is to be written before long."""
        self._due.add(self._key(shard))
        self._changed.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SessionKeeper]:
        """Write while the block runs, and once more at its end."""
        writer = asyncio.create_task(self._write_on(), name=f"sessions of {self._account}")
        try:
            yield self
        finally:
            try:
                await self._end(writer)
            finally:  # also when whoever waits for this has had enough
                if isinstance(self._store, SupportsClaim):
                    for key in self._claimed:
                        await self._store.release(key)

    async def _end(self, writer: asyncio.Task[None]) -> None:
        try:
            await self._writing.acquire()  # what a thread is writing would else come after the last word
        finally:
            writer.cancel()
        await asyncio.wait((writer,))
        await self._write(set(self._sources))

    async def _write_on(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            async with self._writing:
                due, self._due = self._due, set()
                await self._write(due)
            await asyncio.sleep(self._write_every)

    async def _write(self, keys: set[str]) -> None:
        for key in keys & self._sources.keys():
            session, before = self._sources[key](), self._written.get(key)
            if session is not None and before is not None and replace(session, at=before.at) == before:
                session = session if abs(session.at - before.at) >= 1 else before
            if session is before and key in self._written:
                continue
            try:
                await self._store.save(key, session)
                self._written[key] = session
            except OSError as error:
                if not self._complained:
                    self._complained = True
                    logger.warning("the session cannot be kept, so a restart may lose events: %s", error)

    def _key(self, shard: tuple[int, int]) -> str:
        index, count = shard
        return f"{self._account} {index}/{count}"
