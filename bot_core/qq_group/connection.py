"""What one running adapter has open: HTTP session, tokens, client, media host, and what its gateway keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot_core.gateway.cluster import Cluster
from bot_core.gateway.kept import FileSessionStore, SessionKeeper
from bot_core.gateway.pacing import FilePacingStore, PacingStore
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.pace import Pacer
from bot_core.openapi.token import AccessTokenSource
from bot_core.qq_group.downloads import Downloads
from bot_core.qq_group.hosting import Hosting, open_hosting
from bot_core.qq_group.image_store import open_image_store
from bot_core.qq_group.markdown_images import MarkdownImages
from bot_core.qq_group.reply import ReplyBook
from bot_core.qq_group.sending import Sender, SendOptions
from bot_core.qq_group.settings import AdapterSettings, Platform
from bot_core.qq_group.shared_http import shared_http_session
from bot_core.qq_group.upload_room import open_uploads
from bot_core.reading import InThread, account_threads

if TYPE_CHECKING:
    import aiohttp

    from bot_core.adapter import Adapter

__all__ = ("Connection", "open_connection")


@dataclass(frozen=True, slots=True)
class Connection:
    """What is open.

    Attributes:
        http: Shared by everything here, and with the other accounts of this process.
        tokens: Of this account.
        api: Typed calls.
        sender: Sends chains.
        hosting: Prepares and stores media.
        downloads: Fetches links.
        in_thread: Where its media are read: its own six calls at once.
        account: Appid and platform: what the gateway's state is kept under.
        pacing: Knows when its shards may identify.
        keeper: Remembers the gateway's sessions for the next process, where that is wanted.
    """

    http: aiohttp.ClientSession
    tokens: AccessTokenSource
    api: OpenAPIClient
    sender: Sender
    hosting: Hosting
    downloads: Downloads
    in_thread: InThread
    account: str
    pacing: PacingStore
    keeper: SessionKeeper | None = None

    def new_cluster(self, settings: AdapterSettings) -> Cluster:
        """Return a gateway that is not connected yet."""
        return Cluster(
            self.api,
            self.tokens,
            self.http,
            intents=settings.wanted_intents,
            shard_index=settings.shard_index,
            shards=settings.shards,
            appid=self.tokens.appid,
            account=self.account,
            pacing=self.pacing,
            keeper=self.keeper,
        )


@asynccontextmanager
async def open_connection(adapter: Adapter, settings: AdapterSettings) -> AsyncIterator[Connection]:
    """Open everything; the platform is not called.

    Raises:
        ConfigurationError: A setting is wrong.
        DriverError: The driver is not there or cannot be used.
    """
    platform = Platform.of(settings)
    async with AsyncExitStack() as stack:
        in_thread = stack.enter_context(account_threads(adapter.appid))
        http = await stack.enter_async_context(shared_http_session(settings.proxy))
        tokens = AccessTokenSource(
            http, appid=adapter.appid, client_secret=settings.client_secret, token_url=platform.token_url
        )
        timing = settings.timing
        pacer = Pacer(settings.pace, clock=timing.clock, sleep=timing.sleep)
        replies = ReplyBook(settings.reply_limits, clock=timing.clock, wall_clock=timing.wall_clock)
        api = OpenAPIClient(http, api_base=platform.api_base, tokens=tokens, pacer=pacer, replied=replies.heard)
        hosting = await stack.enter_async_context(
            open_hosting(settings.builder, settings.options, http=http, platform_on_loopback=platform.on_loopback)
        )
        uploads = await stack.enter_async_context(
            open_uploads(adapter.appid, api, hosting, settings, in_thread, platform_on_loopback=platform.on_loopback)
        )
        options = SendOptions(
            proactive_fallback=settings.proactive_fallback, text_limit=settings.text_limit, timing=timing
        )
        account = f"{adapter.appid} at {platform.api_base}"
        # Other calls than those for media: a copy of this bot that is ending may be waited for.
        gateway_in_thread = stack.enter_context(account_threads(adapter.appid))
        keeper = await stack.enter_async_context(_keeper(account, settings, gateway_in_thread))
        pacing = FilePacingStore(in_thread=gateway_in_thread)
        store = await stack.enter_async_context(
            open_image_store(api, settings, in_thread, platform_on_loopback=platform.on_loopback)
        )
        pictures = MarkdownImages(
            hosting, store, uploads.downloads, in_thread, first=settings.markdown_images,
            platform_on_loopback=platform.on_loopback, passes_over=uploads.passes_over,
        )  # fmt: skip
        sender = Sender(adapter, api, uploads, replies, options, pictures=pictures)
        yield Connection(http, tokens, api, sender, hosting, uploads.downloads, in_thread, account, pacing, keeper)


@asynccontextmanager
async def _keeper(account: str, settings: AdapterSettings, in_thread: InThread) -> AsyncIterator[SessionKeeper | None]:
    if not settings.keeps_session:
        yield None
        return
    store = FileSessionStore(in_thread=in_thread)
    keeper = SessionKeeper(store, account, grace=settings.shutdown_grace, resumes=settings.resumes)
    async with keeper.open():
        yield keeper
