"""``stream_messages``: a text that grows while people watch (PLATFORM 3.6)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from bot_core.openapi.values import MsgType, Target, as_int
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError, encode, parse_object
from bot_core.sandbox._ids import Names
from bot_core.sandbox._messages import Incoming, MessageDesk
from bot_core.sandbox._options import SandboxOptions

__all__ = ("StreamDesk",)

_PIECE_DOES_NOT_FIT: Final = 40007

_GROWING: Final = 1
_DONE: Final = 10

# How long a text may grow; the platform tells what is left, its number is not known.
_MOST_CHARACTERS: Final = 20_000

# Streams that are never ended are forgotten beyond this.
_MOST_STREAMS: Final = 1000


@dataclass(slots=True)
class _Stream:
    id: str
    appid: str
    target: Target
    context: tuple[object, object, int]
    incoming: Incoming | None
    text: str = ""
    index: int = -1


class StreamDesk:
    """All texts that are growing."""

    def __init__(self, options: SandboxOptions, names: Names, messages: MessageDesk) -> None:
        self._options = options
        self._names = names
        self._messages = messages
        self._streams: OrderedDict[str, _Stream] = OrderedDict()

    def post(self, appid: str, target: Target, raw: bytes) -> bytes:
        """Take one piece; the message arrives with the last one.

        Raises:
            RefusedCallError: 40007, the piece does not go with those before it; or as for a message.
        """
        body = parse_object(raw)
        content, state = body.get("content_raw"), body.get("input_state")
        if not isinstance(content, str) or state not in (_GROWING, _DONE):
            raise RefusedCallError(400, BODY_ERROR, "content_raw must be a string, and input_state 1 or 10")
        if body.get("input_mode", "append") not in ("append", "replace"):
            raise _misfit(f"input_mode {body['input_mode']!r} is not known")
        context = (body.get("msg_id"), body.get("event_id"), as_int(body.get("msg_seq"), 1))
        stream = self._find(appid, target, body, context)
        self._grow(stream, body, content)
        if state == _DONE:
            self._streams.pop(stream.id, None)
            whole = {**body, "msg_type": MsgType.MARKDOWN.value, "markdown": {"content": stream.text}}
            self._messages.end(appid, target, whole, stream.incoming, stream.id)
        return encode({
            "id": stream.id,
            "timestamp": self._messages.timestamp(self._options.clock()),
            "remain_msg_len": _MOST_CHARACTERS - len(stream.text),
        })  # fmt: skip

    def _find(self, appid: str, target: Target, body: dict[str, Any], context: tuple[object, object, int]) -> _Stream:
        stream_id = body.get("stream_msg_id")
        if stream_id:
            stream = self._streams.get(stream_id) if isinstance(stream_id, str) else None
            if stream is None or (stream.appid, stream.target, stream.context) != (appid, target, context):
                raise _misfit("stream_msg_id is not a stream of this chat, msg_id and msg_seq")
            return stream
        if body.get("index") != 0:
            raise _misfit("the first piece has index 0, the others have the stream_msg_id that its answer gave")
        incoming = self._messages.begin(appid, target, body)
        stream = _Stream(self._names.message(), appid, target, context, incoming)
        self._streams[stream.id] = stream
        if len(self._streams) > _MOST_STREAMS:
            self._streams.popitem(last=False)
        return stream

    @staticmethod
    def _grow(stream: _Stream, body: dict[str, Any], content: str) -> None:
        if body.get("index") != stream.index + 1:
            raise _misfit(f"index is {body.get('index')!r}, next is {stream.index + 1}")
        text = content if body.get("input_mode") == "replace" else stream.text + content
        if not text.startswith(stream.text):
            raise _misfit("a replaced text must begin with what was there")
        if len(text) > _MOST_CHARACTERS:
            raise _misfit(f"the text has {len(text)} characters, allowed are {_MOST_CHARACTERS}")
        stream.text = text
        stream.index += 1


def _misfit(message: str) -> RefusedCallError:
    return RefusedCallError(400, _PIECE_DOES_NOT_FIT, message)
