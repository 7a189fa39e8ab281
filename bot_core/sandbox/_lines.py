"""Tells what happens in a sandbox, one line each, for people who watch."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final, assert_never

from bot_core.openapi.values import MsgType, Scene, Target
from bot_core.sandbox._values import (
    Acknowledged,
    Arrived,
    ArrivedMedia,
    Connection,
    Happening,
    Recalled,
    Refused,
    Said,
    Undelivered,
)

__all__ = ("Line", "Lines", "human_size")

# How many messages an answer can be timed against.
_TIMED: Final = 1000

_KIB: Final = 1024

Line = tuple[str, str]
"""The text, and a style of `rich` for it."""


def human_size(size: int) -> str:
    """Return a number of bytes for people."""
    if size < _KIB:
        return f"{size} B"
    if size < _KIB * _KIB:
        return f"{size / _KIB:.1f} KB"
    return f"{size / _KIB / _KIB:.1f} MB"


class Lines:
    """Turns happenings into lines; remembers when something was said, to tell how long the answer took."""

    def __init__(self, bot_name: str) -> None:
        self._bot_name = bot_name
        self._said: OrderedDict[str, float] = OrderedDict()

    def line(self, happening: Happening) -> Line:
        """Return the line for what happened."""
        match happening:
            case Said():
                return self._said_line(happening)
            case Arrived():
                return self._arrived_line(happening)
            case Refused() | Undelivered():
                return _failure(happening), "red"
            case Recalled():
                return f"{_clock(happening.at)} {self._bot_name} took a message back ({happening.id})", "dim"
            case Acknowledged():
                text = f"{self._bot_name} acknowledged the button with {happening.code}"
                late = "" if happening.in_time else ", too late: people saw that it failed"
                return f"{text} after {happening.seconds * 1000:.0f} ms{late}", "dim" if happening.in_time else "red"
            case Connection():
                why = f": {happening.why}" if happening.why else ""
                shard = f"shard {happening.shard[0]} of {happening.shard[1]}"
                who = f"bot {happening.appid or '?'}, {shard}"
                return f"{_clock(happening.at)} {who}, {happening.state}{why}", "yellow"
            case _:
                assert_never(happening)

    def _said_line(self, said: Said) -> Line:
        for key in (said.id, said.event_id):
            self._said[key] = said.monotonic
        while len(self._said) > _TIMED:
            self._said.popitem(last=False)
        what = f"{said.user}: {said.text}" if said.user else said.event_name
        later = "" if said.connected else "  (the bot is away; it gets this when it resumes)"
        return f"{_clock(said.at)} [{_chat(said.chat, said.target)}] {what}{later}", "cyan"

    def _arrived_line(self, arrived: Arrived) -> Line:
        parts = [arrived.content] if arrived.content else []
        if arrived.media is not None:
            parts.append(_media(arrived.media))
        parts += [f"<picture {picture.content_type} {human_size(picture.size)}>" for picture in arrived.pictures]
        if not parts:
            parts.append(f"({MsgType(arrived.msg_type).name.lower()})")
        since = self._said.get(arrived.msg_id or arrived.event_id or "")
        took = "unasked" if since is None else f"{(arrived.monotonic - since) * 1000:.0f} ms"
        where = _chat(arrived.chat, arrived.target)
        return f"{_clock(arrived.at)} [{where}] {self._bot_name}: {'  '.join(parts)}  ({took})", "green"


def _failure(happening: Refused | Undelivered) -> str:
    if isinstance(happening, Undelivered):
        given_up = ", the last one: it is given up" if happening.last else ""
        which = f"not taken by {happening.url}, try {happening.number}{given_up}"
        return f"{_clock(happening.at)} {which}: {happening.why}"
    code = f" {happening.code}" if happening.code else ""
    return f"{_clock(happening.at)} refused: {happening.path} {happening.status}{code} {happening.message}"


def _media(media: ArrivedMedia) -> str:
    came = f"from {media.url}" if media.url else f"as {media.way}"
    card = ", a file card" if media.as_card else ""
    return f"<{media.file_type.name.lower()} {media.content_type} {human_size(media.size)} {came}{card}>"


def _chat(chat: str, target: Target | None) -> str:
    return f"{chat}, private" if target is not None and target.scene is Scene.USER else chat


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
