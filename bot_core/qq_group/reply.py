"""Keeps count of replies: `msg_seq`, how many replies a message still takes, and for how long (PLATFORM 3.2, 3.5)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot_core.errors import ReplyContextError
from bot_core.openapi.values import Scene, Target

__all__ = ("ReplyBook", "ReplyContext")

# Window in seconds and number of replies, by scene (PLATFORM 3.5). For private chats the sources disagree; these are
# the documented figures of 2026.
_WINDOW_SECONDS: Final = {Scene.GROUP: 300.0, Scene.USER: 3600.0}
_REPLIES: Final = {Scene.GROUP: 5, Scene.USER: 4}
# An answer that is on its way when the window closes may still be taken: leave that to the platform.
_GRACE_SECONDS: Final = 15.0
# The longest window, and five minutes for what is still on its way.
_KEEP_SECONDS: Final = 65 * 60.0
# About 200 bytes each; a bot that answers 15 messages a second for an hour stays below.
_KEEP_AT_MOST: Final = 60_000


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """The message that is answered.

    Attributes:
        target: The chat it came from.
        msg_id: Its id.
        received: When it came, in seconds of the wall clock; 0 when that is not known.
        reference: What to quote it by.
    """

    target: Target
    msg_id: str
    received: float = 0.0
    reference: str = ""


@dataclass(slots=True)
class _Count:
    since: float
    last_seq: int = 0
    used: int = 0


class ReplyBook:
    """Numbers the replies to each message, and knows when no more are taken.

    Args:
        clock: Seconds; only differences count.
        wall_clock: Seconds since the epoch, the clock of `ReplyContext.received`.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def reserve(self, context: ReplyContext, messages: int) -> None:
        """Set replies aside for `messages` messages; `give_back` those that the platform did not take.

        Raises:
            ReplyContextError: Fewer are left, or the time for replies is over. Nothing is set aside then.
        """
        scene = context.target.scene
        window = _WINDOW_SECONDS[scene]
        age = self._wall_clock() - context.received if context.received else 0.0
        if age > window + _GRACE_SECONDS:
            raise ReplyContextError(
                f"message {context.msg_id} came {age:.0f} s ago; replies are taken for {window:.0f} s. "
                "Answer sooner, or use bot.send_message to send without a reply"
            )
        count = self._count(context)
        left = _REPLIES[scene] - count.used
        if messages > left:
            raise ReplyContextError(
                f"message {context.msg_id} takes {_REPLIES[scene]} replies, {count.used} are used, and this chain "
                f"needs {messages}; say it in fewer messages, or use bot.send_message"
            )
        count.used += messages

    def give_back(self, context: ReplyContext, messages: int = 1) -> None:
        """Return replies that were set aside and not used."""
        count = self._counts.get(_key(context))
        if count is not None:
            count.used = max(0, count.used - messages)

    def next_seq(self, context: ReplyContext) -> int:
        """Return the next `msg_seq`: 1, 2, 3 ... for one message in one chat; none is given out twice."""
        count = self._count(context)
        count.last_seq += 1
        return count.last_seq

    def _count(self, context: ReplyContext) -> _Count:
        key = _key(context)
        count = self._counts.get(key)
        if count is None:
            now = self._clock()
            self._forget(now)
            count = self._counts[key] = _Count(now)
        return count

    def _forget(self, now: float) -> None:
        counts = self._counts
        while counts:
            oldest = next(iter(counts))
            if len(counts) < _KEEP_AT_MOST and now - counts[oldest].since < _KEEP_SECONDS:
                return
            del counts[oldest]


def _key(context: ReplyContext) -> tuple[str, str]:
    return context.target.openid, context.msg_id
