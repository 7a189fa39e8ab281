"""Heartbeats of one socket: when the next is due, and when those without an answer mean that it is dead."""

from __future__ import annotations

import math
from typing import Final

__all__ = ("Heart",)

# The platform's usual interval, for a Hello that has none; and never rarer than a server's patience of about 60 s.
_DEFAULT_INTERVAL_SECONDS: Final = 41.25
_INTERVAL_LIMITS_SECONDS: Final = (0.01, 60.0)

# An answer to the second heartbeat may take this long; with the interval before it a dead socket is found in 93 s.
_ACK_GRACE_SECONDS: Final = 10.0
_UNANSWERED_LIMIT: Final = 2


class Heart:
    """Counts; sends nothing.

    Attributes:
        interval: Seconds between two heartbeats.
        beat_at: When the next one is due; infinity while there is no socket, or no Hello yet.
        dead_at: When the socket is dead, if no answer comes before.
        unanswered: Heartbeats since the last answer.
        round_trip: Seconds that the last answer took; `None` before the first.
    """

    def __init__(self) -> None:
        self.interval = _DEFAULT_INTERVAL_SECONDS
        self.beat_at = self.dead_at = math.inf
        self.unanswered = 0
        self.round_trip: float | None = None
        self._beaten_at = 0.0

    def stop(self) -> None:
        """There is no socket, or it has not said Hello."""
        self.beat_at = self.dead_at = math.inf
        self.unanswered = 0
        self.interval = _DEFAULT_INTERVAL_SECONDS

    def start(self, milliseconds: int, now: float) -> None:
        """Hello came; with 0 it told no interval."""
        least, most = _INTERVAL_LIMITS_SECONDS
        self.interval = min(most, max(least, milliseconds / 1000)) if milliseconds > 0 else _DEFAULT_INTERVAL_SECONDS
        self.beat_at = now + self.interval

    def beat(self, now: float, *, counts: bool) -> None:
        """A heartbeat goes out; its answer is waited for if it `counts`."""
        self.beat_at = now + self.interval
        self._beaten_at = now
        if counts:
            self.unanswered += 1
            if self.unanswered >= _UNANSWERED_LIMIT and self.dead_at == math.inf:
                self.dead_at = now + self._grace

    def answered(self, now: float) -> None:
        """An answer came."""
        if self.unanswered:
            self.round_trip = now - self._beaten_at
        self.unanswered, self.dead_at = 0, math.inf

    def extend(self, now: float) -> None:
        """Be patient for as long once more: answers may lie unread."""
        if self.dead_at <= now:
            self.dead_at = now + self._grace

    @property
    def _grace(self) -> float:
        return min(self.interval, _ACK_GRACE_SECONDS)
