"""What a host lends to its drivers while it is open: HTTP session, threads, clock, state folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from qqmedia.errors import QQMediaError
from qqmedia.threads import Threads

if TYPE_CHECKING:
    import aiohttp

__all__ = ("Clock", "HostContext", "Resources", "SystemClock")

T = TypeVar("T")


class Clock(Protocol):
    """The wall clock of a host; tests bring one that they move by hand."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class SystemClock:
    """The clock of this machine."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        await asyncio.sleep(seconds)


class Resources:
    """Threads and HTTP session of one host; a session that was lent is not closed."""

    def __init__(self, *, clock: Clock, http: aiohttp.ClientSession | None) -> None:
        self.clock = clock
        self._lent = http
        self._own: aiohttp.ClientSession | None = None
        self._threads = Threads()

    @property
    def http(self) -> aiohttp.ClientSession:
        """The session that was lent, or one of our own, made on first use."""
        if self._lent is not None:
            return self._lent
        if self._own is None:
            import aiohttp  # noqa: PLC0415 - `import qqmedia` must not load it

            self._own = aiohttp.ClientSession()
        return self._own

    async def in_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a blocking function in this host's share of the threads.

        Raises:
            QQMediaError: The host was closed meanwhile.
        """
        return await self._threads.start(function, *args)

    async def aclose(self) -> None:
        """Close what is ours. A call that still runs in a thread is left to its own time limit."""
        self._threads.close(_closed_meanwhile)
        if self._own is not None:
            await self._own.close()


class HostContext:
    """The `qqmedia.driver.DriverContext` of one driver."""

    def __init__(
        self, *, name: str, state_dir: Path, platform_on_loopback: bool, put_timeout: float, resources: Resources
    ) -> None:
        self.name = name
        self.state_dir = state_dir
        self.platform_on_loopback = platform_on_loopback
        self.put_timeout = put_timeout
        self._resources = resources

    @property
    def http(self) -> aiohttp.ClientSession:
        """The shared HTTP session."""
        return self._resources.http

    def time(self) -> float:
        """Return the wall clock in seconds since the epoch."""
        return self._resources.clock.time()

    async def in_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a blocking function in the host's bounded threads."""
        return await self._resources.in_thread(function, *args)


def _closed_meanwhile() -> QQMediaError:
    return QQMediaError("the media host was closed while a medium was on its way")
