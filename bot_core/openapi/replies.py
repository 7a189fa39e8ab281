"""Tells which calls are replies: typing and growing texts are among them, and count as any reply does (PLATFORM 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from bot_core.openapi.values import Scene, Target, as_int

__all__ = ("RawReply", "reply_in")

_REPLY: Final = re.compile(r"/v2/(groups|users)/([^/]+)/(?:stream_)?messages")


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as it was posted.

    Attributes:
        target: The chat.
        msg_id: The message that it answers; empty for an event.
        event_id: The event that it answers; empty for a message.
        msg_seq: Its number.
    """

    target: Target
    msg_id: str
    event_id: str
    msg_seq: int


def reply_in(path: str, body: Mapping[str, Any]) -> RawReply | None:
    """Return the reply that this call is, or `None`: a text that grows is one reply, however often it does."""
    found = _REPLY.fullmatch(path)
    msg_id, event_id = body.get("msg_id") or "", body.get("event_id") or ""
    if found is None or not (msg_id or event_id) or body.get("stream_msg_id"):
        return None
    target = Target(Scene(found[1]), unquote(found[2]))
    return RawReply(target, str(msg_id), "" if msg_id else str(event_id), as_int(body.get("msg_seq"), 1))
