"""The threads that all encoders of a process share: as many as there are processors, and gone with the last encoder.

Each encoder hands in no more at once than there are threads, so that one with a hundred voices keeps no other waiting
for more than those.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

__all__ = ("THREADS", "borrow_threads", "lower_priority", "return_threads")

# Text replies stay as quick as without any voice; without it they take up to eight times as long.
_NICE: Final = 10

THREADS: Final = os.cpu_count() or 1

logger = logging.getLogger("qqmedia.voice")


class _Pool:
    def __init__(self) -> None:
        self.lock = threading.Lock()  # event loops may run in several threads
        self.threads: ThreadPoolExecutor | None = None
        self.users = 0


_pool: Final = _Pool()


def borrow_threads() -> ThreadPoolExecutor:
    """Return the threads; `return_threads` is to be called once for it."""
    with _pool.lock:
        if _pool.threads is None:
            _pool.threads = ThreadPoolExecutor(THREADS, "qqmedia-silk", initializer=lower_priority)
        _pool.users += 1
        return _pool.threads


def return_threads(work: set[Future[Any]]) -> None:
    """Wait until this work is done, and until the threads are gone if nobody else has them; blocks."""
    wait(work)
    with _pool.lock:
        _pool.users -= 1
        if _pool.users:
            return
        threads, _pool.threads = _pool.threads, None
    if threads is not None:
        threads.shutdown()


def lower_priority() -> None:
    """Let everything else go first, where the system can do that for one thread. Children inherit it."""
    if sys.platform == "linux":  # elsewhere this number could be another process
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        except OSError as error:  # a container may forbid it; voices work all the same
            logger.debug("encoder threads keep their priority: %s", error.strerror)
