"""Lets a driver that failed rest, so that not every medium pays for the same outage."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from qqmedia.errors import StorageError

__all__ = ("Breaker",)

_FIRST_REST_SECONDS: Final = 30.0
_LONGEST_REST_SECONDS: Final = 600.0

logger = logging.getLogger("qqmedia.host")


@dataclass(slots=True)
class _Rest:
    seconds: float
    until: float
    trying: bool = False  # one put has been let through to see


class Breaker:
    """Knows for one driver whether it is worth asking. Belongs to one event loop.

    Args:
        name: Of the driver, for the log.
        now: Seconds; only differences count.
    """

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._name = name
        self._now = now
        self._rest: _Rest | None = None

    def admits(self) -> bool:
        """Return whether to put; whoever hears yes then tells `worked`, `failed` or `gave_up`.

        When its rest is over, one put is let through, and the others wait for what becomes of it.
        """
        rest = self._rest
        if rest is None:
            return True
        if rest.trying or self._now() < rest.until:
            return False
        rest.trying = True
        return True

    def worked(self) -> None:
        """Note a put that succeeded."""
        if self._rest is not None:
            self._rest = None
            logger.warning("driver %r works again", self._name)

    def failed(self, error: Exception) -> None:
        """Note a put that failed, and let the driver rest if waiting may help; other faults show each time."""
        if not (isinstance(error, StorageError) and error.may_pass):
            self.gave_up()
            logger.warning("%s; the next driver is tried", error)
            return
        rest = self._rest
        if rest is not None and not rest.trying:
            return  # it began before the rest did, and is no news
        seconds = _FIRST_REST_SECONDS if rest is None else min(rest.seconds * 2, _LONGEST_REST_SECONDS)
        self._rest = _Rest(seconds, self._now() + seconds)
        again = "" if rest is None else " once more"
        logger.warning("driver %r rests for %g s%s, and the next one is used: %s", self._name, seconds, again, error)

    def gave_up(self) -> None:
        """Note a put that ended without saying anything about the driver; it was cancelled."""
        if self._rest is not None:
            self._rest.trying = False
