"""Makes our log visible where nobody set logging up, and keeps out of the way where somebody did."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from bot_core.errors import BotError
from qqmedia.errors import QQMediaError

__all__ = ("make_visible", "opening_held_back")

_OURS: Final = ("bot_core", "qqmedia", "qqmedia_drivers")
_OPENING: Final = ("bot_core.qq_group", "qqmedia")  # who has something to say before the login: drivers too


class _Fallback(logging.StreamHandler):  # type: ignore[type-arg]  # it is generic for type checkers only
    """Writes to standard error for as long as the root logger has no handler of its own."""

    held: list[logging.LogRecord] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        if self.held is not None:
            if record.levelno <= logging.INFO and record.name.startswith(_OPENING):
                self.held.append(record)
                return
            self.let_go()
        super().emit(record)

    def let_go(self) -> None:
        """Write what was held back, and hold back no more."""
        held, self.held = self.held or (), None
        for record in held:
            self.emit(record)


def make_visible() -> None:
    """Show the log of this project from INFO on, unless the program has set logging up itself.

    A level that was set on one of our loggers stays as it is.
    """
    if logging.getLogger().handlers:
        return
    for name in _OURS:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(_fallback())
            if logger.level == logging.NOTSET:
                logger.setLevel(logging.INFO)


@contextmanager
def opening_held_back() -> Iterator[None]:
    """Within it, what opening says comes with what follows; where that is an error, the error is all."""
    handler = _fallback()
    handler.held = []
    try:
        yield
    except (BotError, QQMediaError):
        handler.held = None
        raise
    finally:
        handler.let_go()


@cache
def _fallback() -> _Fallback:
    handler = _Fallback()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler
