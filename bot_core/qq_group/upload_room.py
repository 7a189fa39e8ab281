"""Opens what uploads need beside the platform's client: guarded sessions, the store, and what remembers failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp

from bot_core.openapi.part_store import PartStore
from bot_core.qq_group.bytes_way import BytesWay
from bot_core.qq_group.chunked import ChunkedUploads
from bot_core.qq_group.downloads import Downloads
from bot_core.qq_group.file_info_sqlite import open_file_info_store
from bot_core.qq_group.rescue import Rescue
from bot_core.qq_group.uploads import Uploads
from qqmedia.guard import GuardedSession

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.hosting import Hosting
    from bot_core.qq_group.settings import AdapterSettings
    from bot_core.reading import InThread

__all__ = ("open_uploads",)

# Where the storage of a platform on loopback is.
_LOOPBACK: Final = ("127.0.0.0/8", "::1")
# Parts and downloads have limits of their own, which grow with their sizes.
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)


@asynccontextmanager
async def open_uploads(
    appid: str,
    api: OpenAPIClient,
    hosting: Hosting,
    settings: AdapterSettings,
    in_thread: InThread,
    *,
    platform_on_loopback: bool,
) -> AsyncIterator[Uploads]:
    """Open it; on leaving, close all of it.

    Args:
        appid: The bot.
        api: The platform's client.
        hosting: Who prepares and stores media.
        settings: Of the adapter.
        in_thread: Where this account reads its media.
        platform_on_loopback: The platform runs on this machine: it can fetch loopback addresses, its storage may be
            on one, and no address of a link is refused (except where the settings say what names mean).

    Raises:
        ConfigurationError: The file that `QQMEDIA_CACHE` names cannot be used.
    """
    timing = settings.timing
    async with AsyncExitStack() as stack:
        links = await stack.enter_async_context(_links(settings, hosting, platform_on_loopback=platform_on_loopback))
        storage = await stack.enter_async_context(_storage(settings, platform_on_loopback=platform_on_loopback))
        rescue = Rescue(links, clock=timing.clock)
        stack.push_async_callback(rescue.aclose)
        yield Uploads(
            appid=appid,
            api=api,
            builder=hosting.builder,
            host=hosting.host,
            store=await stack.enter_async_context(open_file_info_store()),
            downloads=Downloads(links, settings.options, in_thread),
            bytes_way=_bytes_way(api, storage, settings, in_thread),
            rescue=rescue,
            in_thread=in_thread,
            reuse_across_chats=settings.reuse_across_chats,
            platform_on_loopback=platform_on_loopback,
            fetch_seconds=settings.fetch_timeout,
            clock=timing.clock,
            sleep=timing.sleep,
        )


@asynccontextmanager
async def _links(
    settings: AdapterSettings, hosting: Hosting, *, platform_on_loopback: bool
) -> AsyncIterator[GuardedSession]:
    """Open what fetches links; it may reach the bot's own servers."""
    options = settings.options
    session = GuardedSession(
        everything=platform_on_loopback and settings.resolver is None,
        resolver=settings.resolver,
        timeout=_NO_LIMIT,
        trust_env=options.media_trust_env,
        proxy=None if options.media_trust_env else settings.proxy,
        trusted=(*options.media_trusted_hosts, *hosting.own_servers),
    )
    try:
        yield session
    finally:
        await session.aclose()


@asynccontextmanager
async def _storage(settings: AdapterSettings, *, platform_on_loopback: bool) -> AsyncIterator[PartStore]:
    """Open what puts parts where the platform wants them."""
    trusted = _LOOPBACK if platform_on_loopback else ()
    session = GuardedSession(resolver=settings.resolver, timeout=_NO_LIMIT, proxy=settings.proxy, trusted=trusted)
    try:
        yield PartStore(session, plain_http=platform_on_loopback)
    finally:
        await session.aclose()


def _bytes_way(api: OpenAPIClient, storage: PartStore, settings: AdapterSettings, in_thread: InThread) -> BytesWay:
    timing = settings.timing
    chunked = ChunkedUploads(api, storage, in_thread=in_thread, sleep=timing.sleep, clock=timing.clock)
    return BytesWay(api, chunked, in_thread=in_thread, inline_limit=settings.inline_limit, sleep=timing.sleep)
