"""Ctrl-C and SIGTERM: ask every running bot of this process to end, once for all of them.

Signal handlers belong to the process, so what is kept here does too. `signal.signal` serves on every system: a handler
that was set with it is called between two steps of the loop, and wakes it through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

__all__ = ("interrupts",)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# One Ctrl-C or kill may come twice: `timeout`, `npm run` and the like signal a child and then its whole group.
_SAME_SECONDS: Final = 0.1


class _Watch:
    """Who wants to hear of signals, and who handled them before."""

    def __init__(self) -> None:
        self.stops: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []
        self._previous: dict[signal.Signals, Any] = {}
        self._asked_at: float | None = None

    def install(self) -> None:
        self._asked_at = None
        self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}

    def restore(self) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._on_signal:  # else somebody else took it over meanwhile
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is not None:
            if now - self._asked_at < _SAME_SECONDS:
                return
            self.restore()
            raise KeyboardInterrupt
        self._asked_at = now
        for loop, stop in self.stops:
            loop.call_soon_threadsafe(stop)


_watch: Final = _Watch()


@contextmanager
def interrupts(stop: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call `stop` in the running loop at the first SIGINT or SIGTERM.

    The second raises `KeyboardInterrupt`. When the last such block ends, whoever handled the signals before does again.
    Outside the main thread, where Python allows no signal handlers, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    entry = (asyncio.get_running_loop(), stop)
    if not _watch.stops:
        _watch.install()
    _watch.stops.append(entry)
    try:
        yield
    finally:
        _watch.stops.remove(entry)
        if not _watch.stops:
            _watch.restore()
