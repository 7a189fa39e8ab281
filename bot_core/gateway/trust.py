"""What speaks for and against a session: whether it is worth resuming once more (PLATFORM 4.6, rules 1 and 2)."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ("Trust",)

# What ends the endless resumes which took other bots down for hours.
_FAILED_RESUMES: Final = 3
_DISCONNECTS: Final = 5

# So many processes in a row that resumed a session and heard nothing: it is worth an identify to know.
_QUIET_RESTARTS: Final = 2


class Trust:
    """Watches the connections of one session after another.

    Args:
        window: Seconds in which five connections that brought nothing give a session up.
        silence: Seconds without an event after a resume that give up a session which had some before.
        doubt: The same, where the process before this one had resumed it too, and had none.

    Attributes:
        brought: How many events this connection has brought.
        stale_at: When silence gives the session up, if no event comes before.
        quiet_restarts: How many processes in a row, this one included, resumed the session of another and had no event.
    """

    def __init__(self, *, window: float, silence: float, doubt: float) -> None:
        self.brought = 0
        self.stale_at = math.inf
        self.quiet_restarts = 0
        self._window = window
        self._silence = silence
        self._doubt = doubt
        self._taken_up = False
        self._had_events = False
        self._silent_since: float | None = None
        self._failed_resumes = 0
        self._ends: deque[float] = deque()

    @property
    def silence(self) -> float:
        """Seconds without an event that give the session up, after a resume."""
        return self._doubt if self.quiet_restarts >= _QUIET_RESTARTS else self._silence

    def vouch(self, quiet_restarts: int) -> None:
        """The session had events, in another process, before so many restarts."""
        self._had_events = self._taken_up = True
        self.quiet_restarts = quiet_restarts

    def begin(self) -> None:
        """Another connection begins."""
        self.brought = 0

    def end(self) -> None:
        """There is no connection to be waited for."""
        self.stale_at = math.inf

    def event(self) -> None:
        """An event came: the session lives."""
        self.brought += 1
        self.quiet_restarts = 0
        if self._silent_since is not None:
            self._silent_since, self.stale_at = None, math.inf

    def resumed(self, now: float) -> None:
        """Begin to wonder whether anything will come; what was replayed came."""
        self._failed_resumes = 0
        if self._taken_up and not self.brought:
            self.quiet_restarts += 1
        self._taken_up = False
        self._had_events = self._had_events or self.brought > 0
        if self._had_events and (self.brought or self._silent_since is None):
            self._silent_since = now
        if self._silent_since is not None:
            self.stale_at = max(now, self._silent_since + self.silence)

    def extend(self, now: float) -> None:
        """Be patient for as long once more: events may lie unread."""
        if self.stale_at <= now:
            self.stale_at = now + self.silence

    def lost(self, now: float, *, resuming: bool, refused: bool) -> bool:
        """Take stock of a connection that has ended; return whether the session is to be given up.

        Args:
            now: The clock.
            resuming: It ended before RESUMED.
            refused: The platform closed it.
        """
        if resuming:
            self._failed_resumes += 1
        if self.brought:  # a session that delivers is not dead, however often its connections end
            self._had_events = True
            self._ends.clear()
        else:
            self._ends.append(now)
        while self._ends and self._ends[0] <= now - self._window:
            self._ends.popleft()
        return (refused and resuming) or self._failed_resumes >= _FAILED_RESUMES or len(self._ends) >= _DISCONNECTS

    def forget(self) -> None:
        """Another session begins, of which nothing is known."""
        self._silent_since = None
        self._had_events = self._taken_up = False
        self.quiet_restarts = 0
        self._failed_resumes = 0
        self._ends.clear()
