"""`/messages`: checks an answer as the platform does, and lets it arrive (PLATFORM 3)."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from bot_core.openapi.values import FileType, MsgType, Scene, Target, as_int
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError, parse_object
from bot_core.sandbox._events import platform_time
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._ids import Directory, Names
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._record import Record
from bot_core.sandbox._signal import Signal
from bot_core.sandbox._values import Acknowledged, Arrived, ArrivedMedia, Recalled, Said

__all__ = ("Incoming", "MessageDesk")

_TYPE_AND_CONTENT_DIFFER: Final = 22006
_EMPTY: Final = 50006
_MARKDOWN_WITH_OTHER: Final = 50037
_LINK_IN_TEXT: Final = 40054010
_DUPLICATE: Final = 40054005
_MSG_ID_UNKNOWN: Final = 40034024
_EVENT_ID_UNKNOWN: Final = 40034025
_WINDOW_OVER: Final = 40034005
_REPLIES_USED_UP: Final = 40034128
_RECALL_UNKNOWN: Final = 40061001
_RECALL_TOO_LATE: Final = 40064004

_INTERACTION_UNKNOWN: Final = 630001

INTERACTION: Final = "INTERACTION_CREATE"

_RECALL_SECONDS: Final = 120
_MOST_INPUT_SECONDS: Final = 60

# How long a pressed button can be answered; group and private messages have their own windows in the options.
_INTERACTION_SECONDS: Final = 30 * 60

_LINK: Final = re.compile(r"https?://", re.IGNORECASE)


class Incoming:
    """One event that a bot can answer, and its answers so far."""

    __slots__ = ("answered", "answers", "replies", "said", "seqs")

    def __init__(self, said: Said) -> None:
        self.said = said
        self.replies = 0
        self.seqs: set[int] = set()
        self.answers: list[Arrived] = []
        self.answered = Signal()


class MessageDesk:
    """All messages of all bots, in both directions."""

    def __init__(
        self, options: SandboxOptions, names: Names, directory: Directory, files: FileDesk, record: Record
    ) -> None:
        self._options = options
        self._names = names
        self._directory = directory
        self._files = files
        self._record = record
        self._incoming: OrderedDict[str, Incoming] = OrderedDict()
        self._sent: OrderedDict[str, tuple[str, Target, float]] = OrderedDict()
        self._second = 0
        self._timestamp = ""

    def heard(self, said: Said) -> None:
        """Let an event be answered: by its message id, or by the id of its envelope."""
        incoming = self._incoming[said.id] = Incoming(said)
        self._incoming[said.event_id] = incoming
        while len(self._incoming) > 2 * self._options.remembered_messages:
            self._incoming.popitem(last=False)

    def answers_to(self, said: Said) -> Incoming | None:
        """Return the answers to what was said, as long as it is remembered."""
        return self._incoming.get(said.id)

    def post(self, appid: str, target: Target, raw: bytes) -> bytes:
        """Take one message; return the body of the answer.

        Raises:
            RefusedCallError: With the platform's code.
        """
        body = parse_object(raw)
        msg_type = _message_type(body, target.scene)
        content = self._check_content(msg_type, body, target.scene)
        seq = as_int(body.get("msg_seq"), 1)
        incoming = self._find_incoming(appid, target, body)
        if incoming is not None:
            self._check_reply(incoming, target.scene, seq)
        media = None
        if msg_type == MsgType.MEDIA:
            media = self._files.lookup(appid, target.scene, body["media"].get("file_info"))
            if media.file_type is not FileType.IMAGE:
                content = ""  # people do not see it
        arrived = self._arrive(appid, target, body, incoming=incoming, content=content, media=media)
        moment, reference = self._now_text(arrived.at), self._names.reference()
        # Written by hand: nothing in it needs escaping, and this is the path that benchmarks measure.
        return f'{{"id":"{arrived.id}","timestamp":"{moment}","ext_info":{{"ref_idx":"{reference}"}}}}'.encode()

    def send_file(self, appid: str, target: Target, media: ArrivedMedia) -> str:
        """Let a file arrive by itself (`srv_send_msg`); return the id of the message."""
        body = {"msg_type": MsgType.MEDIA.value, "srv_send_msg": True}
        return self._arrive(appid, target, body, incoming=None, content="", media=media).id

    def recall(self, appid: str, target: Target, message_id: str) -> None:
        """Take a message back: one of the bot's own, or one that a member of a group wrote.

        Raises:
            RefusedCallError: It is not known, or older than two minutes.
        """
        at = self._when_sent(appid, target, message_id)
        if at is None:
            raise RefusedCallError(400, _RECALL_UNKNOWN, "the message is not known in this chat")
        now = self._options.clock()
        if now - at > _RECALL_SECONDS:
            raise RefusedCallError(400, _RECALL_TOO_LATE, "the message is older than 2 minutes")
        self._record.note(Recalled(id=message_id, appid=appid, target=target, at=now))

    def acknowledge(self, appid: str, interaction_id: str, code: object) -> None:
        """Take the acknowledgement of a pressed button.

        Raises:
            RefusedCallError: The bot was told of no such interaction.
        """
        incoming = self._incoming.get(interaction_id)
        if incoming is None or incoming.said.appid != appid or incoming.said.event_name != INTERACTION:
            raise RefusedCallError(400, _INTERACTION_UNKNOWN, "the interaction is not known")
        seconds = time.perf_counter() - incoming.said.monotonic
        self._record.note(Acknowledged(id=interaction_id, appid=appid, code=as_int(code, 0), seconds=seconds))

    def _when_sent(self, appid: str, target: Target, message_id: str) -> float | None:
        sent = self._sent.get(message_id)
        if sent is not None:
            return sent[2] if sent[:2] == (appid, target) else None
        incoming = self._incoming.get(message_id) if target.scene is Scene.GROUP else None
        if incoming is not None and (incoming.said.appid, incoming.said.target) == (appid, target):
            return incoming.said.at
        return None

    def _check_content(self, msg_type: MsgType, body: dict[str, Any], scene: Scene) -> str:
        content = body.get("content")
        if content is not None and not isinstance(content, str):
            raise RefusedCallError(400, BODY_ERROR, "content must be a string")
        text = content or ""
        if msg_type is MsgType.TEXT and not text.strip():
            raise RefusedCallError(400, _EMPTY, "the message is empty")
        if msg_type is MsgType.MARKDOWN:
            if text.strip():
                raise RefusedCallError(400, _MARKDOWN_WITH_OTHER, "content must be empty beside markdown")
            return str(body["markdown"].get("content") or "")
        if text and scene is Scene.GROUP and self._options.refuse_links and _LINK.search(text):
            raise RefusedCallError(400, _LINK_IN_TEXT, "the text has a link that is not registered")
        return text

    def _find_incoming(self, appid: str, target: Target, body: dict[str, Any]) -> Incoming | None:
        for field, code in (("msg_id", _MSG_ID_UNKNOWN), ("event_id", _EVENT_ID_UNKNOWN)):
            given = body.get(field)
            if not given:
                continue
            incoming = self._incoming.get(given) if isinstance(given, str) else None
            if incoming is None or incoming.said.appid != appid or incoming.said.target != target:
                raise RefusedCallError(400, code, f"{field} is not known in this chat")
            return incoming
        return None

    def _check_reply(self, incoming: Incoming, scene: Scene, seq: int) -> None:
        options = self._options
        if seq in incoming.seqs:
            raise RefusedCallError(400, _DUPLICATE, f"an answer with msg_seq {seq} is already there")
        if scene is Scene.GROUP:
            window, most = options.group_window_seconds, options.group_replies
        else:
            window, most = options.user_window_seconds, options.user_replies
        if incoming.said.event_name == INTERACTION:
            window = _INTERACTION_SECONDS
        if options.clock() - incoming.said.at > window:
            raise RefusedCallError(400, _WINDOW_OVER, f"the message is older than {window:g} s, it cannot be answered")
        if incoming.replies >= most:
            raise RefusedCallError(400, _REPLIES_USED_UP, f"the message has its {most} answers already")

    def _arrive(
        self,
        appid: str,
        target: Target,
        body: dict[str, Any],
        *,
        incoming: Incoming | None,
        content: str,
        media: ArrivedMedia | None,
    ) -> Arrived:
        now = self._options.clock()
        known = self._directory.known(target.openid)
        arrived = Arrived(
            number=self._record.next_number(),
            id=self._names.message(),
            appid=appid,
            target=target,
            chat=known.name if known else target.openid,
            msg_id=body.get("msg_id") or None,
            event_id=body.get("event_id") or None,
            msg_seq=as_int(body.get("msg_seq"), 1),
            msg_type=body["msg_type"],
            content=content,
            media=media,
            body=body,
            at=now,
            monotonic=time.perf_counter(),
        )
        self._sent[arrived.id] = (appid, target, now)
        if len(self._sent) > self._options.remembered_messages:
            self._sent.popitem(last=False)
        if incoming is not None:  # only an answer that arrived uses up its number
            incoming.seqs.add(arrived.msg_seq)
            incoming.replies += 1
            incoming.answers.append(arrived)
            incoming.answered.fire()
        self._record.note(arrived)
        return arrived

    def _now_text(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._second, self._timestamp = second, platform_time(second)
        return self._timestamp


def _message_type(body: dict[str, Any], scene: Scene) -> MsgType:
    """Return the type, once what it needs is there and nothing of another type is."""
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


def _differ(message: str) -> RefusedCallError:
    return RefusedCallError(400, _TYPE_AND_CONTENT_DIFFER, message)
