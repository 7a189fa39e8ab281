"""What a message must look like (PLATFORM 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bot_core.openapi.values import MsgType, Scene, as_int
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError
from bot_core.sandbox._options import SandboxOptions

__all__ = ("message_content", "message_type")

_TYPE_AND_CONTENT_DIFFER: Final = 22006
_EMPTY: Final = 50006
_MARKDOWN_WITH_OTHER: Final = 50037
_LINK_IN_TEXT: Final = 40054010
_TOO_LONG: Final = 40054007

_MOST_INPUT_SECONDS: Final = 60

_LINK: Final = re.compile(r"https?://", re.IGNORECASE)

_NEEDS: Final = {
    MsgType.MARKDOWN: "markdown",
    MsgType.ARK: "ark",
    MsgType.INPUT_NOTIFY: "input_notify",
    MsgType.MEDIA: "media",
    MsgType.CARD: "card",
}

_OBJECTS: Final = frozenset(_NEEDS.values())
_TYPES: Final[Mapping[int, MsgType]] = {msg_type.value: msg_type for msg_type in MsgType}

# Embeds are for guilds.
_ONLY_IN: Final = {MsgType.EMBED: None, MsgType.INPUT_NOTIFY: Scene.USER, MsgType.CARD: Scene.GROUP}


def message_type(body: dict[str, Any], scene: Scene) -> MsgType:
    """Return the type, once what it needs is there and nothing of another type is.

    Raises:
        RefusedCallError: 22006, or 12002.
    """
    given = body.get("msg_type", 0)
    msg_type = _TYPES.get(given) if isinstance(given, int) else None
    if msg_type is None:
        raise _differ(f"msg_type {given!r} is not known")
    if msg_type in _ONLY_IN and _ONLY_IN[msg_type] is not scene:
        raise _differ(f"msg_type {msg_type.value} is not for {scene}")
    needed = _NEEDS.get(msg_type)
    if needed is not None and not isinstance(body.get(needed), dict):
        raise _differ(f"msg_type {msg_type.value} needs the object `{needed}`")
    for other in _OBJECTS.intersection(body):
        if other != needed and body[other]:
            raise _differ(f"msg_type {msg_type.value} and `{other}` do not go together")
    if msg_type is MsgType.INPUT_NOTIFY:
        seconds = as_int(body["input_notify"].get("input_second"), 0)
        if not 1 <= seconds <= _MOST_INPUT_SECONDS:
            raise RefusedCallError(400, BODY_ERROR, "input_second must be 1 to 60")
    body["msg_type"] = msg_type.value
    return msg_type


def message_content(msg_type: MsgType, body: dict[str, Any], scene: Scene, options: SandboxOptions) -> str:
    """Return the text of a message; markdown as it was written.

    Raises:
        RefusedCallError: It is empty, too long, has a link, or stands beside markdown.
    """
    content = body.get("content")
    if content is not None and not isinstance(content, str):
        raise RefusedCallError(400, BODY_ERROR, "content must be a string")
    text = content or ""
    if msg_type is MsgType.TEXT and not text.strip():
        raise RefusedCallError(400, _EMPTY, "the message is empty")
    if msg_type is MsgType.MARKDOWN:
        if text.strip():
            raise RefusedCallError(400, _MARKDOWN_WITH_OTHER, "content must be empty beside markdown")
        text = str(body["markdown"].get("content") or "")
    elif text and scene is Scene.GROUP and options.refuse_links and _LINK.search(text):
        raise RefusedCallError(400, _LINK_IN_TEXT, "the text has a link that is not registered")
    if options.text_limit and len(text) > options.text_limit:
        raise RefusedCallError(400, _TOO_LONG, f"the text has {len(text)} characters, allowed are {options.text_limit}")
    return text


def _differ(message: str) -> RefusedCallError:
    return RefusedCallError(400, _TYPE_AND_CONTENT_DIFFER, message)
