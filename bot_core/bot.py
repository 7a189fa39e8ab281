"""One account: what its author registers, and its life from `start` to `close`."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bot_core.adapter import Adapter, AdapterFactory, MessageHandle
from bot_core.chain import Chain
from bot_core.collector import unwalked
from bot_core.dispatcher import Dispatcher
from bot_core.errors import BotError
from bot_core.handlers import HandlerBook, HandlerBooks
from bot_core.handling import Handling
from bot_core.health import health_listener
from bot_core.log import make_visible
from bot_core.signals import interrupts
from bot_core.slots import current_slot
from bot_core.status import BotStatus, SupportsStatus
from qqmedia.errors import ConfigurationError

__all__ = ("FACTORY_NAME", "AmiyaBot")

FACTORY_NAME = "default_factory"
_EXAMPLE: Final = 'adapter=qq_group(client_secret="...")'

logger = logging.getLogger("bot_core.bot")


class AmiyaBot(HandlerBook):
    """A bot: one account on one platform.

    Attributes:
        appid: The account.
        instance: The adapter: `appid`, `bot_name`, `api`, `send_message`, `recall_message`.
    """

    def __init__(
        self,
        appid: str | int | None = None,
        token: str | None = None,
        private: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        adapter: AdapterFactory | None = None,
    ) -> None:
        """Make a bot; nothing is opened before `start`.

        Args:
            appid: From the platform's console.
            token: The platform has retired it: accepted, never sent.
            private: Of guild bots; accepted, means nothing here.
            adapter: What connects it: ``qq_group(client_secret=...)``.

        Raises:
            ConfigurationError: There is no adapter, or it is none.
        """
        super().__init__(FACTORY_NAME)
        if adapter is None:
            raise ConfigurationError(f"AmiyaBot needs an adapter: {_EXAMPLE}")
        self.appid = str(appid or "")
        self.private = private
        self.instance: Adapter = _connected_by(adapter, self.appid, token or "")
        self._books = HandlerBooks(self)
        self._handling = Handling(self, self._books)
        self._dispatcher: Dispatcher | None = None
        self._started = False
        self._stopping = False
        self._given_up = False  # stopped by its owner after it had ended by itself
        self._ended = asyncio.Event()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._started

    @property
    def prefix_keywords(self) -> list[str]:
        """The prefix keywords that hold for this account."""
        return list(dict.fromkeys(keyword for book in self._books for keyword in book.own_prefix_keywords))

    def share(self, book: HandlerBook) -> None:
        """Let what is registered on `book` hold for this account too. `MultipleAccounts` does this."""
        self._books.share(book)

    async def start(self, launch_browser: object = False) -> None:  # noqa: ARG002, FBT002 - AmiyaBot's signature
        """Log in and handle messages until `close`, Ctrl-C or SIGTERM.

        Running handlers then get `shutdown_grace` of the adapter to finish, waits end with `WaitEventCancel`, and what
        is left after that is cancelled. A second Ctrl-C ends at once. A bot can be started once.

        Raises:
            AuthenticationError: The platform refuses appid or secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
            ConfigurationError: Something is set wrongly.
            BotError: It runs already, or ran.
            SystemExit: A handler or a timed task called ``sys.exit``; the bot has ended in order by then.
        """
        if self._started:
            state = "was closed" if self._ended.is_set() else "runs already"
            raise BotError(f"bot {self.appid} {state}; to have another one, make another AmiyaBot")
        self._started = True
        make_visible()
        try:
            if self._stopping:
                logger.info("bot %s was closed before it started", self.appid)
                return
            with interrupts(self._interrupted):
                health = health_listener(getattr(self.instance, "health", None), self.status, lambda: self._given_up)
                async with health, self.instance.open():
                    with unwalked():
                        await self._serve()
        finally:
            self._ended.set()
        if self._exit is not None:
            raise self._exit

    def stop(self) -> None:
        """Ask the bot to end, without waiting for it; again does nothing."""
        self._given_up = self._given_up or self._ended.is_set()
        if self._stopping:
            return
        self._stopping = True
        self._handling.waits.close()
        if self._dispatcher is not None:
            self._dispatcher.stop()
        if self._started:
            self.instance.stop()

    async def close(self) -> None:
        """End the bot, and wait until it has ended; called from one of its own handlers it does not wait."""
        self.stop()
        slot = current_slot.get()
        from_within = slot is not None and slot.owner is self
        if self._started and not from_within:
            await self._ended.wait()

    def status(self) -> BotStatus:
        """Return how the bot is doing just now: its connections, and its handlers."""
        instance, dispatcher = self.instance, self._dispatcher
        shards = instance.shard_status() if isinstance(instance, SupportsStatus) else ()
        if dispatcher is None:
            return BotStatus(appid=self.appid, shards=shards)
        return BotStatus(
            appid=self.appid,
            shards=shards,
            handlers_running=dispatcher.running,
            handlers_parked=dispatcher.parked,
            events_waiting=dispatcher.waiting,
        )

    async def send_message(
        self, chain: Chain | str, user_id: str = "", channel_id: str = "", direct_src_guild_id: str = ""
    ) -> list[MessageHandle]:
        """Send a message unasked, to a group (`channel_id`) or a user (`user_id`); with both the group wins.

        Raises:
            MediaError: A medium of it cannot be sent; nothing was sent.
            OpenAPIError: The platform refused.
        """
        what = Chain().text(chain) if isinstance(chain, str) else chain
        if not isinstance(what, Chain):
            raise TypeError(f"send_message takes a Chain or a str; got {what!r:.80}")
        return await self._handling.send_message(what, user_id, channel_id, direct_src_guild_id)

    async def _serve(self) -> None:
        """Listen, and see every handler and timed task end before the adapter closes."""
        dispatcher = self._dispatcher = Dispatcher(
            self, self._handling.handle, self.instance.max_handlers, on_exit=self.end_with
        )
        grace = self.instance.shutdown_grace
        try:
            if not self._stopping:
                self._timed.start()
                await self.instance.listen(dispatcher.receive)
        except asyncio.CancelledError:
            grace = 0.0  # who cancels does not want to wait
            raise
        finally:
            self.stop()
            await dispatcher.finish(self._timed.stop(), grace)

    def _interrupted(self) -> None:
        logger.info(
            "bot %s is ending; running handlers get up to %g s (Ctrl-C again: at once)",
            self.appid,
            self.instance.shutdown_grace,
        )
        self.stop()


def _connected_by(factory: AdapterFactory, appid: str, token: str) -> Adapter:
    called = getattr(factory, "__name__", type(factory).__name__)
    if not callable(factory):
        raise ConfigurationError(f"the adapter of AmiyaBot is {factory!r:.80}, which is none; write {_EXAMPLE}")
    if called == "qq_group":  # it would take the appid for the secret
        raise ConfigurationError(f"adapter=qq_group has to be called; write {_EXAMPLE}")
    made = factory(appid, token)
    if not callable(getattr(made, "listen", None)):
        raise ConfigurationError(f"adapter={called} made {type(made).__name__}, which is no adapter; write {_EXAMPLE}")
    return made
