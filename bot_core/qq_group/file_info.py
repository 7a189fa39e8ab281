"""Remembers what the platform has already: `file_info` by what was uploaded (PLATFORM 2.3)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

__all__ = ("FileInfoKey", "FileInfoStore", "MemoryFileInfoStore", "usable_seconds")

# A file_info that is about to expire could do so on its way; the official SDK leaves a minute too.
_MARGIN_SECONDS: Final = 60.0
# About 500 bytes each.
_KEEP_AT_MOST: Final = 10_000


class FileInfoKey(NamedTuple):
    """What one `file_info` is good for.

    Attributes:
        appid: The bot that uploaded it.
        scene: `groups` or `users`; it does not cross over.
        file_type: 1 image, 2 video, 3 voice, 4 file.
        sha256: Of the bytes that were uploaded, and for a file card of its name too.
    """

    appid: str
    scene: str
    file_type: int
    sha256: str


class FileInfoStore(Protocol):
    """Where they are kept. Asynchronous and made of plain values, so that several machines can share one."""

    async def get(self, key: FileInfoKey) -> str | None:
        """Return the `file_info`, or `None` when there is none that is still good."""
        ...

    async def put(self, key: FileInfoKey, file_info: str, seconds: float | None) -> None:
        """Keep it for `seconds`, or without an end (`None`)."""
        ...

    async def drop(self, key: FileInfoKey) -> None:
        """Forget it; do nothing when it is not there."""
        ...


class MemoryFileInfoStore:
    """Keeps the latest of this process.

    Args:
        limit: How many; those that were not used for longest go first.
        clock: Seconds; only differences count.
    """

    def __init__(self, *, limit: int = _KEEP_AT_MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[FileInfoKey, tuple[str, float | None]] = OrderedDict()

    async def get(self, key: FileInfoKey) -> str | None:
        """Return the `file_info`, or `None` when there is none that is still good."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        file_info, until = kept
        if until is not None and self._clock() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return file_info

    async def put(self, key: FileInfoKey, file_info: str, seconds: float | None) -> None:
        """Keep it for `seconds`, or without an end (`None`)."""
        self._kept[key] = (file_info, None if seconds is None else self._clock() + seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    async def drop(self, key: FileInfoKey) -> None:
        """Forget it; do nothing when it is not there."""
        self._kept.pop(key, None)


def usable_seconds(ttl_seconds: float | None, *, spent: float) -> float | None:
    """Return for how long a `file_info` may be used, `spent` seconds after it was asked for; `None`: without an end."""
    if ttl_seconds is None:
        return None
    return ttl_seconds - min(_MARGIN_SECONDS, ttl_seconds / 2) - spent
