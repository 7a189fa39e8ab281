"""Remembers what the platform has already: `file_info` by what was uploaded (PLATFORM 2.3)."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

__all__ = ("FileInfoKey", "FileInfoStore", "MemoryFileInfoStore", "usable_seconds")

# A file_info that is about to expire could do so on its way; the official SDK leaves a minute too.
_MARGIN_SECONDS: Final = 60.0
# Some 500 bytes each with a file_info of 250 characters: 50 MB in all.
_KEEP_AT_MOST: Final = 100_000
# Two keys share a digest of this size once in 10^28 pairs.
_DIGEST_BYTES: Final = 16


class FileInfoKey(NamedTuple):
    """What one `file_info` is good for.

    Attributes:
        appid: The bot that uploaded it.
        scene: `groups` or `users`; it does not cross over.
        file_type: 1 image, 2 video, 3 voice, 4 file.
        sha256: Of the bytes that were uploaded, and for a file card of its name too.
        chat: The chat's openid where it is good in that chat only; empty: in all of the scene.
    """

    appid: str
    scene: str
    file_type: int
    sha256: str
    chat: str = ""

    def digest(self) -> bytes:
        """Return a short name of this key, to find things by."""
        return _digest(self)


@lru_cache(maxsize=256)  # looked up before an upload, and put after it
def _digest(key: FileInfoKey) -> bytes:
    joined = "\0".join((key.appid, key.scene, str(key.file_type), key.sha256, key.chat))
    return hashlib.blake2b(joined.encode(), digest_size=_DIGEST_BYTES).digest()


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
        self._kept: OrderedDict[bytes, tuple[str, float | None]] = OrderedDict()

    async def get(self, key: FileInfoKey) -> str | None:
        """Return the `file_info`, or `None` when there is none that is still good."""
        digest = key.digest()
        kept = self._kept.get(digest)
        if kept is None:
            return None
        file_info, until = kept
        if until is not None and self._clock() >= until:
            del self._kept[digest]
            return None
        self._kept.move_to_end(digest)
        return file_info

    async def put(self, key: FileInfoKey, file_info: str, seconds: float | None) -> None:
        """Keep it for `seconds`, or without an end (`None`)."""
        digest = key.digest()
        self._kept[digest] = (file_info, None if seconds is None else self._clock() + seconds)
        self._kept.move_to_end(digest)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    async def drop(self, key: FileInfoKey) -> None:
        """Forget it; do nothing when it is not there."""
        self._kept.pop(key.digest(), None)


def usable_seconds(ttl_seconds: float | None, *, spent: float) -> float | None:
    """Return for how long a `file_info` may be used, `spent` seconds after it was asked for; `None`: without an end."""
    if ttl_seconds is None:
        return None
    return ttl_seconds - min(_MARGIN_SECONDS, ttl_seconds / 2) - spent
