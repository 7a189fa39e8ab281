"""Runs handlers: one task for each message, a bounded number at once, and nothing thrown away in silence."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from bot_core.message import Event, Message
from bot_core.slots import Delivery, Slot, current_delivery, current_slot

__all__ = ("Dispatcher", "Handle")

# Messages that wait for a place while as many handlers run as may; then the adapter stops reading.
_BACKLOG: Final = 1024
# Handlers that are started before they are let begin. Events that came together are read without a pause: with more
# of them on the way, the first would wait for the last, and each would cost a fifth more.
_STARTED_AT_ONCE: Final = 32
# What a cancelled handler gets to clean up after itself: the adapter must close within the promised 2 s too.
_CANCEL_SECONDS: Final = 1.0

logger = logging.getLogger("bot_core.dispatcher")

Handle: TypeAlias = Callable[[Message | Event], Coroutine[Any, Any, None]]
"""Does everything there is to do for one message or event, and raises nothing."""


class Dispatcher:
    """Runs `handle` for everything that comes in, at most `max_handlers` at once.

    A handler that only waits for a message takes no place, so that the message gets through.
    """

    def __init__(
        self, owner: object, handle: Handle, max_handlers: int, *, on_exit: Callable[[SystemExit], None]
    ) -> None:
        self._owner = owner
        self._handle = handle
        self._on_exit = on_exit  # told of a handler's `sys.exit`, which must not tear down the loop
        self._max_handlers = max_handlers
        self._tasks: set[asyncio.Task[None]] = set()
        self._unbegun = 0
        self._running = 0  # without those that only wait for a message
        self._backlog: deque[tuple[Message | Event, Delivery | None]] = deque()
        self._room = asyncio.Event()
        self._complained = False
        self._stopping = False

    async def receive(self, item: Message | Event) -> None:
        """Take one message or event; wait only while too many are waiting already.

        After `stop` it takes only what nobody would send to the next process.
        """
        if self._unbegun >= _STARTED_AT_ONCE or (self._running >= self._max_handlers and not self._backlog):
            await asyncio.sleep(0)  # those before it may be through in a moment
        while len(self._backlog) >= _BACKLOG and not self._stopping:
            self._complain()
            self._room.clear()
            await self._room.wait()
        delivery = current_delivery.get()
        if delivery is not None:
            delivery.take()
        if self._stopping and not (delivery is not None and delivery.final):
            logger.debug("not taken, as the bot is being closed: %s", item)
        elif self._backlog or self._running >= self._max_handlers:
            self._backlog.append((item, delivery))
        else:
            self._start(item, delivery)

    @property
    def running(self) -> int:
        """How many handlers run, without those that wait for a message."""
        return self._running

    @property
    def parked(self) -> int:
        """How many handlers wait for a message."""
        return len(self._tasks) - self._running

    @property
    def waiting(self) -> int:
        """How many messages and events wait for a handler."""
        return len(self._backlog)

    def stop(self) -> None:
        """Take nothing new any more; what was taken is still handled."""
        self._stopping = True
        self._room.set()

    async def finish(self, others: set[asyncio.Task[None]], grace: float) -> None:
        """Let handlers, and the tasks in `others`, finish for `grace` seconds; then cancel them."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + grace
        try:
            while (left := self._left(others)) and clock() < deadline:
                await asyncio.wait(left, timeout=deadline - clock(), return_when=asyncio.FIRST_COMPLETED)
            if left:
                logger.warning("%d handlers did not finish within %g s and are cut off", len(left), grace)
        finally:  # also when whoever waits for this has had enough
            await self._abandon(others)

    async def _abandon(self, others: set[asyncio.Task[None]]) -> None:
        if self._backlog:
            logger.warning("the bot ended before it came to %d messages that were waiting", len(self._backlog))
            self._backlog.clear()
        left = self._left(others)
        for task in left:
            task.cancel("the bot is being closed")
        if left:
            _, stubborn = await asyncio.wait(left, timeout=_CANCEL_SECONDS)
            for task in stubborn:
                logger.error("left behind, as it does not end although it was cancelled: %r", task)

    def _left(self, others: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        return {task for task in (*self._tasks, *others) if not task.done()}

    def _start(self, item: Message | Event, delivery: Delivery | None) -> None:
        self._running += 1
        self._unbegun += 1
        task = asyncio.create_task(self._run(item, delivery), name="handler")
        self._tasks.add(task)  # `finish` awaits them
        task.add_done_callback(self._tasks.discard)

    async def _run(self, item: Message | Event, delivery: Delivery | None) -> None:
        self._unbegun -= 1
        slot = Slot(self._owner, self._change_running)
        current_slot.set(slot)
        current_delivery.set(delivery)
        try:
            try:
                await self._handle(item)
            except SystemExit as error:  # out of the task it would end the loop, and the event would come again
                self._on_exit(error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                logger.exception("a handler ended, as something that it awaited was cancelled")
            if delivery is not None:  # one that is cancelled has not finished: its event is to come again
                delivery.finish()
        finally:
            slot.end()

    def _change_running(self, step: int) -> None:
        self._running += step
        while self._backlog and self._running < self._max_handlers:
            self._start(*self._backlog.popleft())
            self._room.set()

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "%d handlers are busy and %d messages wait for one: reading from the platform pauses until there is"
                " room (is a handler stuck, or max_handlers too low?)",
                self._running,
                len(self._backlog),
            )
