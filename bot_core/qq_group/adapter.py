"""One account on the QQ open platform: groups and private chats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bot_core.adapter import MessageHandle, Receive
from bot_core.errors import BotError, OpenAPIError, ReplyContextError
from bot_core.message import Event, Message
from bot_core.openapi.values import Scene, Target
from bot_core.qq_group.acknowledging import Acknowledgements
from bot_core.qq_group.attachments import HostDesk, MediaDesk
from bot_core.qq_group.connection import Connection, open_connection
from bot_core.qq_group.events import INTERACTION, can_be_answered, incoming, reference_of
from bot_core.qq_group.receivers import new_receiver
from bot_core.qq_group.reply import ReplyContext
from bot_core.qq_group.seen import SeenEvents, identities
from bot_core.status import ShardStatus, SupportsStatus

if TYPE_CHECKING:
    from bot_core.chain import Chain
    from bot_core.gateway.actions import Dispatch
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.settings import AdapterSettings
    from bot_core.webhook import Receiver

__all__ = ("QQGroupAdapter",)

# READY comes without a name at times; events wait meanwhile.
_NAME_SECONDS: Final = 5.0
# Kinds of events that cannot be read, told once each; a broken peer must not make their number grow without end.
_ODD_LIMIT: Final = 64
_GATEWAY_EVENTS: Final = frozenset({"READY", "RESUMED"})

logger = logging.getLogger("bot_core.qq_group")


class QQGroupAdapter:
    """Connects one account; see `bot_core.adapter.Adapter` for the contract.

    Attributes:
        appid: The account.
        bot_name: Its name, once the platform said it.
        shutdown_grace: Seconds that running handlers get to finish.
        max_handlers: How many handlers may run at once.
        health: Where ``GET /healthz`` is answered, if anywhere.
    """

    def __init__(self, appid: str, settings: AdapterSettings) -> None:
        self.appid = appid
        self.bot_name = ""
        self.shutdown_grace = settings.shutdown_grace
        self.max_handlers = settings.max_handlers
        self.health = settings.health
        self._settings = settings
        self._connection: Connection | None = None
        self._opening: asyncio.Event | None = None
        self._receiver: Receiver | None = None
        self._stopped = False
        self._closed = False
        self._seen = SeenEvents()
        self._odd: set[str] = set()

    def __repr__(self) -> str:
        return f"<QQGroupAdapter of {self.appid}>"

    @property
    def api(self) -> OpenAPIClient:
        """The platform's client, while the adapter is open."""
        if self._connection is None:
            raise self._not_open()
        return self._connection.api

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open what sending needs: HTTP session and media host. The platform is not called.

        Raises:
            ConfigurationError: A setting is wrong.
            BotError: It is open already.
        """
        if self._connection is not None or self._opening is not None:
            raise BotError(f"bot {self.appid} is started already")
        self._opening = asyncio.Event()
        self._stopped = self._closed = False
        async with AsyncExitStack() as stack:
            try:
                self._connection = await stack.enter_async_context(open_connection(self, self._settings))
            finally:
                self._opening.set()
                self._opening = None
            try:
                yield
            finally:
                self._connection = None
                self._closed = True

    async def listen(self, receive: Receive) -> None:
        """Log in, then hand every message and event to `receive` until `stop` is called.

        Raises:
            AuthenticationError: The platform refuses appid or secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
        """
        connection = await self._ready()
        if self._stopped:
            return

        async def deliver(dispatch: Dispatch) -> None:
            message = self._take(dispatch)
            if message is None:
                return
            if dispatch.type == INTERACTION:  # before anything that could wait: the platform wants it within 5 s
                acknowledgements.begin(connection.api, dispatch.data)
            await receive(message)

        self._receiver = new_receiver(self.appid, self._settings, connection)
        acknowledgements = Acknowledgements(self._settings.timing)
        try:
            await self._receiver.run(deliver, on_ready=self._on_ready)
        finally:
            self._receiver = None
            await acknowledgements.finish()

    def shard_status(self) -> tuple[ShardStatus, ...]:
        """Return how each connection to the platform is doing; nothing while there is none."""
        receiver: object = self._receiver
        return receiver.shard_status() if isinstance(receiver, SupportsStatus) else ()

    def stop(self) -> None:
        """Make `listen` return soon. May be called at any time, and again."""
        self._stopped = True
        if self._receiver is not None:
            self._receiver.stop()

    async def send_chain(self, chain: Chain, *, timeout: float | None = None) -> list[MessageHandle]:
        """Send the chain as an answer to ``chain.data``; one handle a message, empty when nothing was to be sent.

        Raises:
            MediaError: A medium cannot be sent; nothing was sent.
            OpenAPIError: The platform refused, and nothing was sent.
            PartlySentError: Some messages went out, some did not.
        """
        data = chain.data
        if data is None:
            raise BotError(
                "this chain answers no message: make it with Chain(data), or send it with "
                "bot.send_message(chain, channel_id=...)"
            )
        context = ReplyContext(
            target=_target_of(data),
            msg_id=data.message_id,
            received=data.time,
            reference=reference_of(data) if chain.reference else "",
        )
        connection = self._connection or await self._ready()
        return await connection.sender.send(chain, context.target, context if context.msg_id else None, timeout=timeout)

    async def send_event_reply(
        self, chain: Chain, event: Event, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send the chain as an answer to the event.

        Raises:
            ReplyContextError: The platform takes no answer to this event, or no more; nothing was sent.
            MediaError: A medium cannot be sent; nothing was sent.
            OpenAPIError: The platform refused, and nothing was sent.
            PartlySentError: Some messages went out, some did not.
        """
        if not can_be_answered(event):
            raise ReplyContextError(
                f"the platform takes no answer to {event.event_name}; use bot.send_message to send unasked"
            )
        context = _context_of(event)
        connection = self._connection or await self._ready()
        return await connection.sender.send(chain, context.target, context, timeout=timeout)

    def reply_deadline(self, data: Message | Event) -> datetime | None:
        """Return until when it can be answered (UTC), or `None` where it cannot be answered."""
        if self._connection is None or not _answerable(data):
            return None
        return datetime.fromtimestamp(self._connection.sender.replies.deadline(_context_of(data)), UTC)

    def replies_left(self, data: Message | Event) -> int:
        """Return how many more answers it takes; 0 when the time for them is over."""
        if self._connection is None or not _answerable(data):
            return 0
        return self._connection.sender.replies.left(_context_of(data))

    async def desk(self) -> MediaDesk:
        """Return what fetches and stores attachments.

        Raises:
            BotError: The bot is not started.
        """
        connection = self._connection or await self._ready()
        hosting = connection.hosting
        return HostDesk(hosting.builder, hosting.host, connection.downloads, connection.in_thread)

    async def send_message(
        self,
        chain: Chain,
        user_id: str = "",
        channel_id: str = "",
        direct_src_guild_id: str = "",  # noqa: ARG002 - AmiyaBot's signature; groups and private chats have no guild
    ) -> list[MessageHandle]:
        """Send the chain unasked, to a group (`channel_id`) or a user; with both the group wins.

        Raises:
            BotError: Neither is given.
            OpenAPIError: The platform refused; it allows few messages unasked.
        """
        if not (channel_id or user_id):
            raise BotError("send_message needs channel_id (a group) or user_id (a user)")
        target = Target(Scene.GROUP, channel_id) if channel_id else Target(Scene.USER, user_id)
        connection = self._connection or await self._ready()
        return await connection.sender.send(chain, target, None)

    async def recall_message(self, message_id: str, data: Any = None) -> None:
        """Recall a message of this chat: `data` is a received `Message`, or the `target` of a handle.

        Raises:
            BotError: The message's id or its chat is not known.
            OpenAPIError: The platform refused.
        """
        where = _target_of(data) if isinstance(data, Message) else data
        if not isinstance(where, Target):
            raise BotError("recall_message needs the chat as well: the target of a handle, or the received message")
        if not message_id:
            raise BotError("this message cannot be recalled: the answer with its id got lost on the way")
        connection = self._connection or await self._ready()
        await connection.api.delete_message(where, message_id)

    async def _ready(self) -> Connection:
        """Return what is open; wait while it is being opened."""
        opening = self._opening
        if opening is not None:
            await opening.wait()
        if self._connection is None:
            raise self._not_open()
        return self._connection

    def _not_open(self) -> BotError:
        if self._closed:
            return BotError(f"bot {self.appid} was closed, and reaches the platform no more")
        return BotError(f"bot {self.appid} is not started; await bot.start() first")

    def _take(self, dispatch: Dispatch) -> Message | Event | None:
        """Return the message or event, or `None` for one that came before or cannot be used."""
        data = dispatch.data
        if dispatch.type in _GATEWAY_EVENTS:  # they begin anew with every connection, and say nothing to a bot
            return None
        known_by = identities(dispatch)
        if self._seen.repeated(*known_by):
            logger.debug("%s came again and was dropped", " ".join(known_by))
            return None
        try:
            return incoming(self, dispatch.type, data, dispatch.id, self, complain=self._complain)
        except Exception as error:  # noqa: BLE001 - whatever the platform sends, the connection lives on
            self._complain(f"{dispatch.type} skipped: it cannot be read ({type(error).__name__})", error)
            return None

    def _complain(self, text: str, error: Exception | None = None) -> None:
        """Say it, once a kind: a platform that changed its events would fill the log."""
        if text not in self._odd and len(self._odd) < _ODD_LIMIT:
            self._odd.add(text)
            logger.warning("bot %s: %s; not said again", self.appid, text, exc_info=error)

    async def _on_ready(self, dispatch: Dispatch) -> None:
        """Note the bot's name: READY has it, RESUMED has not."""
        user = dispatch.data.get("user") if isinstance(dispatch.data, dict) else None
        name = user.get("username") if isinstance(user, dict) else None
        if isinstance(name, str) and name:
            self.bot_name = name
        elif not self.bot_name:
            self.bot_name = await self._ask_name()

    async def _ask_name(self) -> str:
        try:
            async with asyncio.timeout(_NAME_SECONDS):
                return (await self.api.get_me()).username
        except (OpenAPIError, TimeoutError) as error:  # a name is for people: the bot works without
            logger.warning("the name of bot %s is not known: %s", self.appid, str(error) or "no answer")
            return ""


def _answerable(data: Message | Event) -> bool:
    return can_be_answered(data) if isinstance(data, Event) else bool(data.message_id)


def _context_of(data: Message | Event) -> ReplyContext:
    if isinstance(data, Event):
        target = (
            Target(Scene.GROUP, data.channel_openid) if data.channel_openid else Target(Scene.USER, data.user_openid)
        )
        return ReplyContext(target, "", data.time, event_id=data.event_id, event_name=data.event_name)
    return ReplyContext(_target_of(data), data.message_id, data.time)


def _target_of(message: Message) -> Target:
    if message.is_direct:
        return Target(Scene.USER, message.user_openid or message.user_id)
    return Target(Scene.GROUP, message.channel_openid or message.channel_id)
