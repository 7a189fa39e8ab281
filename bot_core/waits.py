"""Conversations: handlers that wait for the next message of a user, or of anybody in a group."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from bot_core.calls import call
from bot_core.conversation import WaitOptions
from bot_core.errors import WaitEventCancel, WaitEventOutOfFocus
from bot_core.message import DataFilter, Message
from bot_core.slots import waiting

__all__ = ("ChannelAnswer", "ChannelWait", "UserWait", "Waiter", "Waits")

_NEWER_WAIT: Final = "the same user began another conversation"
_ANSWERED: Final = "another handler answered the same user"
_CLOSING: Final = "the bot is being closed"
_CLOSED: Final = "close_event() was called"

_UserKey: TypeAlias = tuple[bool, str, str]
Ask: TypeAlias = Callable[[], Awaitable[object]]
"""Sends the question."""


class UserWait:
    """One `Message.wait` that has not ended.

    Attributes:
        force: Whether it gets messages before any handler is asked.
        level: Handlers with a higher one go first.
        type: ``user``.
    """

    type = "user"

    def __init__(self, options: WaitOptions, data_filter: DataFilter | None) -> None:
        self.force = options.force
        self.level = options.level
        self._filter = data_filter
        self._answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._turn = asyncio.Lock()

    def check_alive(self) -> bool:
        """Return whether it still waits."""
        return not self._answer.done()

    async def offer(self, data: Message) -> bool:
        """Give it a message; `False` when it ended meanwhile, so that the message is free for a handler.

        A message that the filter refuses is consumed. Messages are filtered one after another, in their order.
        """
        async with self._turn:
            if not self.check_alive():
                return False
            try:
                accepted = self._filter is None or await call(self._filter, data)
            except Exception as error:  # noqa: BLE001 - it is raised where the author waits
                self._end(error)
                return True
            if not self.check_alive():
                return False
            if accepted:
                self._answer.set_result(data)
            return True

    def cancel(self, reason: str = _ANSWERED) -> None:
        """End it with `WaitEventCancel`."""
        self._end(WaitEventCancel(reason))

    async def answer(self, max_time: float) -> Message | None:
        """Return what it was given, or `None` after `max_time` seconds."""
        with waiting():
            await asyncio.wait((self._answer,), timeout=max_time)
        return self._answer.result() if self._answer.done() else None

    def close(self) -> None:
        """Take nothing any more."""
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()  # seen: the handler may have failed before it waited
        self._answer.cancel()

    def _end(self, error: Exception) -> None:
        if self.check_alive():
            self._answer.set_exception(error)


class ChannelAnswer:
    """What `Message.wait_channel` returns.

    Attributes:
        event: The wait, which is open still.
        message: The message that came.
    """

    def __init__(self, event: ChannelWait, message: Message) -> None:
        self.event = event
        self.message = message

    def close_event(self) -> None:
        """Give the group's messages back to the handlers."""
        self.event.close_event()


class ChannelWait:
    """A conversation with a whole group; open until it is closed or nobody asked for `max_time` seconds.

    Attributes:
        force: Whether it gets messages before any handler is asked.
        level: Handlers with a higher one go first.
        type: ``channel``.
    """

    type = "channel"

    def __init__(self) -> None:
        self.force = False
        self.level: float = 0
        self._queue: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._focus: WaitOptions | None = None
        self._expires_at = math.inf
        self._ended = ""

    def check_alive(self) -> bool:
        """Return whether it takes messages."""
        return not self._ended and asyncio.get_running_loop().time() < self._expires_at

    async def offer(self, data: Message) -> bool:
        """Give it a message; `False` when it ended meanwhile."""
        if not self.check_alive():
            return False
        self._queue.append(data)
        self._changed.set()
        return True

    def take_over(self, options: WaitOptions) -> None:
        """Let a new call have it. Each call brings options of its own, and a call that waits just now loses it."""
        self.force, self.level = options.force, options.level
        self._focus, self._expires_at = options, math.inf
        if options.clean:
            self._queue.clear()
        self._changed.set()

    async def answer(
        self, ask: Ask | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> ChannelAnswer | None:
        """Return the next message that the filter accepts, or close it and return `None` after `max_time` seconds."""
        clock = asyncio.get_running_loop().time
        try:
            if ask is not None:
                await ask()
            message = await self._next(clock() + options.max_time, options, data_filter)
        except BaseException:
            if self._focus is options:
                self._ended = self._ended or "the handler that waited failed"
            raise
        if message is None:
            self._ended = self._ended or "nobody answered"
            return None
        if self._focus is options:
            self._expires_at = clock() + options.max_time
        return ChannelAnswer(self, message)

    async def _next(self, deadline: float, options: WaitOptions, data_filter: DataFilter | None) -> Message | None:
        while True:
            self._check(options)
            if self._queue:
                data = self._queue.popleft()
                if data_filter is None or await call(data_filter, data):
                    return data
            elif not await self._something_comes(deadline):
                self._check(options)
                return None

    def cancel(self, reason: str = _CLOSED) -> None:
        """End it; a call that waits just now gets `WaitEventCancel`."""
        self._ended = self._ended or reason
        self._changed.set()

    def close_event(self) -> None:
        """Give the group's messages back to the handlers."""
        self.cancel()

    async def _something_comes(self, deadline: float) -> bool:
        """Wait for a message or a change; `False` when the time is up."""
        self._changed.clear()
        with waiting():
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    def _check(self, options: WaitOptions) -> None:
        if self._focus is not options:
            raise WaitEventOutOfFocus("another conversation in this group took the wait over")
        if self._ended:
            raise WaitEventCancel(self._ended)


Waiter: TypeAlias = UserWait | ChannelWait


class Waits:
    """All waits of one account."""

    def __init__(self) -> None:
        self._users: dict[_UserKey, UserWait] = {}
        self._groups: dict[str, ChannelWait] = {}
        self._closing = False

    def find(self, data: Message) -> Waiter | None:
        """Return the wait that this message may be for, if there is one."""
        if not self._users and not self._groups:
            return None
        user = self._users.get(_key(data))
        found: Waiter | None = user if user is not None and user.check_alive() else None
        group = None if data.is_direct else self._groups.get(data.channel_id)
        if group is None:
            return found
        if not group.check_alive():
            del self._groups[data.channel_id]
            return found
        return group if found is None or group.force else found

    async def wait(
        self, data: Message, ask: Ask | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> Message | None:
        """Ask the user something, then return his next message."""
        self._refuse_when_closing()
        key = _key(data)
        older = self._users.get(key)
        if older is not None:
            older.cancel(_NEWER_WAIT)
        wait = self._users[key] = UserWait(options, data_filter)
        try:
            if ask is not None:
                await ask()
            return await wait.answer(options.max_time)
        finally:
            wait.close()
            if self._users.get(key) is wait:
                del self._users[key]

    async def wait_channel(
        self, data: Message, ask: Ask | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> ChannelAnswer | None:
        """Ask a group something, then return the next message of anybody."""
        self._refuse_when_closing()
        wait = self._groups.get(data.channel_id)
        if wait is None or not wait.check_alive():
            wait = self._groups[data.channel_id] = ChannelWait()
        wait.take_over(options)
        return await wait.answer(ask, options, data_filter)

    def close(self) -> None:
        """Tell every wait that it is over, and let none begin."""
        self._closing = True
        everybody: list[Waiter] = [*self._users.values(), *self._groups.values()]
        for wait in everybody:
            wait.cancel(_CLOSING)

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise WaitEventCancel(_CLOSING)


def _key(data: Message) -> _UserKey:
    return data.is_direct, "" if data.is_direct else data.channel_id, data.user_id
