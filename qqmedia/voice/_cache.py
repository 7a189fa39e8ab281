"""Remembers the last voices, so that the same sound is not encoded twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

__all__ = ("Cache",)

# A minute of voice is 180 KB: this holds the favourite sounds of a bot and costs little.
_MOST_BYTES: Final = 8 * 1024 * 1024


class _Sized(Protocol):
    @property
    def data(self) -> bytes: ...


V = TypeVar("V", bound=_Sized)


class Cache(Generic[V]):
    """The values used last, up to a number of bytes in all; for use from several threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, V] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> V | None:
        """Return the value, which counts as used now, or `None`."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: bytes, value: V) -> None:
        """Remember the value, and forget what was not used for longest."""
        with self._lock:
            if key in self._values or len(value.data) > self._most_bytes:
                return
            self._values[key] = value
            self._bytes += len(value.data)
            while self._bytes > self._most_bytes:
                _, forgotten = self._values.popitem(last=False)
                self._bytes -= len(forgotten.data)
