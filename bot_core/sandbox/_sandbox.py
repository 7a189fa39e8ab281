"""The sandbox: a QQ open platform on loopback, and the person who chats with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot_core.sandbox._breaking import Breaking
from bot_core.sandbox._control import Control
from bot_core.sandbox._fetch import Fetcher
from bot_core.sandbox._listen import check_host, listening
from bot_core.sandbox._media import MediaStore
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._routes import TOKEN_PATH
from bot_core.sandbox._server import PlatformServer
from bot_core.sandbox._speaking import DEFAULT_GROUP, DEFAULT_USER, Speaking
from bot_core.sandbox._switching import Switching
from bot_core.sandbox._watching import Watching

__all__ = ("DEFAULT_GROUP", "DEFAULT_USER", "Sandbox")


class Sandbox(Speaking, Watching, Breaking, Switching):
    """A QQ open platform on loopback; made by `Sandbox.open`.

    Attributes:
        api_base: What a bot takes as `QQ_API_BASE`.
        token_url: What a bot takes as `QQ_TOKEN_URL`.
        options: How it was opened.
        faults: What goes wrong next.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: SandboxOptions | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> AsyncIterator[Sandbox]:
        """Listen on `host` and `port` (0: any free port) until the block ends; then everybody is disconnected.

        Raises:
            ConfigurationError: The port is taken, or `host` is not loopback and `allow_remote` is not set.
        """
        options = options or SandboxOptions()
        check_host(host, allow_remote=options.allow_remote)
        async with (
            MediaStore.open(options.media_memory_bytes, options.media_total_bytes) as store,
            Fetcher.open(options, store) as fetcher,
        ):
            sandbox = cls(options, store, fetcher)
            desks = sandbox._desks
            server = PlatformServer(options, desks, sandbox.faults, control=Control(sandbox).handle)
            async with listening(server.handle, host, port) as listener:
                sandbox._listener = listener
                sandbox.api_base = listener.base
                sandbox.token_url = listener.base + TOKEN_PATH
                desks.name_addresses(listener.base)
                try:
                    yield sandbox
                finally:
                    await desks.close()
