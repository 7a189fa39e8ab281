"""Downloads what stands at a link, within limits of size and time, through a session that judges every connection.

Importing this module imports aiohttp, so `import qqmedia` does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

import aiohttp

from qqmedia._sources import disk_errors
from qqmedia.errors import MediaSourceError, MediaTooLargeError
from qqmedia.guard import GuardedSession, shown_url
from qqmedia.media import Workspace

__all__ = ("FetchLimits", "Fetched", "fetch")

_OK: Final = 200
_CHUNK_BYTES: Final = 256 * 1024
_IN_MEMORY_BYTES: Final = 1024 * 1024  # the rest of a larger one goes to the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How much is fetched, and what an author changes to get more.

    Attributes:
        max_bytes: Largest content.
        seconds: For all of it.
        larger: What to do where it is larger, for the error.
        longer: What to do where it takes longer, for the error.
        refused: What to know where the server answers with an error, likewise.
    """

    max_bytes: int
    seconds: float
    larger: str
    longer: str
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was there; at least one byte.

    Attributes:
        content: The bytes, or the path of a file in the workspace.
        size: In bytes.
        filename: The last part of the address that answered, or `None` where it has none.
    """

    content: bytes | Path = field(repr=False)
    size: int
    filename: str | None


async def fetch(
    session: GuardedSession,
    url: str,
    limits: FetchLimits,
    workspace: Workspace,
    *,
    in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
) -> Fetched:
    """Download what stands at the URL; what is large goes into a file of the workspace.

    Raises:
        ForbiddenAddressError: The address is private; nothing was sent there.
        MediaSourceError: It cannot be reached, answers with something else than 200, is empty, or takes too long.
        MediaTooLargeError: It is larger.
    """
    async with _in_our_words(url, limits), session.follow(url) as response:
        return await _take(response, limits, workspace, in_thread)


@asynccontextmanager
async def _in_our_words(url: str, limits: FetchLimits) -> AsyncIterator[None]:
    """Limit the time of the block, and say in our words what went wrong with the URL in it."""
    where = shown_url(url)
    try:
        async with asyncio.timeout(limits.seconds):
            yield
    except aiohttp.ServerTimeoutError as error:
        raise MediaSourceError(f"{where} did not answer in time; {limits.longer}") from error
    except TimeoutError as error:
        raise MediaSourceError(f"{where} was not fetched within {limits.seconds:g} s; {limits.longer}") from error
    except (aiohttp.ClientError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise MediaSourceError(f"{where} cannot be fetched: {reason}") from error


async def _take(
    response: aiohttp.ClientResponse,
    limits: FetchLimits,
    workspace: Workspace,
    in_thread: Callable[..., Awaitable[Any]],
) -> Fetched:
    where = shown_url(str(response.url))
    if response.status != _OK:
        hint = f"; {limits.refused}" if limits.refused else ""
        answer = f"{response.status} {response.reason or ''}".strip()
        raise MediaSourceError(f"{where} cannot be fetched: it answers {answer}{hint}")
    if (response.content_length or 0) > limits.max_bytes:
        raise _too_large(where, limits, f"{response.content_length} bytes")
    path, piece, size = None, bytearray(), 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(chunk)
        if size > limits.max_bytes:
            raise _too_large(where, limits, f"more than {limits.max_bytes} bytes")
        piece += chunk
        if len(piece) > _IN_MEMORY_BYTES:
            path = path or await in_thread(workspace.file)
            await in_thread(_append, path, bytes(piece))
            piece.clear()
    if not size:
        raise MediaSourceError(f"{where} is empty (0 bytes)")
    if path is not None:
        await in_thread(_append, path, bytes(piece))
    filename = unquote(PurePosixPath(response.url.path).name) or None
    return Fetched(content=bytes(piece) if path is None else path, size=size, filename=filename)


def _append(path: Path, chunk: bytes) -> None:
    with disk_errors(), path.open("ab") as file:
        file.write(chunk)


def _too_large(where: str, limits: FetchLimits, size: str) -> MediaTooLargeError:
    return MediaTooLargeError(f"{where} has {size}, {limits.max_bytes} are allowed; {limits.larger}")
