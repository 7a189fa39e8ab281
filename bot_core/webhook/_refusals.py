"""Counts what was refused, and says so once a minute at most: whoever sends rubbish must not fill the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

__all__ = ("Reason", "Refusals", "RefusedError")

_QUIET_SECONDS: Final = 60.0

logger = logging.getLogger("bot_core.webhook")

Later: TypeAlias = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Reason(StrEnum):
    """Why a request was refused; the value is what the log says."""

    PATH = "another path"
    HEADERS = "headers missing or malformed"
    APPID = "unknown appid"
    SIZE = "too large"
    UNREAD = "body not received"
    TIME = "timestamp too old or too new"
    SIGNATURE = "wrong signature"
    BODY = "body not understood"


_HINTS: Final = {
    Reason.PATH: "the console's address and WebhookOptions(path=...) must have the same path",
    Reason.HEADERS: "it did not come from the platform, or a proxy takes its X- headers away",
    Reason.APPID: "no bot with this appid receives at this address",
    Reason.SIZE: "it has more than 1 MiB",
    Reason.UNREAD: "it was cut, or came too slowly",
    Reason.TIME: "somebody replays an old request, or the clock of this machine is wrong",
    Reason.SIGNATURE: "it is forged, client_secret is not the bot's, or a proxy changes the body",
    Reason.BODY: "it was signed rightly, and is no JSON object with op (and t)",
}


class RefusedError(Exception):
    """A request is refused; never leaves this package."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


class Refusals:
    """How many requests were refused, and why.

    Args:
        clock: Seconds; only differences count.
        later: Calls a function after so many seconds, as `call_later` of the event loop.

    Attributes:
        counts: By reason, since the start.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, later: Later | None = None) -> None:
        self.counts: Counter[Reason] = Counter()
        self._clock = clock
        self._later = later
        self._timer: asyncio.TimerHandle | None = None
        self._unsaid: Counter[Reason] = Counter()
        self._last: tuple[Reason, str] | None = None
        self._quiet_until = float("-inf")

    def note(self, reason: Reason, address: str) -> None:
        """Count one refusal; log it, unless there was a line in the last minute: then the next one has it.

        That line comes when the minute is over, not only when something is refused again.
        """
        self.counts[reason] += 1
        self._unsaid[reason] += 1
        self._last = (reason, address)
        left = self._quiet_until - self._clock()
        if left <= 0:
            self.flush()
        elif self._timer is None and self._later is not None:
            self._timer = self._later(left, self.flush)

    def flush(self) -> None:
        """Log what was refused since the last line, if anything was."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._last is None:
            return
        reason, address = self._last
        which = ", ".join(f"{count} {one.value}" for one, count in self._unsaid.most_common())
        logger.warning("webhook refused: %s; the last one came from %s: %s", which, address, _HINTS[reason])
        self._unsaid.clear()
        self._last = None
        self._quiet_until = self._clock() + _QUIET_SECONDS
