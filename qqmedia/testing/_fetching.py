"""Looks at a URL as the platform does: a plain GET, without credentials, by a client that knows no driver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp

__all__ = ("Answer", "expiry_in", "fetch", "new_client")

_PIECE_BYTES: Final = 256 * 1024
_FETCH_SECONDS: Final = 30.0
_COMPACT_DATE: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a URL answered; the body is only measured, so that large ones cost no memory.

    Attributes:
        status: HTTP status.
        headers: By name, in any spelling.
        size: Of the body, in bytes.
        sha256: Of the body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    size: int
    sha256: str

    @property
    def content_type(self) -> str:
        """The type without parameters such as ``charset``."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def new_client() -> aiohttp.ClientSession:
    """Return a client that takes bodies as they are, and nothing from the environment."""
    return aiohttp.ClientSession(
        auto_decompress=False, timeout=aiohttp.ClientTimeout(total=_FETCH_SECONDS), headers={"Accept-Encoding": ""}
    )


async def fetch(client: aiohttp.ClientSession, url: str) -> Answer:
    """Get the URL and measure the body."""
    digest, size = hashlib.sha256(), 0
    async with client.get(url) as response:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
        return Answer(response.status, response.headers, size, digest.hexdigest())


def expiry_in(url: str) -> datetime | None:
    """Return until when a presigned URL is good by its own parameters, or `None` where it names no end.

    Knows the signatures of AWS (versions 2 and 4) and what copies them, of Aliyun (1 and 4), of Tencent COS, and of
    Google.
    """
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    for prefix in ("x-amz-", "x-oss-", "x-goog-"):
        if f"{prefix}date" in query and f"{prefix}expires" in query:
            signed = datetime.strptime(query[f"{prefix}date"], _COMPACT_DATE).replace(tzinfo=UTC)
            return signed + timedelta(seconds=int(query[f"{prefix}expires"]))
    if "q-sign-time" in query:
        return datetime.fromtimestamp(int(query["q-sign-time"].partition(";")[2]), UTC)
    if query.get("expires", "").isdigit():
        return datetime.fromtimestamp(int(query["expires"]), UTC)
    return None
