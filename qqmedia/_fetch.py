"""Downloads a medium from a URL that a stranger may have written, within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

import aiohttp

from qqmedia._limits import total_seconds
from qqmedia._policy import HostPolicy
from qqmedia._sources import Limits, Loaded, disk_errors, load, load_file, too_large
from qqmedia.errors import MediaSourceError
from qqmedia.guard import GuardedSession, NameResolver, Resolved, SystemResolver, shown_url
from qqmedia.media import Workspace

__all__ = ("Downloader", "NameResolver", "Resolved", "SystemResolver")

_OK: Final = 200
_CONNECT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 256 * 1024
_IN_MEMORY_BYTES: Final = 1024 * 1024


class Downloader:
    """Fetches media for one host, through a session whose every connection is judged."""

    def __init__(
        self,
        *,
        policy: HostPolicy,
        platform_on_loopback: bool,
        resolver: NameResolver | None,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._policy = policy
        self._in_thread = in_thread
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=policy.put_timeout)
        self._session = GuardedSession(everything=platform_on_loopback, resolver=resolver, timeout=timeout)

    async def fetch(self, url: str, limits: Limits, workspace: Workspace) -> Loaded:
        """Download what stands at the URL.

        Raises:
            MediaSourceError: The URL is not allowed, cannot be reached, or answers with something else than 200.
            MediaTooLargeError: It is larger than ``limits.max_bytes``.
        """
        try:
            async with (
                asyncio.timeout(total_seconds(self._policy.put_timeout, limits.max_bytes)),
                self._session.follow(url) as response,
            ):
                return await self._take(response, limits, workspace)
        except TimeoutError as error:
            raise MediaSourceError(
                f"{shown_url(url)} did not answer in time; send bytes, or raise put_timeout (QQMEDIA_HOST_PUT_TIMEOUT,"
                f" now {self._policy.put_timeout:g} s)"
            ) from error
        except aiohttp.ClientError as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise MediaSourceError(f"{shown_url(url)} cannot be fetched: {reason}") from error

    async def aclose(self) -> None:
        """Close the session."""
        await self._session.aclose()

    async def _take(self, response: aiohttp.ClientResponse, limits: Limits, workspace: Workspace) -> Loaded:
        what = f"the {limits.kind} at {shown_url(str(response.url))}"
        if response.status != _OK:
            raise MediaSourceError(f"{shown_url(str(response.url))} answered {response.status} {response.reason or ''}")
        if (announced := response.content_length) is not None and announced > limits.max_bytes:
            raise too_large(what, announced, limits.max_bytes)
        filename = unquote(PurePosixPath(response.url.path).name) or None
        path, parts, size = None, bytearray(), 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > limits.max_bytes:
                raise too_large(what, limits.max_bytes, limits.max_bytes, at_least=True)
            parts += chunk
            if len(parts) > _IN_MEMORY_BYTES:
                path = path or await self._in_thread(workspace.file)
                await self._in_thread(_append, path, bytes(parts))
                parts.clear()
        if not size:
            raise MediaSourceError(f"{what} is empty (0 bytes)")
        if path is None:
            loaded: Loaded = await self._in_thread(load, bytes(parts), limits, workspace)
            return Loaded(
                content=loaded.content, size=loaded.size, head=loaded.head, sha256=loaded.sha256, filename=filename
            )
        await self._in_thread(_append, path, bytes(parts))
        spooled: Loaded = await self._in_thread(lambda: load_file(path, limits, what=what, filename=filename))
        return spooled


def _append(path: Any, chunk: bytes) -> None:
    with disk_errors(), path.open("ab") as file:
        file.write(chunk)
