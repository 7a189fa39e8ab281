"""``GET /healthz``: what a supervisor asks, on a listener of its own that no media server and no webhook shares.

Bots of one process that name the same address share the listener, and it tells of all of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bot_core.calls import describe_error
from bot_core.status import BotStatus
from qqmedia.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ("health_listener", "parse_address")

_PATH: Final = "/healthz"
_HIGHEST_PORT: Final = 65535

logger = logging.getLogger("bot_core.health")

_Tell: TypeAlias = Callable[[], BotStatus]


class _Listener:
    """One address, and the bots that it tells of.

    Attributes:
        users: How many bots run that named it.
    """

    def __init__(self, address: str) -> None:
        self.users = 0
        self._address = address
        self._runner: web.ServerRunner | None = None
        self._opening = asyncio.Lock()
        self._living: list[_Tell] = []
        self._died: list[tuple[BotStatus, Callable[[], bool]]] = []

    async def open(self) -> None:
        """Listen, unless another bot has brought that about.

        Raises:
            ConfigurationError: Something else listens there.
        """
        from aiohttp import web  # noqa: PLC0415 - only where it is asked for

        async with self._opening:
            if self._runner is not None:
                return
            host, port = parse_address(self._address)
            server = web.Server(self._answer, access_log=None)
            runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                await runner.cleanup()
                others = [one._address for one in _listeners.values() if one._runner is not None]  # noqa: SLF001 - this module's own
                alike = next((address for address in others if parse_address(address)[1] == port), "")
                advice = f"write {alike!r}, as another bot of this process does" if alike else "choose another port"
                raise ConfigurationError(
                    f"health={self._address!r} cannot be listened on ({error.strerror or error}); {advice}"
                ) from error
            self._runner = runner
            listening = runner.addresses[0]
            logger.info("health is told at http://%s:%d%s", listening[0], listening[1], _PATH)

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    @contextmanager
    def telling_of(self, status: _Tell, given_up: Callable[[], bool]) -> Iterator[None]:
        """Tell of one bot while it runs; and, when it died of an error, that it is not well until it is given up."""
        appid = status().appid
        self._died = [(last, gone) for last, gone in self._died if last.appid != appid and not gone()]
        self._living.append(status)
        try:
            yield
        except Exception as error:
            self._died.append((BotStatus(appid=appid, ended=describe_error(error)), given_up))
            raise
        finally:
            self._living.remove(status)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web  # noqa: PLC0415

        if request.path != _PATH or request.method not in ("GET", "HEAD"):
            return web.Response(status=404)
        bots = [*(tell() for tell in self._living), *(last for last, gone in self._died if not gone())]
        healthy = all(bot.healthy for bot in bots)
        text = json.dumps(_told(bots, healthy=healthy), default=_json)
        return web.Response(status=200 if healthy else 503, text=text, content_type="application/json")


# Listening belongs to the process; what it tells is asked for in the loop of the bots.
_listeners: Final[dict[tuple[asyncio.AbstractEventLoop, str, int], _Listener]] = {}


@asynccontextmanager
async def health_listener(
    address: str | None, status: _Tell, given_up: Callable[[], bool] = lambda: False
) -> AsyncIterator[None]:
    """Answer with the status while the block runs: 200 when events flow on every shard, else 503; `None`: do nothing.

    Args:
        address: ``host:port``.
        status: Tells how this bot is doing.
        given_up: Whether nobody wants to know of this bot any more, after it died of an error while others live.

    Raises:
        ConfigurationError: The address makes no sense, or something else listens there.
    """
    if not address:
        yield
        return
    host, port = parse_address(address)
    key = (asyncio.get_running_loop(), host, port)
    listener = _listeners.get(key) if port else None  # 0 stands for any free one, each time another
    if listener is None:
        listener = _listeners[key] = _Listener(address)
    listener.users += 1
    try:
        await listener.open()
        with listener.telling_of(status, given_up):
            yield
    finally:
        listener.users -= 1
        if not listener.users:
            if _listeners.get(key) is listener:
                del _listeners[key]
            await listener.close()


def _told(bots: list[BotStatus], *, healthy: bool) -> dict[str, Any]:
    """Return all bots; where there is but one, what it says of itself stands at the top as well."""
    accounts = [{"healthy": bot.healthy} | asdict(bot) for bot in bots]
    alone = accounts[0] if len(accounts) == 1 else {}
    return alone | {"healthy": healthy, "accounts": accounts}


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``.

    Raises:
        ConfigurationError: It is not of that form.
    """
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise ConfigurationError(f'health must be "host:port", such as "127.0.0.1:8087", got {address!r}')
    return host.strip("[]"), int(port)


def _json(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
