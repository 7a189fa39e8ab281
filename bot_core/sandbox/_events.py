"""Makes the events that a bot gets: the payloads of PLATFORM 6, whole or with the documented fields only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from bot_core.openapi.values import Intents, Scene, Target

__all__ = ("Speech", "intent_of", "message_event", "platform_time", "target_of")

C2C: Final = "C2C_MESSAGE_CREATE"
GROUP_AT: Final = "GROUP_AT_MESSAGE_CREATE"
GROUP_ALL: Final = "GROUP_MESSAGE_CREATE"

# The `message_type` of a message that quotes another one.
_QUOTE: Final = 103

_PLATFORM_TIME: Final = timezone(timedelta(hours=8))

_BY_INTENT: Final = {
    Intents.GROUP_AND_C2C_EVENT: (
        C2C, GROUP_AT, GROUP_ALL, "GROUP_ADD_ROBOT", "GROUP_DEL_ROBOT", "GROUP_MSG_REJECT", "GROUP_MSG_RECEIVE",
        "FRIEND_ADD", "FRIEND_DEL", "C2C_MSG_REJECT", "C2C_MSG_RECEIVE",
    ),
    Intents.GROUP_MEMBER_EVENT: ("GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE", "GROUP_JOIN_REQUEST"),
    Intents.INTERACTION: ("INTERACTION_CREATE",),
}  # fmt: skip

_INTENTS: Final = {name: bit for bit, names in _BY_INTENT.items() for name in names}


def intent_of(event_name: str) -> int:
    """Return the bit that a bot must have asked for to get this event; 0 for an event that nobody knows."""
    return _INTENTS.get(event_name, 0)


@lru_cache(maxsize=8)
def platform_time(second: int) -> str:
    """Return a second since the epoch as the platform writes it."""
    return datetime.fromtimestamp(second, _PLATFORM_TIME).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """One message of a person, in the words of one bot.

    Attributes:
        id: Message id.
        reference: `REFIDX_` of the message.
        target: The chat.
        speaker: Openid of the speaker, as a member in a group.
        name: Name of the speaker.
        role: `member`, `admin` or `owner`.
        text: What is said, without the mention of the bot.
        quote: Text of the message that it quotes; empty: it quotes none.
        quoted_reference: `REFIDX_` of that message.
        at: Whether a group message mentions the bot.
        bot_openid: The bot, as a member of the group.
        bot_name: Its name.
        attachments: Attachment objects (PLATFORM 6.1).
        time: Wall clock in seconds.
        full: All fields that are seen, or only those that are documented.
    """

    id: str
    reference: str
    target: Target
    speaker: str
    name: str
    role: str
    text: str
    quote: str
    quoted_reference: str
    at: bool
    bot_openid: str
    bot_name: str
    attachments: Sequence[Mapping[str, Any]]
    time: float
    full: bool


def message_event(event_name: str, speech: Speech) -> dict[str, Any]:
    """Return the `d` of a message event."""
    moment = platform_time(int(speech.time))
    data: dict[str, Any] = {"id": speech.id, "content": _content(event_name, speech), "timestamp": moment}
    in_group = speech.target.scene is Scene.GROUP
    if in_group:
        data["group_openid"] = speech.target.openid
    data["author"] = {"member_openid" if in_group else "user_openid": speech.speaker}
    if speech.attachments:
        data["attachments"] = list(speech.attachments)
    if speech.full:
        _add_undocumented(event_name, speech, data)
    if speech.quote:
        _add_quote(speech, data)
    return data


def target_of(event_name: str, data: Mapping[str, Any]) -> Target | None:
    """Return the chat in which an event can be answered, as its payload tells it."""
    group = data.get("group_openid")
    if isinstance(group, str) and group:
        return Target(Scene.GROUP, group)
    author = data.get("author")
    from_author = author.get("user_openid") if isinstance(author, Mapping) else None
    user = from_author or data.get("user_openid") or (data.get("openid") if event_name != C2C else None)
    return Target(Scene.USER, user) if isinstance(user, str) and user else None


def _content(event_name: str, speech: Speech) -> str:
    if event_name == GROUP_AT:
        return f" {speech.text}"  # the platform cuts the bot's own tag and leaves the blank behind it
    if event_name == GROUP_ALL and speech.at:
        return f"<@{speech.bot_openid}> {speech.text}"
    return speech.text


def _add_undocumented(event_name: str, speech: Speech, data: dict[str, Any]) -> None:
    author = data["author"]
    author |= {"id": speech.speaker, "username": speech.name, "bot": False}
    if speech.target.scene is Scene.GROUP:
        author["member_role"] = speech.role
        data["group_id"] = speech.target.openid
    else:
        author["union_openid"] = ""
    data["message_type"] = 0
    data["message_scene"] = {"source": "default", "ext": [f"msg_idx={speech.reference}"]}
    if event_name == GROUP_ALL:
        data["mentions"] = [_mention(speech)] if speech.at else []


def _add_quote(speech: Speech, data: dict[str, Any]) -> None:
    scene = data.setdefault("message_scene", {"source": "default", "ext": []})
    scene["ext"].append(f"ref_msg_idx={speech.quoted_reference}")
    data["message_type"] = _QUOTE
    data["msg_elements"] = [
        {"msg_idx": speech.quoted_reference, "message_type": _QUOTE, "content": speech.quote},
    ]


def _mention(speech: Speech) -> dict[str, Any]:
    return {
        "scope": "single",
        "id": speech.bot_openid,
        "member_openid": speech.bot_openid,
        "username": speech.bot_name,
        "bot": True,
        "is_you": True,
    }
