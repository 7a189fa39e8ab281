"""The sessions of all bots: which there are, which get the events, and whether another may be started (PLATFORM 4)."""

from __future__ import annotations

import asyncio
from typing import Final

from bot_core.errors import SandboxError
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._session import Session
from bot_core.sandbox._signal import Signal

__all__ = ("Sessions",)

_DAY_SECONDS: Final = 24 * 60 * 60


class Sessions:
    """What the platform knows of every bot and shard.

    Attributes:
        changed: Fires when one begins, is resumed, or loses its connection.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.changed = Signal()
        self._options = options
        self._by_id: dict[str, Session] = {}
        self._current: dict[tuple[str, int], Session] = {}
        self._starts: dict[str, list[float]] = {}

    def get(self, session_id: str) -> Session | None:
        """Return the session with this id, if it is known."""
        return self._by_id.get(session_id)

    def add(self, session: Session) -> None:
        """Count a start, and know the session from now on."""
        self._starts.setdefault(session.appid, []).append(self._options.clock())
        self._prune()
        self._by_id[session.id] = session

    def make_current(self, session: Session) -> Session | None:
        """Let the session get the events of its shard; return the one that got them before."""
        key = (session.appid, session.shard[0])
        earlier, self._current[key] = self._current.get(key), session
        return earlier

    def why_not(self, appid: str) -> str:
        """Return why this bot may start no session now; empty if it may."""
        if len(self._recent_starts(appid)) >= self._options.session_start_total:
            return "no identifies are left for today"
        return "identified too soon after another shard" if self._is_too_soon(appid) else ""

    def start_limit(self, appid: str) -> dict[str, int]:
        """Return `session_start_limit` of ``/gateway/bot``."""
        starts = self._recent_starts(appid)
        total = self._options.session_start_total
        left = _DAY_SECONDS - (self._options.clock() - starts[0]) if starts else _DAY_SECONDS
        return {
            "total": total,
            "remaining": max(0, total - len(starts)),
            "reset_after": int(left * 1000),
            "max_concurrency": self._options.max_concurrency,
        }

    def usable(self, appid: str | None, shard: int) -> list[Session]:
        """Return the sessions that an event for this bot (or any) and shard can go to."""
        now = self._options.clock()
        return [
            session
            for (owner, index), session in self._current.items()
            if index == shard
            and appid in (None, owner)
            and (session.socket is not None or now - session.gone_at < self._options.resume_window_seconds)
        ]

    async def session_for(self, appid: str | None, shard: int, timeout: float) -> Session:
        """Return the session that an event goes to; wait for a bot to connect if there is none.

        The only bot that is connected is meant, whoever else was there and may come back.

        Raises:
            SandboxError: Nobody connected in time, or several bots are here and none was named.
        """
        try:
            async with asyncio.timeout(timeout):
                while not (sessions := self.usable(appid, shard)):
                    await self.changed.wait()
        except TimeoutError:
            raise _nobody(appid, shard, timeout) from None
        chosen = [session for session in sessions if session.connected] or sessions
        if len(chosen) > 1:
            appids = sorted(f"{session.appid}{'' if session.connected else ' (away)'}" for session in sessions)
            raise SandboxError(f"there are several bots ({', '.join(appids)}): name one by its appid")
        return chosen[0]

    async def connected(self, appid: str | None, shard: int, timeout: float) -> Session:
        """Wait until a bot is connected and ready.

        Raises:
            SandboxError: None was in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    live = [session for session in self.usable(appid, shard) if session.connected]
                    if live:
                        return live[0]
                    await self.changed.wait()
        except TimeoutError:
            raise _nobody(appid, shard, timeout) from None

    def states(self) -> list[Session]:
        """Return the current session of every bot and shard."""
        return list(self._current.values())

    def of(self, appid: str | None, shard: int | None) -> list[Session]:
        """Return the sessions of a bot and shard, or of all."""
        return [
            session
            for session in self._by_id.values()
            if appid in (None, session.appid) and shard in (None, session.shard[0])
        ]

    def kill(self, appid: str | None, shard: int | None) -> int:
        """Let sessions deliver nothing any more, though they can be resumed; return how many."""
        sessions = self.of(appid, shard)
        for session in sessions:
            session.dead = True
        return len(sessions)

    def end_all(self, appid: str | None, shard: int | None) -> int:
        """Forget sessions, so that the next resume is refused; return how many."""
        sessions = self.of(appid, shard)
        for session in sessions:
            self.end(session)
        return len(sessions)

    def is_over(self, session: Session) -> bool:
        """Return whether it was without a connection for too long."""
        gone_for = self._options.clock() - session.gone_at
        return session.socket is None and gone_for >= self._options.resume_window_seconds

    def _prune(self) -> None:
        for session in [session for session in self._by_id.values() if self.is_over(session)]:
            self.end(session)

    def end(self, session: Session) -> None:
        """Forget a session: it gets no events, and cannot be resumed."""
        self._by_id.pop(session.id, None)
        key = (session.appid, session.shard[0])
        if self._current.get(key) is session:
            del self._current[key]

    def _is_too_soon(self, appid: str) -> bool:
        since = self._options.clock() - self._options.identify_window_seconds
        return sum(start > since for start in self._recent_starts(appid)) >= self._options.max_concurrency

    def _recent_starts(self, appid: str) -> list[float]:
        starts = self._starts.get(appid, [])
        if starts and self._options.clock() - starts[0] >= _DAY_SECONDS:
            starts.clear()
        return starts


def _nobody(appid: str | None, shard: int, timeout: float) -> SandboxError:
    who = f"bot {appid}" if appid else "bot"
    part = f" with shard {shard}" if shard else ""
    return SandboxError(
        f"no {who}{part} connected to the sandbox within {timeout:g} s; start it with QQ_API_BASE and QQ_TOKEN_URL set"
        " (where a bot receives by webhook, tell the sandbox: POST /sandbox/webhook)"
    )
