"""Remembers which events came already: after a resume, by webhook and by both some come again (PLATFORM 4.4, 5.4)."""

from __future__ import annotations

import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bot_core.qq_group.events import INTERACTION, MESSAGE_EVENTS

if TYPE_CHECKING:
    from bot_core.gateway.actions import Dispatch

__all__ = ("SeenEvents", "identities")

_KEEP_SECONDS: Final = 600.0

# Some 80 bytes each, and three a message: 110 messages a second are remembered for the whole ten minutes, and of more
# than that the latest 65 000. What comes again comes within seconds, so that is enough for it too.
_KEEP_AT_MOST: Final = 200_000

# They are forgotten in portions, each of so many seconds or less.
_PORTION_SECONDS: Final = 10.0
_PORTIONS: Final = 64

_INDEX: Final = "msg_idx="


def _wide_hash(text: str) -> int:
    return hash(text) << 32 | hash(f"{text} ") & 0xFFFFFFFF


_hash: Final = hash if sys.hash_info.width >= 64 else _wide_hash  # noqa: PLR2004 - a Raspberry Pi's may have 32


class _Portion(NamedTuple):
    began: float
    ids: array[int]


class SeenEvents:
    """Tells a repeated event from a new one, for ten minutes.

    Ids are kept as their hashes of 64 bits: a third of the memory, and among 10**13 events one would be mistaken.

    Args:
        limit: How many ids are kept at most.
        clock: Seconds; only differences count.
    """

    def __init__(self, *, limit: int = _KEEP_AT_MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._portion = max(1, limit // _PORTIONS)
        self._clock = clock
        self._known: set[int] = set()
        self._portions: deque[_Portion] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def repeated(self, *ids: str) -> bool:
        """Return whether any of these ids was seen before, and remember them all. Empty ids do not count."""
        known, newest = self._known, self._newest(self._clock())
        repeated = False
        for one in ids:
            if one:
                key = _hash(one)
                if key in known:
                    repeated = True
                else:
                    known.add(key)
                    newest.append(key)
        return repeated

    def _newest(self, now: float) -> array[int]:
        """Return the portion that is being filled; before a new one is begun, forget what is too old or too much."""
        portions = self._portions
        if portions and now - portions[-1].began < _PORTION_SECONDS and len(portions[-1].ids) < self._portion:
            return portions[-1].ids
        while portions and self._may_go(portions[0], now):
            self._known.difference_update(portions.popleft().ids)
        portions.append(_Portion(now, array("q")))
        return portions[-1].ids

    def _may_go(self, oldest: _Portion, now: float) -> bool:
        return now - oldest.began >= _KEEP_SECONDS + _PORTION_SECONDS or len(self) + self._portion > self._limit


def identities(dispatch: Dispatch) -> tuple[str, ...]:
    """Return all that an event is told by: the envelope's `id`, a message's or a button's own, and `msg_idx`.

    A message may come again in another envelope, and may lack any of them. `msg_idx` counts within its chat.
    """
    data: object = dispatch.data
    if not isinstance(data, dict):
        return (dispatch.id,)
    own = data.get("id")
    if dispatch.type not in MESSAGE_EVENTS:  # in others it may be that of a guild, or a channel
        return (dispatch.id, own) if dispatch.type == INTERACTION and isinstance(own, str) else (dispatch.id,)
    index = _index(data)
    return (dispatch.id, own if isinstance(own, str) else "", f"{_chat(data)} {index}" if index else "")


def _index(data: dict[str, Any]) -> str:
    scene = data.get("message_scene")
    fields = scene.get("ext") if isinstance(scene, dict) else None
    if isinstance(fields, list):
        for field in fields:
            if isinstance(field, str) and field.startswith(_INDEX):
                return field[len(_INDEX) :]
    return ""


def _chat(data: dict[str, Any]) -> str:
    group = data.get("group_openid") or data.get("group_id")
    if group:
        return str(group)
    author = data.get("author")
    return str(author.get("user_openid") or author.get("id")) if isinstance(author, dict) else ""
