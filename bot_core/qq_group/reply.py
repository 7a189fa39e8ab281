"""Keeps count of replies: `msg_seq`, how many replies a message still takes, and for how long (PLATFORM 3.2, 3.5)."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bot_core.errors import ReplyContextError
from bot_core.openapi.replies import RawReply
from bot_core.openapi.values import Scene, Target
from qqmedia import ConfigurationError

__all__ = ("ReplyBook", "ReplyContext", "ReplyLimits")

# An answer that is on its way when the window closes may still be taken: leave that to the platform.
_GRACE_SECONDS: Final = 15.0
# So much more than the window, for what is still on its way.
_KEEP_LONGER_SECONDS: Final = 120.0
# About 400 bytes each, and for each window; 140 messages a second answered in groups, or 16 in private, stay below.
_KEEP_AT_MOST: Final = 60_000

_INTERACTION: Final = "INTERACTION_CREATE"

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyLimits:
    """How long and how often a message can be answered; the defaults are what the platform documents in 2026.

    For private chats its pages disagree (4 or 5 replies, 60 or 5 minutes): who knows better sets it here.

    Attributes:
        group_replies: Replies to one message, or event, of a group.
        group_seconds: For how long they are taken.
        user_replies: Replies to one message of a private chat.
        user_seconds: For how long they are taken.
        interaction_seconds: For how long a pressed button can be answered.
    """

    group_replies: int = 5
    group_seconds: float = 300.0
    user_replies: int = 4
    user_seconds: float = 3600.0
    interaction_seconds: float = 1800.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ConfigurationError(f"reply_limits: {name} must be a number above 0, got {value!r}")


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What is answered: a message, or an event.

    Attributes:
        target: The chat it came from.
        msg_id: Id of the message; empty for an event.
        received: When it came, in seconds of the wall clock; 0 when that is not known.
        reference: What to quote it by.
        event_id: Id of the event; empty for a message.
        event_name: Which event.
    """

    target: Target
    msg_id: str
    received: float = 0.0
    reference: str = ""
    event_id: str = ""
    event_name: str = ""

    @property
    def name(self) -> str:
        """What people call it in an error."""
        return f"message {self.msg_id}" if self.msg_id else f"event {self.event_id}"


# Since when it is counted, the last `msg_seq`, and how many replies are used. A tuple, because the garbage collector
# leaves alone what holds nothing but numbers: it would walk over an object for each message of the last minutes.
_Count: TypeAlias = tuple[float, int, int]
_Counts: TypeAlias = OrderedDict[_Key, _Count]
_NOTHING: Final[_Count] = (0.0, 0, 0)


class ReplyBook:
    """Numbers the replies to each message, and knows when no more are taken: one ledger for replies of every kind.

    Args:
        limits: How many, and for how long.
        clock: Seconds; only differences count.
        wall_clock: Seconds since the epoch, the clock of `ReplyContext.received`.
    """

    def __init__(
        self,
        limits: ReplyLimits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits or ReplyLimits()
        self._clock = clock
        self._wall_clock = wall_clock
        # By window: what was said in groups is forgotten after minutes, and need not wait for what was in private.
        self._counts: defaultdict[float, _Counts] = defaultdict(OrderedDict)

    def __len__(self) -> int:
        return sum(map(len, self._counts.values()))

    def reserve(self, context: ReplyContext, messages: int, *, fewer: bool = False) -> int:
        """Set replies aside for `messages` messages; `give_back` those that the platform did not take.

        Args:
            context: What is answered.
            messages: How many are needed.
            fewer: Set as many aside as there are, rather than fail.

        Returns:
            How many were set aside: `messages`, or with `fewer` perhaps less.

        Raises:
            ReplyContextError: Fewer are left, or the time for replies is over. Nothing is set aside then.
        """
        if self.seconds_left(context) <= 0:
            if fewer:
                return 0
            raise self.too_late(context)
        most = self._most(context)
        counts, key, (since, last_seq, used) = self._counted(context)
        left = max(0, most - used)
        if messages > left and not fewer:
            raise ReplyContextError(
                f"{context.name} takes {most} replies, {used} are used, and this chain "
                f"needs {messages}; say it in fewer messages, use bot.send_message, or let the rest go out unasked "
                "(proactive_fallback=True)"
            )
        granted = min(messages, left)
        counts[key] = since, last_seq, used + granted
        return granted

    def give_back(self, context: ReplyContext, messages: int = 1) -> None:
        """Return replies that were set aside and not used."""
        counts, key, (since, last_seq, used) = self._counted(context)
        counts[key] = since, last_seq, max(0, used - messages)

    def exhaust(self, context: ReplyContext) -> None:
        """Hear that the platform takes no more replies to this."""
        counts, key, (since, last_seq, used) = self._counted(context)
        counts[key] = since, last_seq, max(used, self._most(context))

    def heard(self, reply: RawReply) -> None:
        """Note a reply that the bot's author sent by a call of his own: typing, a text that grows."""
        name = reply.event_id.partition(":")[0]
        context = ReplyContext(reply.target, reply.msg_id, event_id=reply.event_id, event_name=name)
        counts, key, (since, last_seq, used) = self._counted(context)
        counts[key] = since, max(last_seq, reply.msg_seq), used + 1

    def next_seq(self, context: ReplyContext) -> int:
        """Return the next `msg_seq`: 1, 2, 3 ... for one message in one chat; none is given out twice."""
        counts, key, (since, last_seq, used) = self._counted(context)
        counts[key] = since, last_seq + 1, used
        return last_seq + 1

    def left(self, context: ReplyContext) -> int:
        """Return how many replies are left; 0 when the time for them is over."""
        if context.received and self._wall_clock() >= self.deadline(context):
            return 0
        _, _, used = self._counts[self._window(context)].get(_key(context), _NOTHING)
        return max(0, self._most(context) - used)

    def deadline(self, context: ReplyContext) -> float:
        """Return until when replies are taken, in seconds of the wall clock."""
        return (context.received or self._wall_clock()) + self._window(context)

    def seconds_left(self, context: ReplyContext) -> float:
        """Return for how many seconds a reply is worth a try: somewhat longer than the platform promises."""
        if not context.received:
            return math.inf
        return context.received + self._window(context) + _GRACE_SECONDS - self._wall_clock()

    def too_late(self, context: ReplyContext) -> ReplyContextError:
        """Return the error for an answer that comes too late."""
        age, window = self._wall_clock() - context.received, self._window(context)
        return ReplyContextError(
            f"{context.name} came {age:.0f} s ago; replies are taken for {window:.0f} s. "
            "Answer sooner, use bot.send_message, or let it go out unasked (proactive_fallback=True)"
        )

    def _window(self, context: ReplyContext) -> float:
        limits = self._limits
        if context.event_name == _INTERACTION:
            return limits.interaction_seconds
        return limits.group_seconds if context.target.scene is Scene.GROUP else limits.user_seconds

    def _most(self, context: ReplyContext) -> int:
        return self._limits.group_replies if context.target.scene is Scene.GROUP else self._limits.user_replies

    def _counted(self, context: ReplyContext) -> tuple[_Counts, _Key, _Count]:
        """Return where it is counted, and what there is."""
        window, key = self._window(context), _key(context)
        counts = self._counts[window]
        count = counts.get(key)
        if count is None:
            now = self._clock()
            _forget(counts, now - window - _KEEP_LONGER_SECONDS)
            count = counts[key] = now, 0, 0
        return counts, key, count


def _forget(counts: _Counts, until: float) -> None:
    while counts:
        oldest = next(iter(counts))
        if len(counts) < _KEEP_AT_MOST and counts[oldest][0] > until:
            return
        del counts[oldest]


def _key(context: ReplyContext) -> _Key:
    return context.target.openid, context.msg_id or context.event_id
