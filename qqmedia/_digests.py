"""Remembers digests: what is sent again is neither read nor hashed again to know that it is the same."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from qqmedia.media import FileStamp

__all__ = ("Digests",)

_REMEMBERED: Final = 1024  # files, some 300 bytes each
# A file that was written this short a time ago may be written again without a change of its stamp: file systems count
# time in steps of up to 2 s (FAT).
_SETTLED_NS: Final = 3_000_000_000
# Comparing costs a tenth of hashing; below this size neither matters. What is larger is seldom sent as bytes.
_COMPARED_BYTES: Final = range(16 * 1024, 1024 * 1024)
_COMPARED_TOTAL_BYTES: Final = 4 * 1024 * 1024
# By these at the middle and at the end, the same bytes are found again.
_MARK_BYTES: Final = 32


class Digests:
    """SHA-256 of files by path and stamp, and of the bytes that came last; used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[int, bytes], tuple[bytes, str]] = OrderedDict()
        self._recent_size = 0
        self._known: OrderedDict[Path, tuple[FileStamp, str]] = OrderedDict()

    def get(self, path: Path, stamp: FileStamp) -> str | None:
        """Return the digest of the file, if it is still the one that was read."""
        with self._lock:
            known = self._known.get(path)
        return known[1] if known is not None and known[0] == stamp else None

    def put(self, path: Path, stamp: FileStamp, digest: str) -> None:
        """Remember what was read; a file that was written just now is not remembered."""
        if abs(time.time_ns() - stamp.mtime_ns) < _SETTLED_NS:
            return
        with self._lock:
            self._known[path] = (stamp, digest)
            self._known.move_to_end(path)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def of_bytes(self, content: bytes) -> str:
        """Return the digest; of the same bytes as a moment ago, without hashing them."""
        if len(content) not in _COMPARED_BYTES:
            return hashlib.sha256(content).hexdigest()
        middle = len(content) // 2
        mark = (len(content), content[middle : middle + _MARK_BYTES] + content[-_MARK_BYTES:])
        with self._lock:
            known = self._recent.get(mark)
        digest = known[1] if known is not None and known[0] == content else hashlib.sha256(content).hexdigest()
        self._keep(mark, content, digest)
        return digest

    def _keep(self, mark: tuple[int, bytes], content: bytes, digest: str) -> None:
        with self._lock:
            if mark not in self._recent:
                self._recent_size += len(content)
            self._recent[mark] = (content, digest)
            self._recent.move_to_end(mark)
            while self._recent_size > _COMPARED_TOTAL_BYTES:
                (size, _), _ = self._recent.popitem(last=False)
                self._recent_size -= size
