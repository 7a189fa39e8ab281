"""Locks that the system lets go of when the process that holds them ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from qqmedia import StorageUnavailableError

__all__ = ("FileLock", "exclusively")

# How often a lock that somebody else holds is tried again, and for how long: it is held for milliseconds.
_RETRY_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 15.0
_HELD_BY_ANOTHER: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # Not `lockf`: that lock belongs to the process, and is lost when any descriptor of the file is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock on a file that holds nothing; whoever holds it may remove the file.

    Its methods touch the disk: call them outside the event loop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, create: bool) -> bool:
        """Take the lock; return whether it was free. With `create` the file is made if it is not there.

        Raises:
            OSError: The file cannot be opened, or this file system knows no locks.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
            try:
                _lock(descriptor)
                if self._is_still_there(descriptor):
                    self._descriptor = descriptor
                    return True
            except OSError as error:
                os.close(descriptor)
                if error.errno in _HELD_BY_ANOTHER:
                    return False
                raise
            os.close(descriptor)  # its last holder removed the file between `open` and `_lock`

    def release(self) -> None:
        """Let go of the lock and remove the file; do nothing if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with suppress(OSError):  # Windows refuses to remove an open file
            self.path.unlink()
        os.close(descriptor)
        if sys.platform == "win32":
            with suppress(OSError):  # somebody else may have it open by now
                self.path.unlink()

    def _is_still_there(self, descriptor: int) -> bool:
        if sys.platform == "win32":
            return True  # a file that somebody has open cannot be removed there
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the lock `path` for the block, waiting for whoever has it; its folder is made if it is not there.

    Raises:
        StorageUnavailableError: Somebody holds it for far longer than this takes.
    """
    lock = FileLock(path)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _acquired(lock):
        if time.monotonic() > deadline:
            raise StorageUnavailableError(f"{path} has been locked by another process for {_PATIENCE_SECONDS:g} s")
        time.sleep(_RETRY_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock) -> bool:
    lock.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return lock.acquire(create=True)
    except FileNotFoundError:  # the last one to leave took the empty folder with him
        return False
