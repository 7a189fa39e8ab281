"""Opens the sandbox's port, on loopback unless told otherwise."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from aiohttp import web

from qqmedia import ConfigurationError

__all__ = ("check_host", "listening")

# Calls that still run when the sandbox ends are cancelled after this.
_SHUTDOWN_SECONDS: Final = 0.2
_LAST_PORT: Final = 65535

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(handle: Handler, host: str, port: int) -> AsyncIterator[str]:
    """Serve until the block ends; give the address.

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
        taken = runner.addresses[0][1]
        name = "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host  # noqa: S104
        yield f"http://{name}:{taken}"
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
