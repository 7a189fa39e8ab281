"""``GET /healthz``: what a supervisor asks, on a listener of its own that no media server and no webhook shares."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Final

from bot_core.status import BotStatus
from qqmedia.errors import ConfigurationError

__all__ = ("health_listener",)

_PATH: Final = "/healthz"
_HIGHEST_PORT: Final = 65535

logger = logging.getLogger("bot_core.health")


@asynccontextmanager
async def health_listener(address: str | None, status: Callable[[], BotStatus]) -> AsyncIterator[None]:
    """Answer with the status while the block runs: 200 when events flow on every shard, else 503; `None`: do nothing.

    Raises:
        ConfigurationError: The address makes no sense, or something else listens there.
    """
    if not address:
        yield
        return
    from aiohttp import web  # noqa: PLC0415 - only where it is asked for

    host, port = parse_address(address)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != _PATH or request.method not in ("GET", "HEAD"):
            return web.Response(status=404)
        now = status()
        text = json.dumps({"healthy": now.healthy} | asdict(now), default=_json)
        return web.Response(status=200 if now.healthy else 503, text=text, content_type="application/json")

    runner = web.ServerRunner(web.Server(answer, access_log=None), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"health={address!r} cannot be listened on ({error.strerror or error}); choose another port"
            ) from error
        listening = runner.addresses[0]
        logger.info("health is told at http://%s:%d%s", listening[0], listening[1], _PATH)
        yield
    finally:
        await runner.cleanup()


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``.

    Raises:
        ConfigurationError: It is not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise ConfigurationError(f'health must be "host:port", such as "127.0.0.1:8087", got {address!r}')
    return host.strip("[]"), int(port)


def _json(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
