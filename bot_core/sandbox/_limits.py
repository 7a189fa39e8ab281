"""How fast and how much a bot may call and speak (PLATFORM 3.5 and 8); off unless options say otherwise."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from bot_core.openapi.values import Target
from bot_core.sandbox._answers import RefusedCallError
from bot_core.sandbox._option_groups import LimitOptions

__all__ = ("CallLimits", "SpeechLimits")

_TOO_FAST: Final = 40023001
_CHAT_TOO_FAST: Final = 20028
_PROACTIVE_TOO_FAST: Final = 40034100
_PROACTIVE_USED_UP: Final = 22009

_TOO_MANY_REQUESTS: Final = 429

_MINUTE_SECONDS: Final = 60
_DAY_SECONDS: Final = 86_400

# So many calls of `/gateway` may come at once (PLATFORM 4.2).
_GATEWAY_BURST: Final = 10.0

# Chats and bots that were quiet for longest are forgotten beyond this.
_MOST_KEYS: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class _Buckets:
    """Token buckets: as many at once as fit into one second, then as they drip."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable, per_second: float, burst: float = 1.0) -> bool:
        now, most = self._clock(), max(burst, per_second)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(most, now)
            if len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        bucket.tokens = min(most, bucket.tokens + max(0.0, now - bucket.filled_at) * per_second)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class _Windows:
    """Counts what happened in the last so many seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def has_room(self, key: Hashable, most: int, seconds: float) -> bool:
        times = self._times.get(key)
        if times is None:
            return True
        since = self._clock() - seconds
        while times and times[0] <= since:
            times.popleft()
        return len(times) < most

    def count(self, key: Hashable) -> None:
        self._times.setdefault(key, deque()).append(self._clock())
        if len(self._times) > _MOST_KEYS:
            self._times.popitem(last=False)


class CallLimits:
    """How many calls of a kind a bot may make in a second, or of `/gateway` in a minute; false where any."""

    def __init__(self, options: LimitOptions, clock: Callable[[], float]) -> None:
        self._rates = options.calls_per_second
        self._gateway_per_minute = options.gateway_per_minute
        self._buckets = _Buckets(clock)
        self._on = bool(self._rates or self._gateway_per_minute)

    def __bool__(self) -> bool:
        return self._on

    def check(self, appid: str, kind: str) -> None:
        """Count a call.

        Raises:
            RefusedCallError: 429 with 40023001, it comes too fast.
        """
        per_minute = self._gateway_per_minute
        if kind == "gateway" and per_minute:
            if not self._buckets.take((appid, kind), per_minute / _MINUTE_SECONDS, _GATEWAY_BURST):
                text = f"more than {per_minute:g} calls of {kind} in a minute"
                raise RefusedCallError(_TOO_MANY_REQUESTS, _TOO_FAST, text)
            return
        rate = self._rates.get(kind)
        if rate is not None and not self._buckets.take((appid, kind), rate):
            raise RefusedCallError(_TOO_MANY_REQUESTS, _TOO_FAST, f"more than {rate:g} calls of {kind} in a second")


class SpeechLimits:
    """How often a bot may speak in one chat, and how often unasked; false where nothing is limited."""

    def __init__(self, options: LimitOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._proactive = (
            ("bot", options.proactive_per_minute, _MINUTE_SECONDS, _PROACTIVE_TOO_FAST),
            ("chat", options.proactive_per_chat_minute, _MINUTE_SECONDS, _PROACTIVE_TOO_FAST),
            ("chat", options.proactive_per_chat_day, _DAY_SECONDS, _PROACTIVE_USED_UP),
        )
        self._buckets = _Buckets(clock)
        self._windows = _Windows(clock)
        self._on = bool(options.chat_messages_per_second or any(most for _, most, _, _ in self._proactive))

    def __bool__(self) -> bool:
        return self._on

    def check(self, appid: str, target: Target, *, proactive: bool) -> None:
        """Count a message that is about to arrive.

        Raises:
            RefusedCallError: The chat gets too many (429 with 20028), or too many unasked (40034100, 22009).
        """
        keys = []
        for whose, most, seconds, code in self._proactive if proactive else ():
            if most:
                key = (appid, target if whose == "chat" else None, seconds)
                if not self._windows.has_room(key, most, seconds):
                    text = f"more than {most} proactive messages of this {whose} in {seconds} s"
                    raise RefusedCallError(400, code, text)
                keys.append(key)
        rate = self._options.chat_messages_per_second
        if rate and not self._buckets.take((appid, target), rate):
            raise RefusedCallError(_TOO_MANY_REQUESTS, _CHAT_TOO_FAST, f"more than {rate:g} messages a second here")
        for key in keys:
            self._windows.count(key)
