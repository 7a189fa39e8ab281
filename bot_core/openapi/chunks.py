"""What a chunked upload is told: how the file is to be cut, and where each part goes (PLATFORM 2.5).

The platform's answer is believed, not its documentation: part numbers are documented from 0 and served from 1, sizes
come as numbers and as strings, and how many parts may travel at once stands in one of two places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot_core.errors import OpenAPIError
from bot_core.openapi.values import as_int

__all__ = ("Part", "UploadPlan", "read_plan")

_CONCURRENCY: Final = 1
_RETRY_SECONDS: Final = 300
_DELAY_SECONDS: Final = 1
# What the official SDK allows at most.
_MOST_AT_ONCE: Final = 10
_LONGEST_RETRY_SECONDS: Final = 600
_LONGEST_DELAY_SECONDS: Final = 60
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the file.

    Attributes:
        index: The platform's number for it, given back as it came.
        offset: Where it begins.
        size: Its bytes.
        url: Where it is put. Whoever knows it may write there, so it is not shown.
    """

    index: int
    offset: int
    size: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlan:
    """What ``upload_prepare`` answers.

    Attributes:
        upload_id: Names the upload; together with ``/files`` it completes it.
        parts: In the order of the file, all of it covered.
        concurrency: How many parts may travel at once.
        retry_seconds: For how long "not now" (40093001) is answered by asking again.
        retry_delay: Seconds between these.
        file_info: The platform has the file already; nothing is to be uploaded.
        ttl_seconds: How long that `file_info` is good; `None` when it does not expire.
        trace_id: What the platform's support asks for; empty where it told none.
    """

    upload_id: str
    parts: tuple[Part, ...]
    concurrency: int = _CONCURRENCY
    retry_seconds: float = _RETRY_SECONDS
    retry_delay: float = _DELAY_SECONDS
    file_info: str = ""
    ttl_seconds: int | None = None
    trace_id: str = ""


def read_plan(raw: Any, *, size: int, path: str, trace_id: str = "") -> UploadPlan:
    """Read the answer for a file of `size` bytes.

    Raises:
        OpenAPIError: It cannot be understood, or its parts do not make up the file.
    """
    fields: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    given = fields.get("upload_config")
    config: Mapping[str, Any] = given if isinstance(given, dict) else fields
    file_info = fields.get("file_info")
    if isinstance(file_info, str) and file_info:
        ttl = as_int(fields.get("ttl"), 0) or None
        known = str(fields.get("upload_id") or "")
        return UploadPlan(upload_id=known, parts=(), file_info=file_info, ttl_seconds=ttl, trace_id=trace_id)
    upload_id = fields.get("upload_id")
    if not isinstance(upload_id, str) or not upload_id:
        raise _unclear(path, "it has no upload_id")
    return UploadPlan(
        upload_id=upload_id,
        parts=_cut(fields.get("parts"), size=size, block_size=as_int(fields.get("block_size"), 0), path=path),
        concurrency=max(1, min(as_int(config.get("concurrency"), _CONCURRENCY), _MOST_AT_ONCE)),
        retry_seconds=_seconds(config.get("retry_timeout"), _RETRY_SECONDS, _LONGEST_RETRY_SECONDS),
        retry_delay=_seconds(config.get("retry_delay"), _DELAY_SECONDS, _LONGEST_DELAY_SECONDS),
        trace_id=trace_id,
    )


def _cut(given: Any, *, size: int, block_size: int, path: str) -> tuple[Part, ...]:
    """Lay the parts one behind the other, in the order of their numbers, each with its own size."""
    parts: list[Part] = []
    offset = 0
    for index, part in sorted(_numbered(given, path), key=lambda one: one[0]):
        if offset >= size:
            raise _unclear(path, f"its parts are more than the {size} bytes of the file")
        own = as_int(part.get("block_size"), 0) or block_size
        if own < 1:
            raise _unclear(path, f"part {index} has no block_size")
        length = min(own, size - offset)
        parts.append(Part(index, offset, length, str(part.get("presigned_url") or "")))
        offset += length
    if offset != size:
        raise _unclear(path, f"its parts make up {offset} of {size} bytes")
    return tuple(parts)


def _numbered(given: Any, path: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    seen: set[int] = set()
    for part in given if isinstance(given, list) else ():
        index = as_int(part.get("index"), -1) if isinstance(part, dict) else -1
        if index < 0 or index in seen:
            raise _unclear(path, f"a part has no number of its own: {part!r:.{_MOST_SHOWN}}")
        seen.add(index)
        yield index, part


def _seconds(value: Any, default: float, most: float) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return max(0.0, min(value, most))
    return max(0.0, min(float(as_int(value, int(default))), most))


def _unclear(path: str, why: str) -> OpenAPIError:
    return OpenAPIError(f"POST {path} failed: the answer cannot be used: {why}; try again", status=200, path=path)
