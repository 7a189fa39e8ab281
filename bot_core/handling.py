"""What happens to one message or event: hooks, the choice of a handler, the answer, errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bot_core.adapter import MessageHandle, SupportsEventReply
from bot_core.calls import author_line, call, describe, describe_error
from bot_core.chain import Chain
from bot_core.errors import (
    BotError,
    OpenAPIError,
    PartlySentError,
    ReplyContextError,
    WaitEventCancel,
    WaitEventOutOfFocus,
)
from bot_core.message import DataFilter, Event, Message, Verify
from bot_core.router import Candidate, Handler, Router, cut_prefix
from bot_core.waits import ChannelAnswer, UserWait, Waiter, Waits
from qqmedia.errors import MediaError, QQMediaError

if TYPE_CHECKING:
    from bot_core.bot import AmiyaBot
    from bot_core.conversation import WaitOptions
    from bot_core.handlers import HandlerBooks

__all__ = ("Handling",)

logger = logging.getLogger("bot_core.handling")


class Handling:
    """Leads every message and event of one account through what its author registered.

    Attributes:
        waits: The conversations that are open.
    """

    def __init__(self, bot: AmiyaBot, books: HandlerBooks) -> None:
        self.waits = Waits()
        self._bot = bot
        self._books = books
        self._router = Router(())
        self._router_version: tuple[int, ...] = ()

    async def handle(self, item: Message | Event) -> None:
        """Do all there is to do for it. What a handler raises is reported, never passed on."""
        try:
            if isinstance(item, Message):
                await self._message(item)
            else:
                await self._event(item)
        except Exception as error:  # noqa: BLE001 - a bot author's bug must not stop the others
            await self._report(error, item, "a life-cycle hook")

    async def _message(self, data: Message) -> None:
        logger.debug("%s", data)
        data.bind(self._bot, self)
        for hook in self._books.hooks("message_created"):
            result = await call(hook, data, self._bot.instance)
            if result is False:
                return
            if isinstance(result, Message):
                data = result
                data.bind(self._bot, self)
        waiter = self.waits.find(data)
        if waiter is not None and waiter.force and await self._offer(waiter, data):
            return
        chosen = await self._choose(data)
        if (
            waiter is not None
            and not waiter.force
            and (chosen is None or waiter.level >= chosen.verify.weight)
            and await self._offer(waiter, data)
        ):
            return
        if chosen is not None:
            await self._run(chosen, data, waiter)
        else:
            logger.debug("no handler for it")

    async def _choose(self, data: Message) -> Candidate | None:
        version = self._books.version
        if version != self._router_version:
            self._router, self._router_version = Router(tuple(self._books)), version

        async def on_error(error: Exception, handler: Handler) -> None:
            await self._report(error, data, f"verify of handler {describe(handler.function)}")

        return await self._router.choose(data, on_error)

    async def _offer(self, waiter: Waiter, data: Message) -> bool:
        for hook in self._books.hooks("message_before_waiter_set"):
            result = await call(hook, data, waiter, self._bot.instance)
            if isinstance(result, Message):
                data = result
                data.bind(self._bot, self)
        data.verify = Verify(True, waiter.level)  # noqa: FBT003 - its first field
        return await waiter.offer(data)

    async def _run(self, chosen: Candidate, data: Message, waiter: Waiter | None) -> None:
        handler = chosen.handler
        data.verify = chosen.verify
        data.factory_name = handler.factory_name
        cut_prefix(data, chosen.prefix)
        try:
            allowed = True
            for hook in self._books.hooks("message_before_handle"):
                if await call(hook, data, handler.factory_name, self._bot.instance) is False:
                    allowed = False
            if not allowed:
                return
            reply = await call(handler.function, data)
            chain = self._as_chain(reply, data) if reply else None
            if chain is not None:
                if isinstance(waiter, UserWait):
                    waiter.cancel()
                await data.send(chain)
            for hook in self._books.hooks("message_after_handle"):
                await call(hook, chain, handler.factory_name, self._bot.instance)
        except Exception as error:  # noqa: BLE001 - a bot author's bug must not stop the others
            await self._report(error, data, f"handler {describe(handler.function)}")

    async def _event(self, event: Event) -> None:
        logger.debug("%s", event)
        event.bind(self)
        for hook in self._books.hooks("event_created"):
            result = await call(hook, event, self._bot.instance)
            if result is False:
                return
            if isinstance(result, Event):
                event = result
                event.bind(self)
        for function in self._books.event_handlers(event.event_name):
            try:
                await call(function, event, self._bot.instance)
            except Exception as error:  # noqa: BLE001 - the other handlers get the event all the same
                await self._report(error, event, f"event handler {describe(function)}")

    # What a message asks of its bot

    async def reply(self, data: Message, chain: Chain | str, *, timeout: float | None = None) -> list[MessageHandle]:
        """Send an answer to `data`, with the life-cycle hooks around it."""
        answer = self._as_chain(chain, data)
        return await self._send(answer, data, data.factory_name or self._bot.factory_name, timeout)

    async def reply_event(
        self, event: Event, chain: Chain | str, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send an answer to `event`, with the life-cycle hooks around it."""
        instance, name = self._bot.instance, self._bot.factory_name
        if not isinstance(instance, SupportsEventReply):
            raise ReplyContextError(f"{event.event_name} cannot be answered through {instance!r}")
        answer = await self._before_send(self._as_chain(chain, None), name)
        handles = await instance.send_event_reply(answer, event, timeout=timeout)
        await self._after_send(answer, name)
        return handles

    async def send_message(self, chain: Chain, user_id: str, channel_id: str, guild_id: str) -> list[MessageHandle]:
        """Send a chain unasked, with the life-cycle hooks around it."""
        name = self._bot.factory_name
        chain = await self._before_send(chain, name)
        handles = await self._bot.instance.send_message(chain, user_id, channel_id, guild_id)
        await self._after_send(chain, name)
        return handles

    async def wait(
        self, data: Message, reply: Chain | str | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> Message | None:
        """Wait for the next message of the same user."""
        ask = (lambda: data.send(reply)) if reply else None
        return await self.waits.wait(data, ask, options, data_filter)

    async def wait_channel(
        self, data: Message, reply: Chain | str | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> ChannelAnswer | None:
        """Wait for the next message of the group."""
        ask = (lambda: data.send(reply)) if reply else None
        return await self.waits.wait_channel(data, ask, options, data_filter)

    def _as_chain(self, reply: Any, data: Message | None) -> Chain:
        if isinstance(reply, str):
            return Chain(data, at=False).text(reply)
        if not isinstance(reply, Chain):
            raise TypeError(f"an answer is a Chain or a str, got {type(reply).__name__}: {reply!r:.80}")
        return reply

    async def _send(self, chain: Chain, data: Message, name: str, timeout: float | None) -> list[MessageHandle]:
        chain = await self._before_send(chain, name)
        if chain.data is None:
            chain.data = data
        handles = await self._bot.instance.send_chain(chain, timeout=timeout)
        logger.debug("messages sent in answer: %d, to: %s", len(handles), data)
        await self._after_send(chain, name)
        return handles

    async def _before_send(self, chain: Chain, name: str) -> Chain:
        for hook in self._books.hooks("message_before_send"):
            result = await call(hook, chain, name, self._bot.instance)
            if isinstance(result, Chain):
                chain = result
        return chain

    async def _after_send(self, chain: Chain, name: str) -> None:
        for hook in self._books.hooks("message_after_send"):
            try:
                await call(hook, chain, name, self._bot.instance)
            except Exception as error:  # noqa: BLE001 - it went out: the sender must not think otherwise
                await self._report(error, chain.data, f"message_after_send hook {describe(hook)}")

    async def _report(self, error: Exception, data: Message | Event | None, what: str) -> None:
        """Log what a handler raised, and call the handlers for it."""
        if isinstance(error, (WaitEventCancel, WaitEventOutOfFocus)):
            logger.debug("%s: its wait ended: %s", what, error)
            return
        if isinstance(error, (BotError, QQMediaError)):  # its text tells it; most of its traceback is our own
            logger.error("%s failed%s: %s", what, author_line(error), describe_error(error))
            if not _says_all(error):
                logger.debug("the traceback of it", exc_info=error)
        else:
            logger.error("%s failed: %s", what, str(error) or type(error).__name__, exc_info=error)
        for function in self._books.exception_handlers(error):
            try:
                await call(function, error, self._bot.instance, data)
            except Exception:  # a bot author's bug in the place where bugs are told
                logger.exception("exception handler %s failed itself", describe(function))


def _says_all(error: Exception) -> bool:
    """Return whether a traceback would tell nothing more: what is wrong is a medium, or what the platform says."""
    if isinstance(error, PartlySentError):
        return all(map(_says_all, error.errors))
    return isinstance(error, (MediaError, OpenAPIError))
