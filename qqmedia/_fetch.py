"""Downloads a medium that a host is given as a URL, which a stranger may have written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from qqmedia._limits import total_seconds
from qqmedia._policy import HostPolicy
from qqmedia._sources import Limits, Loaded, load, load_file
from qqmedia.fetch import FetchLimits, fetch
from qqmedia.guard import GuardedSession, NameResolver, Resolved, SystemResolver, shown_url
from qqmedia.media import Workspace

__all__ = ("Downloader", "NameResolver", "Resolved", "SystemResolver")

_CONNECT_SECONDS: Final = 10.0


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
        idle = self._policy.put_timeout
        fetched = await fetch(
            self._session,
            url,
            FetchLimits(
                max_bytes=limits.max_bytes,
                seconds=total_seconds(idle, limits.max_bytes),
                larger="send a smaller one, or raise max_bytes (QQMEDIA_HOST_MAX_BYTES)",
                longer=f"send bytes, or raise put_timeout (QQMEDIA_HOST_PUT_TIMEOUT, now {idle:g} s)",
            ),
            workspace,
            in_thread=self._in_thread,
        )
        content = fetched.content
        loaded: Loaded
        if isinstance(content, Path):
            what = f"the {limits.kind} at {shown_url(url)}"
            loaded = await self._in_thread(lambda: load_file(content, limits, what=what))
        else:
            loaded = await self._in_thread(load, content, limits, workspace)
        return replace(loaded, filename=fetched.filename)

    async def aclose(self) -> None:
        """Close the session."""
        await self._session.aclose()
