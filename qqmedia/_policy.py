"""The host's policy: limits that hold for every driver, so that no driver has any of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from qqmedia.errors import ConfigurationError

__all__ = ("LONGEST_TTL", "HostPolicy")

_MIB: Final = 1024 * 1024
LONGEST_TTL: Final = 7 * 24 * 3600.0  # no presigned URL of any cloud lives longer
_MOST_RETRIES: Final = 20
_MOST_PUTS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """Limits of a `MediaHost`; refuses what makes no sense when it is built.

    Each field is also ``QQMEDIA_HOST_<FIELD>`` and a key of ``[qqmedia.host]`` in ``qqmedia.toml``.

    Attributes:
        put_timeout: Seconds without any progress after which a put is given up. All tries of one put together may
            take this long and a second more for every 128 KiB.
        ttl: For how many seconds a URL answers, at most a week. A URL that was given is given again while at least
            half of this remains.
        max_bytes: Largest medium, before and after the transforms.
        concurrency: How many puts run at once.
        retries: How often a put is tried again after a fault that may pass; 0 for never.
        retry_wait: Seconds before the first of these tries; doubled each time, with jitter.
    """

    put_timeout: float = 60.0
    ttl: float = 3600.0
    max_bytes: int = 200 * _MIB
    concurrency: int = 8
    retries: int = 3
    retry_wait: float = 0.3

    def __post_init__(self) -> None:
        self._check("put_timeout", self._is_number(self.put_timeout) and self.put_timeout > 0, "seconds, more than 0")
        self._check(
            "ttl", self._is_number(self.ttl) and 0 < self.ttl <= LONGEST_TTL, "seconds, more than 0, at most 7 days"
        )
        self._check("max_bytes", self._is_whole(self.max_bytes) and self.max_bytes >= 1, "a number of bytes from 1")
        self._check(
            "concurrency",
            self._is_whole(self.concurrency) and 1 <= self.concurrency <= _MOST_PUTS,
            f"a whole number of 1 to {_MOST_PUTS}",
        )
        self._check(
            "retries",
            self._is_whole(self.retries) and 0 <= self.retries <= _MOST_RETRIES,
            f"a whole number of 0 to {_MOST_RETRIES}",
        )
        self._check("retry_wait", self._is_number(self.retry_wait) and self.retry_wait >= 0, "seconds, 0 or more")

    def _check(self, name: str, good: bool, expected: str) -> None:  # noqa: FBT001 - private, and called by position
        if not good:
            raise ConfigurationError(f"host policy {name} must be {expected}, got {getattr(self, name)!r}")

    @staticmethod
    def _is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    @staticmethod
    def _is_whole(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)
