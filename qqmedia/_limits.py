"""Time limits of a put: nothing moves for so long, or all of it takes longer than the slowest line would."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any, BinaryIO, Final

from qqmedia.media import Upload

__all__ = ("idle_limit", "total_seconds")

SLOWEST_BYTES_PER_SECOND: Final = 128 * 1024  # 1 Mbit/s
# What is smaller is read in one go: there is no progress to watch.
_WATCHED_FROM_BYTES: Final = 1024 * 1024
_BUFFER_BYTES: Final = 256 * 1024


def total_seconds(idle_seconds: float, size: int) -> float:
    """Return how long something of this size may take with all tries."""
    return idle_seconds + size / SLOWEST_BYTES_PER_SECOND


def idle_limit(upload: Upload, seconds: float) -> tuple[Upload, AbstractAsyncContextManager[asyncio.Timeout]]:
    """Return the upload to be put, and the block to put it in.

    The block ends with `TimeoutError` when nobody has read from the upload for so many seconds.
    """
    if upload.size < _WATCHED_FROM_BYTES:
        return upload, asyncio.timeout(seconds)
    progress = _Progress()
    return _watched(upload, progress), _while_it_moves(progress, seconds)


@asynccontextmanager
async def _while_it_moves(progress: _Progress, seconds: float) -> AsyncIterator[asyncio.Timeout]:
    async with asyncio.timeout(None) as limit:
        watch = _Watch(progress, seconds, limit)
        try:
            yield limit
        finally:
            watch.end()
            del watch, limit  # they hold the task, which holds an error that goes by here, and so this frame


class _Watch:
    """Ends a block when nothing has moved for so long."""

    def __init__(self, progress: _Progress, seconds: float, limit: asyncio.Timeout) -> None:
        self._progress = progress
        self._seconds = seconds
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(seconds, self.look)

    def look(self) -> None:
        """End the block, or look again when it may be time."""
        remaining = self._progress.at + self._seconds - time.monotonic()
        if remaining <= 0:
            self._limit.reschedule(self._loop.time())
        else:
            self._next = self._loop.call_later(remaining, self.look)

    def end(self) -> None:
        """Look no more."""
        self._next.cancel()


class _Progress:
    """When something was last read; set from any thread."""

    def __init__(self) -> None:
        self.at = time.monotonic()

    def note(self) -> None:
        self.at = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchedUpload(Upload):
    """An upload whose readers are noticed."""

    progress: _Progress = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """As `Upload.open`."""
        file = Upload.open(self)
        return io.BufferedReader(_WatchedFile(file, self.progress), _BUFFER_BYTES)


def _watched(upload: Upload, progress: _Progress) -> _WatchedUpload:
    return _WatchedUpload(**{one.name: getattr(upload, one.name) for one in fields(Upload)}, progress=progress)


class _WatchedFile(io.RawIOBase):
    def __init__(self, file: Any, progress: _Progress) -> None:
        self._file = file
        self._progress = progress

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._progress.note()
        count: int = self._file.readinto(buffer)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._file.tell()
        return position

    def fileno(self) -> int:
        number: int = self._file.fileno()
        return number

    def close(self) -> None:
        self._file.close()
        super().close()
