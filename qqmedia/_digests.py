"""Remembers the digests of files, so that a video that is sent again is not read again to know that it is the same."""

from __future__ import annotations

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


class Digests:
    """SHA-256 of files by path and stamp; used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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
