"""Several accounts in one process, with handlers that they share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bot_core.bot import FACTORY_NAME, AmiyaBot
from bot_core.calls import describe_error
from bot_core.errors import BotError
from bot_core.handlers import HandlerBook
from bot_core.log import make_visible
from bot_core.signals import interrupts
from bot_core.slots import current_slot
from qqmedia.errors import ConfigurationError, QQMediaError

__all__ = ("MultipleAccounts",)

# What a cancelled timed task gets to clean up after itself.
_CANCEL_SECONDS: Final = 1.0

logger = logging.getLogger("bot_core.accounts")


class MultipleAccounts(HandlerBook):
    """Several bots that start and end together; what is registered here reaches each of them.

    It may begin empty, and accounts may come and go while it runs. One account's failure does not touch the others.
    """

    def __init__(self, *bots: AmiyaBot | Sequence[AmiyaBot]) -> None:
        """Take bots, or one list of them.

        Raises:
            ConfigurationError: Two of them have the same appid.
            TypeError: One of them is no bot.
        """
        super().__init__(FACTORY_NAME)
        self._bots: dict[str, AmiyaBot] = {}
        self._tasks: dict[AmiyaBot, asyncio.Task[None]] = {}
        self._failures: dict[AmiyaBot, Exception] = {}
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._started = False
        self._stopping = False
        for item in bots:
            for bot in item if isinstance(item, Iterable) else [item]:
                self._take(bot)

    def __iter__(self) -> Iterator[AmiyaBot]:
        return iter(list(self._bots.values()))

    def __contains__(self, appid: object) -> bool:
        return str(appid) in self._bots

    def __getitem__(self, appid: str | int) -> AmiyaBot | None:
        return self._bots.get(str(appid))

    def __delitem__(self, appid: str | int) -> None:
        bot = self._bots.pop(str(appid), None)
        if bot is None:
            there = ", ".join(self._bots) or "none"
            raise KeyError(f"there is no account with appid {appid}; there are: {there}")
        task = self._tasks.get(bot)
        logger.info("account %s is removed%s", bot.appid, ", and ends" if task is not None and not task.done() else "")
        bot.stop()
        self._forget(bot)
        self._changed.set()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._started

    @property
    def prefix_keywords(self) -> list[str]:
        """The prefix keywords that all accounts share."""
        return list(dict.fromkeys(self.own_prefix_keywords))

    def append(
        self,
        item: AmiyaBot,
        launch_browser: object = False,  # noqa: ARG002, FBT002 - AmiyaBot's signature
        start_up: bool = True,  # noqa: FBT001, FBT002 - AmiyaBot's signature
    ) -> AmiyaBot:
        """Add an account and return it; while this runs, start it, unless `start_up` is `False`.

        Raises:
            ConfigurationError: Another account has this appid.
            TypeError: It is no bot.
        """
        if item not in self._bots.values():
            self._take(item)
        if self._started and not self._stopping and start_up and item not in self._tasks:
            self._launch(item)
        return item

    async def start(self, launch_browser: object = False) -> None:  # noqa: ARG002, FBT002 - AmiyaBot's signature
        """Start all accounts, and run until `close`, Ctrl-C or SIGTERM, or until all accounts are dead.

        Raises:
            BotError: It runs already, or ran.
            Exception: What the first account died of, when all of them are dead.
            SystemExit: A handler or a timed task called ``sys.exit``; all accounts have ended in order by then.
        """
        if self._started:
            state = "were closed" if self._ended.is_set() else "run already"
            raise BotError(f"these accounts {state}; to have others, make another MultipleAccounts")
        self._started = True
        make_visible()
        try:
            with interrupts(self.stop):
                await self._run()
        finally:
            self._ended.set()
        if self._exit is not None:
            raise self._exit
        if not self._stopping and self._failures:
            raise next(iter(self._failures.values()))

    def stop(self) -> None:
        """Ask all accounts to end, without waiting for them; again does nothing."""
        self._stopping = True
        for bot in self:
            bot.stop()
        self._changed.set()

    async def close(self) -> None:
        """End all accounts, and wait until they have; called from one of their handlers it does not wait."""
        bots = list(self)
        self.stop()
        slot = current_slot.get()
        if slot is not None and (slot.owner is self or slot.owner in bots):
            return
        await asyncio.gather(*(bot.close() for bot in bots))
        if self._started:
            await self._ended.wait()

    def _take(self, bot: AmiyaBot) -> None:
        if not isinstance(bot, AmiyaBot):
            raise TypeError(f"MultipleAccounts takes AmiyaBot(...), or a list of them; got {bot!r:.80}")
        other = self._bots.get(bot.appid)
        if other is not None and other not in self._over():
            raise ConfigurationError(f"there is an account with appid {bot.appid} already; del accounts[...] it first")
        if other is not None:
            self._forget(other)
        self._bots[bot.appid] = bot
        bot.share(self)

    def _forget(self, bot: AmiyaBot) -> None:
        """Let go of an account that is over, or that ends; one that ends is awaited until it has."""
        task = self._tasks.get(bot)
        if task is None or task.done():
            self._tasks.pop(bot, None)
            self._failures.pop(bot, None)
        else:
            task.add_done_callback(lambda _: self._forget(bot))

    def _launch(self, bot: AmiyaBot) -> None:
        # `_run` awaits it
        self._tasks[bot] = asyncio.create_task(self._live(bot), name=f"bot {bot.appid}")

    async def _live(self, bot: AmiyaBot) -> None:
        try:
            await bot.start()
        except SystemExit as error:
            self.end_with(error)
        except Exception as error:  # one account's fault must not touch the others
            self._failures[bot] = error
            if isinstance(error, (BotError, QQMediaError)):
                logger.error("account %s ended: %s", bot.appid, describe_error(error))  # noqa: TRY400 - one line tells it
            else:
                logger.exception("account %s ended", bot.appid)
        finally:
            self._changed.set()

    async def _run(self) -> None:
        try:
            self._timed.start()
            for bot in self:
                self._launch(bot)
            while not self._stopping and not self._all_dead():
                self._changed.clear()
                await self._changed.wait()
            self._timed.stop()
            if self._tasks:
                await asyncio.wait(self._tasks.values())
        finally:
            left = {task for task in (*self._tasks.values(), *self._timed.stop()) if not task.done()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    def _over(self) -> set[AmiyaBot]:
        return {bot for bot, task in self._tasks.items() if task.done()}

    def _all_dead(self) -> bool:
        return bool(self._bots) and self._over().issuperset(self._bots.values())
