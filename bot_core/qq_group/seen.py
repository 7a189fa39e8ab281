"""Remembers which events came already: after a resume, by webhook and by both some come again (PLATFORM 4.4, 5.4)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bot_core.qq_group.events import MESSAGE_EVENTS

if TYPE_CHECKING:
    from bot_core.gateway.actions import Dispatch

__all__ = ("SeenEvents", "identities")

_KEEP_SECONDS: Final = 600.0

# Some 100 bytes each.
_KEEP_AT_MOST: Final = 100_000

_INDEX: Final = "msg_idx="


class SeenEvents:
    """Tells a repeated event from a new one, for ten minutes.

    Args:
        limit: How many ids are kept at most.
        clock: Seconds; only differences count.
    """

    def __init__(self, *, limit: int = _KEEP_AT_MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._ids: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ids)

    def repeated(self, *ids: str) -> bool:
        """Return whether any of these ids was seen before, and remember them all. Empty ids do not count."""
        now = self._clock()
        self._forget(now)
        repeated = False
        for one in ids:
            if one and one in self._ids:
                repeated = True
            elif one:
                self._ids[one] = now
        return repeated

    def _forget(self, now: float) -> None:
        ids = self._ids
        while ids:
            oldest = next(iter(ids))
            if len(ids) <= self._limit and now - ids[oldest] < _KEEP_SECONDS:
                return
            del ids[oldest]


def identities(dispatch: Dispatch) -> tuple[str, ...]:
    """Return everything that an event is told by: the envelope's `id`, and a message's own `id` and `msg_idx`.

    A message may come again in another envelope, and may lack any of them. `msg_idx` counts within its chat.
    """
    data: object = dispatch.data
    if dispatch.type not in MESSAGE_EVENTS or not isinstance(data, Mapping):
        return (dispatch.id,)
    own = data.get("id")
    index = _index(data)
    return (dispatch.id, own if isinstance(own, str) else "", f"{_chat(data)} {index}" if index else "")


def _index(data: Mapping[str, Any]) -> str:
    scene = data.get("message_scene")
    fields = scene.get("ext") if isinstance(scene, Mapping) else None
    if not isinstance(fields, list):
        return ""
    return next((field[len(_INDEX) :] for field in fields if isinstance(field, str) and field.startswith(_INDEX)), "")


def _chat(data: Mapping[str, Any]) -> str:
    group = data.get("group_openid") or data.get("group_id")
    if group:
        return str(group)
    author = data.get("author")
    return str(author.get("user_openid") or author.get("id")) if isinstance(author, Mapping) else ""
