"""Turns what the platform pushes into a `Message` or an `Event` (PLATFORM 6). No I/O.

Every field may be missing and every one may have the wrong type: what is missing is empty on the `Message`, and only a
message that names no chat or has no id is skipped, with a line in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bot_core.message import Event, File, Message
from bot_core.openapi.values import Scene, as_int
from bot_core.qq_group.attachments import Attachment, Shelf
from qqmedia import MediaKind

if TYPE_CHECKING:
    from bot_core.adapter import Adapter

__all__ = ("INTERACTION", "MESSAGE_EVENTS", "Attachment", "can_be_answered", "incoming", "reference_of")

JSON: TypeAlias = Mapping[str, Any]

_PRIVATE: Final = "C2C_MESSAGE_CREATE"
_GROUP_AT: Final = "GROUP_AT_MESSAGE_CREATE"
_GROUP_ANY: Final = "GROUP_MESSAGE_CREATE"
MESSAGE_EVENTS: Final = frozenset({_PRIVATE, _GROUP_AT, _GROUP_ANY})

INTERACTION: Final = "INTERACTION_CREATE"
# What can be answered by the id of the event (PLATFORM 3.2).
_ANSWERABLE: Final = {
    Scene.GROUP: frozenset({INTERACTION, "GROUP_ADD_ROBOT", "GROUP_MSG_RECEIVE", "GROUP_MEMBER_ADD"}),
    Scene.USER: frozenset({INTERACTION, "C2C_MSG_RECEIVE", "FRIEND_ADD"}),
}

# What else the platform documents (PLATFORM 4.5, 6).
_KNOWN: Final = frozenset({
    INTERACTION, "GROUP_ADD_ROBOT", "GROUP_DEL_ROBOT", "GROUP_MSG_REJECT", "GROUP_MSG_RECEIVE", "FRIEND_ADD",
    "FRIEND_DEL", "C2C_MSG_REJECT", "C2C_MSG_RECEIVE", "GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE", "GROUP_JOIN_REQUEST",
    "SUBSCRIBE_MESSAGE_STATUS", "MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT", "GUILD_CREATE", "GUILD_UPDATE",
    "GUILD_DELETE", "CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE", "GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE",
    "GUILD_MEMBER_REMOVE", "MESSAGE_CREATE", "MESSAGE_DELETE", "AT_MESSAGE_CREATE", "PUBLIC_MESSAGE_DELETE",
    "MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE", "DIRECT_MESSAGE_CREATE", "DIRECT_MESSAGE_DELETE",
})  # fmt: skip
# Other events of guilds, whose bots name the intents for them.
_KNOWN_FAMILIES: Final = ("FORUM_", "OPEN_FORUM_", "AUDIO_")
_LONGEST_NAME: Final = 60

# A `dict` first: to ask an abstract class takes several times as long, and each event is asked for five.
_OBJECT: Final = (dict, Mapping)

# What a message has, if it has it at all.
_SHAPES: Final = (
    ("author", _OBJECT, "an object"),
    ("content", str, "text"),
    ("attachments", list, "a list"),
    ("mentions", list, "a list"),
    ("message_scene", _OBJECT, "an object"),
)

_KINDS: Final = {
    "image": MediaKind.IMAGE,
    "voice": MediaKind.VOICE,
    "audio": MediaKind.VOICE,
    "video": MediaKind.VIDEO,
}
_ADMIN_ROLES: Final = frozenset({"admin", "owner"})
_EVERYBODY: Final = frozenset({"all", "everyone"})
# An openid is not always made of word characters.
_MENTION: Final = re.compile(r'<@!?([^>\s]+)>|<qqbot-at-user\s+id="([^">]+)"\s*/?>|<qqbot-at-(everyone)\s*/?>')
_FACE: Final = re.compile(r'<faceType=\d+,\s*faceId="([^">]*)"[^>]*>|<emoji:(\d+)>')

logger = logging.getLogger("bot_core.qq_group")


def incoming(
    instance: Adapter,
    name: str,
    data: object,
    event_id: str = "",
    shelf: Shelf | None = None,
    *,
    complain: Callable[[str], None] = logger.warning,
) -> Message | Event | None:
    """Return the message or event for a dispatch, or `None` when it cannot be used.

    Args:
        instance: The adapter that received it.
        name: The dispatch's `t`.
        data: Its `d`, whatever that is.
        event_id: The envelope's `id`.
        shelf: Where attachments can be fetched.
        complain: Is told why one cannot be used.
    """
    if name not in MESSAGE_EVENTS:
        _check_event(name, data, complain)
        event = Event(instance, name, dict(data) if isinstance(data, _OBJECT) else {}, event_id)
        _read_event(event)
        return event
    if not isinstance(data, _OBJECT):
        complain(f"{name} skipped: its data is {type(data).__name__}, not an object")
        return None
    message = Message(instance, dict(data))
    message.event_id = event_id
    _read_people(message, name, data)
    if not message.message_id or not (message.user_openid if message.is_direct else message.channel_openid):
        complain(f"{name} skipped: it has no message id or names no chat")
        return None
    _check_message(message, name, data, complain)
    _read_attachments(message, data, shelf)
    _read_text(message, name, data)
    return message


def reference_of(message: Message) -> str:
    """Return what a reply quotes this message by: its `REFIDX_...`, or its id where the platform gave none."""
    raw = message.message
    return (_scene_field(raw, "msg_idx") if isinstance(raw, Mapping) else "") or message.message_id


def can_be_answered(event: Event) -> bool:
    """Return whether the platform takes answers to this event."""
    if not event.event_id or not (event.channel_openid or event.user_openid):
        return False
    return event.event_name in _ANSWERABLE[Scene.GROUP if event.channel_openid else Scene.USER]


def _check_event(name: str, data: object, complain: Callable[[str], None]) -> None:
    if name not in _KNOWN and not name.startswith(_KNOWN_FAMILIES):
        complain(f"{name[:_LONGEST_NAME]!r} is no event that this version knows: handed to on_event as it is")
    elif not isinstance(data, _OBJECT):
        complain(f"{name} has data of type {type(data).__name__}, not an object: handed to on_event without it")


def _check_message(message: Message, name: str, data: JSON, complain: Callable[[str], None]) -> None:
    if not message.user_openid:
        complain(f"{name} names no author: handled without")
    for key, kind, wanted in _SHAPES:
        value = data.get(key)
        if value is not None and not isinstance(value, kind):
            complain(f"{name} has {key} of type {type(value).__name__}, not {wanted}: handled as far as it goes")


def _read_event(event: Event) -> None:
    data = event.data
    event.channel_openid = _string(data, "group_openid")
    people = ("group_member_openid", "member_openid", "op_member_openid") if event.channel_openid else ()
    for key in (*people, "user_openid", "openid"):
        event.user_openid = event.user_openid or _string(data, key)
    if event.event_name == INTERACTION:
        resolved = _object(_object(data, "data"), "resolved")
        event.button_id = _string(resolved, "button_id")
        event.button_data = _string(resolved, "button_data")


def _read_people(message: Message, name: str, data: JSON) -> None:
    author = _object(data, "author")
    message.message_id = _string(data, "id")
    message.message_type = data.get("message_type", "")
    message.is_direct = name == _PRIVATE
    message.nickname = _string(author, "username")
    message.is_admin = _string(author, "member_role") in _ADMIN_ROLES
    openid = _string(author, "user_openid" if message.is_direct else "member_openid")
    message.user_id = _string(author, "id") or openid
    message.user_openid = openid or message.user_id
    if not message.is_direct:
        group, legacy = _string(data, "group_openid"), _string(data, "group_id")
        message.channel_openid = group or legacy
        message.channel_id = legacy or group
    message.reference_message_id = _quoted(data)


def _read_text(message: Message, name: str, data: JSON) -> None:
    content = _string(data, "content")
    own, others, everybody = _mentions(data)
    known = own.union(_EVERYBODY, *others.items())
    tagged = [next(filter(None, match.groups())) for match in _MENTION.finditer(content)] if "<" in content else []
    everybody = everybody or not _EVERYBODY.isdisjoint(tagged)
    unknown = [one for one in tagged if one not in known]
    # Under full receive a mention of the bot comes as GROUP_MESSAGE_CREATE. Some lists of mentions leave the bot out:
    # then its tag is the one that nobody in the list explains.
    message.is_at = name == _GROUP_AT or (name == _GROUP_ANY and bool(own or unknown))
    message.is_at_all = everybody
    message.at_target = list(others)
    if "<" in content:
        message.face = [next(filter(None, match.groups()), "") for match in _FACE.finditer(content)]
        content = _FACE.sub("", _MENTION.sub("", content))
    message.set_text(content)


def _mentions(data: JSON) -> tuple[set[str], dict[str, str], bool]:
    """Return the bot's own ids, those of others (a tag may hold either of two), and whether everybody was meant."""
    own: set[str] = set()
    others: dict[str, str] = {}
    everybody = False
    for mention in _objects(data, "mentions"):
        if mention.get("scope") == "all":
            everybody = True
            continue
        ids = [one for one in (_string(mention, "id"), _string(mention, "member_openid")) if one]
        if mention.get("is_you", mention.get("bot")) is True:
            own.update(ids or ("",))
        elif ids:
            others[ids[0]] = ids[-1]
    return own, others, everybody


def _read_attachments(message: Message, data: JSON, shelf: Shelf | None) -> None:
    for raw in _objects(data, "attachments"):
        attachment = _attachment(raw, shelf)
        if not attachment.url:
            continue
        message.attachments.append(attachment)
        match attachment.kind:
            case MediaKind.IMAGE:
                message.image.append(attachment.url)
            case MediaKind.VOICE:
                message.voice = attachment.url
            case MediaKind.VIDEO:
                message.video = attachment.url
            case MediaKind.FILE:
                message.files.append(File(attachment.url, attachment.name))


def _attachment(raw: JSON, shelf: Shelf | None) -> Attachment:
    content_type = _string(raw, "content_type").lower()
    url = _link(raw, "url")
    kind = _KINDS.get(content_type.partition("/")[0], MediaKind.FILE)
    if kind is MediaKind.VOICE:
        url = _link(raw, "voice_wav_url") or url
    return Attachment(
        kind=kind,
        url=url,
        name=_string(raw, "filename"),
        size=as_int(raw.get("size"), 0),
        content_type=content_type,
        width=as_int(raw.get("width"), 0),
        height=as_int(raw.get("height"), 0),
        transcript=_string(raw, "asr_refer_text"),
        _shelf=shelf,
    )


def _quoted(data: JSON) -> str:
    quoted = _scene_field(data, "ref_msg_idx") or _string(_object(data, "message_reference"), "message_id")
    if quoted:
        return quoted
    return next(filter(None, (_string(one, "msg_idx") for one in _objects(data, "msg_elements"))), "")


def _scene_field(data: JSON, key: str) -> str:
    """Return a value of ``message_scene.ext``, a list of ``key=value`` strings."""
    extra = _object(data, "message_scene").get("ext")
    if isinstance(extra, list):
        for one in extra:
            if isinstance(one, str) and one.startswith(f"{key}="):
                return one[len(key) + 1 :]
    return ""


def _link(data: JSON, key: str) -> str:
    """Return a link; the platform leaves the scheme out at times."""
    url = _string(data, key)
    if not url or "://" in url.partition("?")[0]:  # what stands in the query is another link
        return url
    return f"https:{url}" if url.startswith("//") else f"https://{url}"


def _string(data: JSON, key: str) -> str:
    value = data.get(key)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _object(data: JSON, key: str) -> JSON:
    value = data.get(key)
    return value if isinstance(value, _OBJECT) else {}


def _objects(data: JSON, key: str) -> Iterator[JSON]:
    value = data.get(key)
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, _OBJECT))
