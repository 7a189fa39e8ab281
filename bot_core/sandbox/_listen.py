"""Opens the sandbox's port, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from aiohttp import web

from qqmedia import ConfigurationError

__all__ = ("Listener", "check_host", "listening")

# Calls that still run when the sandbox ends are cancelled after this.
_SHUTDOWN_SECONDS: Final = 0.2
_LAST_PORT: Final = 65535
_LAST_ANSWERS_SECONDS: Final = 0.02

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """The open port; made by `listening`.

    Attributes:
        base: Its address.
    """

    def __init__(self, runner: web.ServerRunner, host: str, port: int) -> None:
        name = "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host  # noqa: S104
        self.base = f"http://{name}:{port}"
        self._runner = runner
        self._address = (host, port)
        self._away: asyncio.Task[None] | None = None

    def refuse(self, seconds: float) -> None:
        """Refuse every connection for so long, from now on, and cut those that there are."""
        held = self._away
        if held is None or held.done():
            self._away = asyncio.create_task(self._come_back(seconds), name="sandbox away")  # `close` ends it

    async def close(self) -> None:
        """Give up coming back."""
        if self._away is not None:
            self._away.cancel()
            await asyncio.wait([self._away])

    async def _come_back(self, seconds: float) -> None:
        # The answer to whoever asked for this goes out before.
        await asyncio.sleep(_LAST_ANSWERS_SECONDS)
        host, port = self._address
        for site in list(self._runner.sites):
            await site.stop()
        # Bound and not listening: connections are refused, and nobody else gets the port.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((host, port))
            for connection in self._runner.server.connections if self._runner.server is not None else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(seconds)
            await web.SockSite(self._runner, held).start()
        except BaseException:
            held.close()
            raise


@asynccontextmanager
async def listening(handle: Handler, host: str, port: int) -> AsyncIterator[Listener]:
    """Serve until the block ends; give what listens.

    Raises:
        ConfigurationError: The port is taken, or there is none of that number.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ConfigurationError(f"port must be a number of 0 to {_LAST_PORT}, got {port}; 0 takes a free one (--port)")
    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise ConfigurationError(
                f"port {port} is taken by another program, or by another sandbox; choose another one with port (--port)"
            ) from error
        listener = Listener(runner, host, runner.addresses[0][1])
        try:
            yield listener
        finally:
            await listener.close()
    finally:
        await runner.cleanup()


def check_host(host: str, *, allow_remote: bool) -> None:
    """Let nobody open the sandbox to other machines by accident.

    Raises:
        ConfigurationError: `host` is not loopback, and that was not allowed.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback and not allow_remote:
        raise ConfigurationError(
            f"{host} can be reached by other machines, and the sandbox lets everybody in; "
            "take 127.0.0.1, or allow it with allow_remote (--allow-remote)"
        )
