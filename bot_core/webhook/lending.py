"""One listener for every address, shared by all bots of an event loop that name it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bot_core.webhook._certificate import Certificate
from bot_core.webhook.options import WebhookOptions
from bot_core.webhook.server import WebhookServer
from qqmedia import ConfigurationError

__all__ = ("lent_server",)


class _Entry:
    """A server that is lent, or about to be started or stopped (whoever does that holds `lock`)."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.server: WebhookServer | None = None

    def is_idle(self) -> bool:
        return not self.users


class _Registry:
    """The servers of this process, by event loop and address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # event loops may run in several threads
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], _Entry]]
        self._loops = weakref.WeakKeyDictionary()

    def of_this_loop(self) -> dict[tuple[str, int], _Entry]:
        with self._lock:
            return self._loops.setdefault(asyncio.get_running_loop(), {})


# A port belongs to the process, so who listens on it is known process-wide.
_registry: Final = _Registry()


@asynccontextmanager
async def lent_server(options: WebhookOptions) -> AsyncIterator[WebhookServer]:
    """Lend the server of this address; the first borrower starts it, the last one stops it.

    Port 0 is a server of one's own, on any free port.

    Raises:
        ConfigurationError: It runs with other options, the certificate cannot be used, or as `WebhookServer.start`.
    """
    entries = _registry.of_this_loop()
    address = (options.host, options.port)
    entry = entries.setdefault(address, _Entry()) if options.port else _Entry()
    entry.users += 1
    try:
        yield await _borrow(entry, options)
    finally:
        entry.users -= 1
        await _give_back(entry)
        if entry.is_idle() and entries.get(address) is entry:  # nobody came meanwhile
            del entries[address]


async def _borrow(entry: _Entry, options: WebhookOptions) -> WebhookServer:
    async with entry.lock:
        if entry.server is None:
            server = WebhookServer(options, await asyncio.to_thread(Certificate.load, options))
            await server.start()
            entry.server = server
        elif differences := options.differences(entry.server.options):
            raise ConfigurationError(
                f"webhook port {options.port} is used by another bot of this process with another {differences}; "
                "give both the same, or another port"
            )
        return entry.server


async def _give_back(entry: _Entry) -> None:
    if not entry.is_idle():
        return
    async with entry.lock:
        if entry.is_idle() and entry.server is not None:  # nobody came while the lock was waited for
            server, entry.server = entry.server, None
            await server.stop()
