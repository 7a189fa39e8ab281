"""Makes our log visible where nobody set logging up, and keeps out of the way where somebody did."""

from __future__ import annotations

import logging
from functools import cache
from typing import Final

__all__ = ("make_visible",)

_OURS: Final = ("bot_core", "qqmedia", "qqmedia_drivers")


class _Fallback(logging.StreamHandler):  # type: ignore[type-arg]  # it is generic for type checkers only
    """Writes to standard error for as long as the root logger has no handler of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


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


@cache
def _fallback() -> logging.Handler:
    handler = _Fallback()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler
