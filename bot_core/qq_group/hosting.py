"""Opens what an adapter's `default_chain_builder` names, and says who prepares media where that is a stranger's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

import qqmedia
from bot_core.qq_group.builders import Builder, as_builder, start_builder
from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.reaching import may_fetch_from
from qqmedia import MediaKind, SupportsPublish
from qqmedia.settings import chosen_driver

__all__ = ("Hosting", "open_hosting")

_DEFAULT_DRIVER: Final = "local"
# Ways to be fetched from, where a driver serves from this machine already and where none does.
_HOSTED: Final = "choose another driver (default_chain_builder, or QQMEDIA_DRIVER)"
_SERVED: Final = f"set public_url (QQMEDIA_LOCAL_PUBLIC_URL), or {_HOSTED}"

logger = logging.getLogger("bot_core.qq_group")


@dataclass(frozen=True, slots=True)
class Hosting:
    """What the adapter works with.

    Attributes:
        builder: In charge where neither chain nor element has a builder: a host, or a stranger's object.
        host: Makes media ready where the builder in charge is a stranger's.
    """

    builder: Builder
    host: SupportsPublish

    @property
    def own_servers(self) -> tuple[str, ...]:
        """Host and port of each media server of this very bot: links to it can be fetched, however private it is."""
        servers = [one for one in (self.host, self.builder) if isinstance(one, qqmedia.MediaHost | QQGroupChainBuilder)]
        urls = {URL(url) for one in servers for url in one.own_addresses}
        return tuple(f"{_host_of(url)}:{url.port}" for url in urls)


def _host_of(url: URL) -> str:
    return f"[{url.raw_host}]" if ":" in (url.raw_host or "") else url.raw_host or ""


@asynccontextmanager
async def open_hosting(
    given: str | Sequence[str] | Builder | None,
    options: QQGroupChainBuilderOptions,
    *,
    http: aiohttp.ClientSession,
    platform_on_loopback: bool,
) -> AsyncIterator[Hosting]:
    """Open the media host; on leaving, close what was opened here and nothing else.

    Args:
        given: `None` (as `qqmedia.open_host` takes it), a driver's name or several, a host, or a chain builder.
        options: Settings of the driver `local`.
        http: Lent to the host.
        platform_on_loopback: The platform can fetch loopback addresses.

    Raises:
        ConfigurationError: A setting is wrong, or `given` is nothing of the kind.
        DriverError: A driver is not there or cannot be used.
    """
    shared: dict[str, Any] = {"http": http, "platform_on_loopback": platform_on_loopback}
    async with AsyncExitStack() as stack:
        if given is None:
            given = await asyncio.to_thread(chosen_driver) or _DEFAULT_DRIVER
        names = _names(given)
        if names is not None:
            settings = _server_settings(options, names)
            host = await stack.enter_async_context(qqmedia.open_host(names, **shared, **settings))
            _tell_reach(host, platform_on_loopback=platform_on_loopback)
            yield Hosting(host, host)
            return
        if isinstance(given, SupportsPublish):
            _warn_of_unused(options, "a media host")
            start_builder(given)
            if isinstance(given, qqmedia.MediaHost):
                await _open_now(given)
                _tell_reach(given, platform_on_loopback=platform_on_loopback)
            yield Hosting(given, given)
            return
        builder = as_builder(given)
        if isinstance(builder, QQGroupChainBuilder):
            await stack.enter_async_context(builder.opened(platform_on_loopback=platform_on_loopback))
        else:
            _warn_of_unused(options, type(builder).__name__)
        start_builder(builder)
        host = await stack.enter_async_context(qqmedia.open_host("direct", **shared))
        yield Hosting(builder, host)


def _names(given: object) -> list[str] | None:
    """Return the names of the drivers, or `None` where no names were given."""
    if isinstance(given, str):
        return [name.strip() for name in given.split(",")]
    if isinstance(given, (list, tuple)) and all(isinstance(name, str) for name in given):
        return list(given)
    return None


def _server_settings(options: QQGroupChainBuilderOptions, names: Sequence[str]) -> dict[str, Any]:
    """Return the settings of the driver `local` as `qqmedia.open_host` takes them, wherever it is among the drivers."""
    settings = options.server_settings()
    local = [name for name in names if name.partition(":")[0] == _DEFAULT_DRIVER]
    if local and settings:
        return settings if len(names) == 1 else dict.fromkeys(local, settings)
    _warn_of_unused(options, f"the driver {', '.join(names)}")
    return {}


def _warn_of_unused(options: QQGroupChainBuilderOptions, beside: str) -> None:
    settings = options.server_settings()
    if settings:
        logger.warning("default_chain_builder_options: %s means nothing beside %s", ", ".join(sorted(settings)), beside)


def _tell_reach(host: qqmedia.MediaHost, *, platform_on_loopback: bool) -> None:
    if host.idle:  # a warning has told more
        return
    if not may_fetch_from(host, platform_on_loopback=platform_on_loopback):
        logger.info(
            "media go to the platform as bytes, as it cannot fetch anything from here (%s); to serve them by URL, %s",
            ", ".join(host.names),
            _SERVED if host.own_addresses else _HOSTED,
        )


async def _open_now(host: qqmedia.MediaHost) -> None:
    """Wait until the host is open, so that wrong settings show at the start; it opens when it is used first."""
    async with host.prepare(MediaKind.FILE, b"-"):
        pass
