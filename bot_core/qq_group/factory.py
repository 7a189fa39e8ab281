"""`qq_group`: what ``AmiyaBot(adapter=...)`` is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

from bot_core.arguments import spelled
from bot_core.openapi.pace import Pace
from bot_core.qq_group.adapter import QQGroupAdapter
from bot_core.qq_group.builders import Builder
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.reply import ReplyLimits
from bot_core.qq_group.settings import AdapterSettings, check_appid
from bot_core.webhook import WebhookOptions

__all__ = ("qq_group",)

# The platform names no figure (40054007: too long). Other clients keep to this one since AstrBot#9591 of 2026, where
# longer text was refused; a single report has 2000 (openclaw-qqbot#273). Whatever it is, what is refused is cut again.
_TEXT_LIMIT: Final = 4000
# The largest body that every report of PLATFORM 2.4 saw pass; base64 makes 4.7 MiB of it.
_INLINE_LIMIT_BYTES: Final = 3_670_016


@spelled
def qq_group(  # noqa: PLR0917 - AmiyaBot's signature
    client_secret: str,
    default_chain_builder: str | Sequence[str] | Builder | None = None,
    default_chain_builder_options: QQGroupChainBuilderOptions = QQGroupChainBuilderOptions(),  # noqa: B008 - frozen
    shard_index: int = 0,
    shards: int | Literal["auto"] = 1,
    subscribe_group_member_event: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
    *,
    api_base: str | None = None,
    token_url: str | None = None,
    proxy: str | None = None,
    intents: int | None = None,
    max_handlers: int = 256,
    inline_limit: int = _INLINE_LIMIT_BYTES,
    reuse_across_chats: bool = True,
    shutdown_grace: float = 10.0,
    proactive_fallback: bool = False,
    pace: Pace = "adaptive",
    reply_limits: ReplyLimits = ReplyLimits(),  # noqa: B008 - frozen
    text_limit: int | None = _TEXT_LIMIT,
    markdown_images: Literal["host", "store"] = "host",
    markdown_protect: Collection[str] = (),
    receive: Literal["ws", "webhook", "both"] = "ws",
    webhook: WebhookOptions | None = None,
    keep_session: bool | None = None,
    health: str | None = None,
) -> Callable[[str, str], QQGroupAdapter]:
    """Return the adapter for QQ groups and private chats, to be given to `AmiyaBot`.

    Args:
        client_secret: The AppSecret of the bot.
        default_chain_builder: How media are hosted: `None` (``QQMEDIA_DRIVER``, else the driver `local`), the name of
            a driver or several to be tried in order, a host of `qqmedia.open_host`, or an object or class with
            `get_image`, `get_voice` and `get_video`. What was given open is not closed.
        default_chain_builder_options: Settings of the driver `local`, and of downloads.
        shard_index: Which shard this process runs.
        shards: How many there are; `auto`: as many as the platform recommends, all in this process.
        subscribe_group_member_event: Subscribe to joins and leaves of members; needs a right.
        api_base: Address of the API; else ``QQ_API_BASE``, else the public platform.
        token_url: Whole address of ``getAppAccessToken``; else ``QQ_TOKEN_URL``, else it is below `api_base`.
        proxy: HTTP proxy for everything that the bot sends.
        intents: Bits of the events to subscribe to, in place of the usual ones.
        max_handlers: How many handlers run at once.
        inline_limit: Up to how many bytes a medium that has no URL goes up in one request; above it, in parts. Less,
            once the platform says that this is too much.
        reuse_across_chats: Upload a medium once for all groups (and once for all private chats); ends by itself where
            the platform does not take that.
        shutdown_grace: Seconds that running handlers get when the bot ends.
        proactive_fallback: Send unasked what a message takes no more replies for, rather than raise
            `ReplyContextError`. The platform allows few such messages.
        pace: Hold calls back once the platform says that they come too fast (`adaptive`), from the start, at its
            documented rates (`documented`), or never (`None`).
        reply_limits: How long and how often a message can be answered.
        text_limit: Longer text is cut into several messages, at paragraphs; `None`: never. The platform refuses what is
            too long and names no figure; 4000 characters is what people saw it take. Text that is refused all the same
            is cut in two and sent, and this limit is lowered until the bot ends.
        markdown_images: Where pictures of markdown are kept that the platform cannot fetch: by the media host (`host`),
            or in the platform's own store (`store`). Where one way fails, the other one is taken.
        markdown_protect: Names of such pictures, as markdown has them, that never make room for others in that store.
        receive: How events come: over the WebSocket (`ws`), by signed POST (`webhook`), or by both while moving from
            one to the other; what comes by both is handled once.
        webhook: Where to listen for `webhook` and `both`.
        keep_session: Keep the session in the state folder, so that a restart within five minutes gets what came
            meanwhile; `None`: what ``QQBOT_KEEP_SESSION`` says, which ``qqbot run`` switches on.
        health: Address (``127.0.0.1:8087``) on which ``GET /healthz`` tells how the bot is doing; `None`: nowhere.
            Bots of one process may name the same one, which then tells of all of them.

    Raises:
        ConfigurationError: An argument makes no sense. Whether drivers and addresses are right shows at the start.
    """
    settings = AdapterSettings(
        client_secret=client_secret,
        builder=default_chain_builder,
        options=default_chain_builder_options,
        shard_index=shard_index,
        shards=shards,
        subscribe_group_member_event=subscribe_group_member_event,
        api_base=api_base,
        token_url=token_url,
        proxy=proxy,
        intents=intents,
        max_handlers=max_handlers,
        inline_limit=inline_limit,
        reuse_across_chats=reuse_across_chats,
        shutdown_grace=shutdown_grace,
        proactive_fallback=proactive_fallback,
        pace=pace,
        reply_limits=reply_limits,
        text_limit=text_limit,
        markdown_images=markdown_images,
        markdown_protect=markdown_protect,
        receive=receive,
        webhook=webhook,
        keep_session=keep_session,
        health=health,
    )

    def adapter(appid: str, token: str = "") -> QQGroupAdapter:  # noqa: ARG001 - the retired fixed token is not sent
        check_appid(appid)
        return QQGroupAdapter(appid, settings)

    return adapter
