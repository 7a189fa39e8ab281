"""Keeps what was there when a bot started out of the garbage collector's walks.

Some 80 000 objects of the libraries, and whatever data the bot has loaded, live as long as the process does. The
collector would walk over all of them every thousand messages or so, which holds the event loop up for tens of
milliseconds (seconds, where a bot holds a game's data) and costs a tenth of the processor time of a message. See
``docs/decisions/0015-garbage-collector.md``.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("unwalked",)

_lock = threading.Lock()  # bots may run in several threads
_bots = 0


@contextmanager
def unwalked() -> Iterator[None]:
    """Leave what is there when the first of such blocks begins out of the collector's walks, until the last one ends.

    Those that begin meanwhile add nothing: accounts may come and go for months beside one that stays, and what they
    leave behind would never be found.
    """
    global _bots  # noqa: PLW0603 - the collector belongs to the process, and so does this count
    with _lock:
        if not _bots:
            gc.freeze()
        _bots += 1
    try:
        yield
    finally:
        with _lock:
            _bots -= 1
            if not _bots:
                gc.unfreeze()
