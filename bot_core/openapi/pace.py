"""Sends no faster than the platform takes it: nothing is held back until it says that it was too fast (PLATFORM 8).

A call passes up to three buckets of tokens: that of its chat, that of all unasked messages, and that of its route. A
bucket comes into being when the platform answers with a code that is about it, at the documented rate; it is halved
when that does not help, and is gone after a quiet minute. Other chats and routes are never held back by it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from bot_core.errors import OpenAPIError, RateLimitedError
from bot_core.openapi.codes import CodeKind, kind_of

__all__ = ("Pace", "Pacer", "Rate", "Rates")

Pace: TypeAlias = Literal["adaptive", "documented"] | None
"""When calls are held back: once the platform asks for it, from the start, or never."""

# So long without a word from the platform, and a bucket is widened again, or taken away.
_QUIET_SECONDS: Final = 60.0
# Many calls that were under way together are refused together: that is one sign, not many.
_ONE_SIGN_SECONDS: Final = 1.0
# What the platform itself would have answered.
_TOO_MANY: Final = 429
# One, but for what sums of fractions lose.
_A_TOKEN: Final = 1 - 1e-6
_NARROWEST: Final = 1 / 16
# An unasked message goes after so many replies that overtook it.
_OVERTAKERS: Final = 4
# Buckets of chats that are forgotten first when there are more; with pace="documented" every chat has one.
_MOST_BUCKETS: Final = 4096
# Codes that are about one chat, and those that are about unasked messages to it; all others are about the route.
_CHAT_CODES: Final = frozenset({20028, 1100308})
_UNASKED_CODES: Final = frozenset({40034100})

_IN_CHAT: Final = re.compile(r"/v2/(groups|users)/([^/]+)/([a-z_]+)")

logger = logging.getLogger("bot_core.openapi")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls a second, and so many at once after a pause."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the platform documents (PLATFORM 3.5 and 8), of what concerns one bot.

    Attributes:
        messages: To groups, and as many to users; replies are counted too.
        files: Uploads by one call, and parts of streams.
        slow: Steps of a chunked upload, recalls.
        other: Any other call.
        chat: Messages to one chat, unasked or where the platform says that the chat has too many: 20 in any minute.
        unasked: Unasked messages to all chats of a kind together, for a bot that is not certified: 30 in any minute.
    """

    messages: Rate = Rate(100, 100)
    files: Rate = Rate(50, 50)
    slow: Rate = Rate(10, 10)
    other: Rate = Rate(50, 50)
    chat: Rate = Rate(15 / 60, 5)
    unasked: Rate = Rate(25 / 60, 5)


class Pacer:
    """Lets calls through, at once or when it is their turn.

    Args:
        pace: When it holds calls back.
        rates: At which rates.
        clock: Seconds; only differences count.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        pace: Pace = "adaptive",
        *,
        rates: Rates | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._pace = pace
        self._rates = rates or Rates()
        self._clock = clock
        self._sleep = sleep
        self._buckets: dict[str, _Bucket] = {}

    @property
    def holds(self) -> bool:
        """Whether a call may have to wait; where it is false, `turn` need not be called."""
        return bool(self._buckets) or self._pace == "documented"

    async def turn(self, method: str, path: str, *, unasked: bool = False, patience: float | None = None) -> None:
        """Return when this call may be made.

        Args:
            method: Of the call.
            path: Of the call.
            unasked: It is a message that answers none: replies overtake it, and more limits hold for it.
            patience: Seconds to wait at most.

        Raises:
            RateLimitedError: Its turn does not come in time. Nothing was sent.
        """
        try:
            async with asyncio.timeout(patience):
                for lane in self._lanes(method, path, unasked=unasked):
                    bucket = self._bucket(lane)
                    if bucket is not None:
                        await bucket.turn(unasked=unasked)
        except TimeoutError:
            raise RateLimitedError(
                f"{method} {path} was not sent: the platform limits how often, and its turn did not come within"
                f" {patience:g} s; send less, or give send() a longer timeout",
                status=_TOO_MANY,
                path=path,
            ) from None

    def note(self, method: str, path: str, error: OpenAPIError, *, unasked: bool = False) -> None:
        """Hear that a call was refused; if it came too fast, hold the next ones back."""
        if self._pace is None or kind_of(error) is not CodeKind.RATE:
            return
        lane = self._lane_of(error, list(self._lanes(method, path, unasked=unasked)))
        bucket = self._buckets.get(lane.name)
        if bucket is not None:
            bucket.narrow(error.retry_after or 0.0)
            return
        self._make_room()
        self._buckets[lane.name] = bucket = _Bucket(lane.rate, self._clock, self._sleep, tokens=0)
        bucket.hold(error.retry_after or 0.0)
        logger.warning(
            "the platform says %s came too fast (%s): held back to %.3g a second until a minute passes without this",
            lane.name,
            ", ".join(map(str, sorted(error.codes))) or f"HTTP {error.status}",
            lane.rate.per_second,
        )

    @staticmethod
    def _lane_of(error: OpenAPIError, lanes: list[_Lane]) -> _Lane:
        codes = error.codes
        about = "unasked" if codes & _UNASKED_CODES else "chat" if codes & _CHAT_CODES else "route"
        return next((lane for lane in lanes if lane.about == about), lanes[-1])

    def _lanes(self, method: str, path: str, *, unasked: bool) -> Iterator[_Lane]:
        """Name the buckets of a call, the narrowest first: who waits for it takes nothing from the wider ones."""
        rates = self._rates
        found = _IN_CHAT.match(path)
        if found is None:
            yield _Lane("route", f"{method} {path}", rates.other)
            return
        scene, openid, what = found.groups()
        if what != "messages" or method != "POST":
            rate = rates.files if what in {"files", "stream_messages"} else rates.slow
            yield _Lane("route", f"{method} {what} of {scene}", rate)
            return
        if unasked:
            yield _Lane("unasked", f"unasked messages to {scene}/{openid}", rates.chat)
        if self._pace != "documented":  # no rate of replies to one chat is documented
            yield _Lane("chat", f"messages to {scene}/{openid}", rates.chat)
        elif unasked:
            yield _Lane("all", f"unasked messages to {scene}", rates.unasked)
        yield _Lane("route", f"POST messages to {scene}", rates.messages)

    def _bucket(self, lane: _Lane) -> _Bucket | None:
        bucket = self._buckets.get(lane.name)
        if bucket is None:
            if self._pace != "documented":
                return None
            self._make_room()
            bucket = self._buckets[lane.name] = _Bucket(lane.rate, self._clock, self._sleep, tokens=lane.rate.burst)
        elif bucket.ease() and self._pace != "documented":
            del self._buckets[lane.name]
            logger.info("%s: no longer held back", lane.name)
            return None
        return bucket

    def _make_room(self) -> None:
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets = {name: bucket for name, bucket in self._buckets.items() if not bucket.idle}


class _Lane(NamedTuple):
    """One of the limits that hold for a call: what it is about, its name for people, its rate."""

    about: str
    name: str
    rate: Rate


class _Ticket:
    __slots__ = ("granted", "woken")

    def __init__(self) -> None:
        self.granted = False
        self.woken = asyncio.Event()


class _Bucket:
    """Tokens, and who waits for one. Whoever waits first sleeps for all; no task of its own is needed."""

    def __init__(
        self, rate: Rate, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]], *, tokens: float
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._tokens = tokens
        self._filled_at = self._last_sign = clock()
        self._share = 1.0
        self._replies: deque[_Ticket] = deque()
        self._unasked: deque[_Ticket] = deque()
        self._overtaken = 0
        self._leader: _Ticket | None = None

    @property
    def idle(self) -> bool:
        """Whether it holds nobody back now, nor would soon."""
        self._fill()
        return not self._waiting and self._tokens >= self._rate.burst

    @property
    def _waiting(self) -> bool:
        return bool(self._replies or self._unasked)

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._tokens = min(self._tokens, -seconds * self._rate.per_second * self._share)

    def narrow(self, seconds: float) -> None:
        """Hear that it is still too fast, and for how long nothing is to come."""
        now = self._clock()
        if now - self._last_sign >= _ONE_SIGN_SECONDS:
            self._fill()
            self._share = max(_NARROWEST, self._share / 2)
        self._last_sign = now
        self.hold(seconds)

    def ease(self) -> bool:
        """Widen it after every quiet minute; return whether it is as wide as documented, quiet, and nobody waits."""
        quiet = self._clock() - self._last_sign
        while quiet >= _QUIET_SECONDS and self._share < 1:
            self._fill()
            self._share *= 2
            self._last_sign += _QUIET_SECONDS
            quiet -= _QUIET_SECONDS
        return quiet >= _QUIET_SECONDS and not self._waiting

    async def turn(self, *, unasked: bool) -> None:
        """Return when it is the caller's turn."""
        if not self._waiting and self._wait() <= 0:
            self._tokens -= 1
            return
        ticket = _Ticket()
        queue = self._unasked if unasked else self._replies
        queue.append(ticket)
        try:
            while not ticket.granted:
                if self._leader is None:
                    await self._lead(ticket)
                else:
                    await ticket.woken.wait()
                    ticket.woken.clear()
        except BaseException:
            if ticket.granted:  # between its turn and its hearing of it, the caller gave up
                self._tokens += 1
            else:
                queue.remove(ticket)
            raise
        finally:
            self._appoint()

    async def _lead(self, ticket: _Ticket) -> None:
        """Sleep until there is a token, and give it to whose turn it is then."""
        self._leader = ticket
        try:
            while (wait := self._wait()) > 0:
                await self._sleep(wait)
        finally:
            self._leader = None
        chosen = self._choose()
        self._tokens -= 1
        chosen.granted = True
        chosen.woken.set()

    def _choose(self) -> _Ticket:
        if self._replies and not (self._unasked and self._overtaken >= _OVERTAKERS):
            self._overtaken += bool(self._unasked)
            return self._replies.popleft()
        self._overtaken = 0
        return self._unasked.popleft()

    def _appoint(self) -> None:
        """Let somebody sleep in the place of the one who left."""
        if self._leader is None and self._waiting:
            (self._replies or self._unasked)[0].woken.set()

    def _wait(self) -> float:
        self._fill()
        return 0.0 if self._tokens >= _A_TOKEN else (1 - self._tokens) / (self._rate.per_second * self._share)

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled_at) * self._rate.per_second * self._share
        self._tokens = min(self._rate.burst, self._tokens + gained)
        self._filled_at = now
