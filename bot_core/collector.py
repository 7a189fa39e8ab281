"""Keeps what was there when a bot started out of the garbage collector's walks, and makes the others rarer.

Some 80 000 objects of the libraries, and whatever data the bot has loaded, live as long as the process does. The
collector would walk over all of them every thousand messages or so, which holds the event loop up for tens of
milliseconds (seconds, where a bot holds a game's data) and costs a tenth of the processor time of a message. What is
new it would look through after every ninth message, which costs another tenth. See
``docs/decisions/0015-garbage-collector.md``.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ("unwalked",)

# How many more containers are made than are freed before the new ones are looked through. The interpreter's own 700 (in
# 3.13: 2000) are nine messages, these are a hundred. Not more: pictures in a cycle of a handler's are kept for as long.
_YOUNG: Final = 4_000

_lock = threading.Lock()  # bots may run in several threads
_bots = 0
_before = 0


@contextmanager
def unwalked() -> Iterator[None]:
    """Leave what is there when the first of such blocks begins out of the collector's walks, until the last one ends.

    Meanwhile what is new is looked through less often, unless the bot's author has set a higher threshold himself, or
    switched that off. Those that begin meanwhile add nothing: accounts may come and go for months beside one that
    stays, and what they leave behind would never be found.
    """
    global _bots  # noqa: PLW0603 - the collector belongs to the process, and so does this count
    with _lock:
        if not _bots:
            gc.freeze()
            _look_less_often()
        _bots += 1
    try:
        yield
    finally:
        with _lock:
            _bots -= 1
            if not _bots:
                gc.unfreeze()
                _look_as_before()


def _look_less_often() -> None:
    global _before
    _before, *older = gc.get_threshold()
    if 0 < _before < _YOUNG:
        gc.set_threshold(_YOUNG, *older)


def _look_as_before() -> None:
    now, *older = gc.get_threshold()
    if 0 < _before < now == _YOUNG:  # else somebody has set another one meanwhile
        gc.set_threshold(_before, *older)
