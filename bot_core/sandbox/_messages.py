"""`/messages`: checks an answer as the platform does, and lets it arrive (PLATFORM 3)."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final

from bot_core.openapi.values import FileType, MsgType, Scene, Target, as_int
from bot_core.sandbox._answers import RefusedCallError, encode, parse_object
from bot_core.sandbox._events import platform_time
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._ids import Directory, Names
from bot_core.sandbox._limits import SpeechLimits
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._pictures import PictureDesk
from bot_core.sandbox._record import Record
from bot_core.sandbox._shapes import message_content, message_type
from bot_core.sandbox._signal import Signal
from bot_core.sandbox._values import Acknowledged, Arrived, ArrivedMedia, ArrivedPicture, Recalled, Said

__all__ = ("Incoming", "MessageDesk")

_DUPLICATE: Final = 40054005
_MSG_ID_UNKNOWN: Final = 40034024
_EVENT_ID_UNKNOWN: Final = 40034025
_WINDOW_OVER: Final = 40034005
_REPLIES_USED_UP: Final = 40034128
_RECALL_UNKNOWN: Final = 40061001
_RECALL_TOO_LATE: Final = 40064004

_INTERACTION_UNKNOWN: Final = 630001

INTERACTION: Final = "INTERACTION_CREATE"

_NO_PROACTIVE: Final = {Scene.GROUP: 40034105, Scene.USER: 40054013}
_HELD_FOR_AUDIT: Final = 304023

_ACCEPTED_STATUS: Final = 202
_OK_STATUS: Final = 200

_RECALL_SECONDS: Final = 120

# How long a pressed button can be answered; group and private messages have their own windows in the options.
_INTERACTION_SECONDS: Final = 30 * 60


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
        self,
        options: SandboxOptions,
        names: Names,
        directory: Directory,
        record: Record,
        *,
        files: FileDesk,
        pictures: PictureDesk,
    ) -> None:
        self._options = options
        self._names = names
        self._directory = directory
        self._files = files
        self._pictures = pictures
        self._record = record
        self._limits = SpeechLimits(options.limits, options.clock)
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

    async def post(self, appid: str, target: Target, raw: bytes) -> tuple[int, bytes]:
        """Take one message; return status and body of the answer.

        Raises:
            RefusedCallError: With the platform's code.
        """
        body = parse_object(raw)
        msg_type = message_type(body, target.scene)
        content = message_content(msg_type, body, target.scene, self._options)
        pictures: tuple[ArrivedPicture, ...] = ()
        if msg_type is MsgType.MARKDOWN and "](" in content:
            pictures = await self._pictures.find(appid, content)
        # from here to the arrival nothing is awaited, so that two answers cannot take the same number
        incoming = self._admit(appid, target, body)
        media = None
        if msg_type == MsgType.MEDIA:
            media = self._files.lookup(appid, target.scene, body["media"].get("file_info"))
            if media.file_type is not FileType.IMAGE or media.as_card:
                content = ""  # people do not see it
        if self._limits:
            self._limits.check(appid, target, proactive=incoming is None)
        if self._options.audit == "reject":
            return self._audited()
        arrived = self._arrive(appid, target, body, incoming=incoming, content=content, media=media, pictures=pictures)
        if self._options.audit:
            return self._audited()
        moment, reference = self.timestamp(arrived.at), self._names.reference()
        # Written by hand: nothing in it needs escaping, and this is the path that benchmarks measure.
        answer = f'{{"id":"{arrived.id}","timestamp":"{moment}","ext_info":{{"ref_idx":"{reference}"}}}}'
        return _OK_STATUS, answer.encode()

    def begin(self, appid: str, target: Target, body: dict[str, Any]) -> Incoming | None:
        """Let a stream begin: it is one answer, and counts from now on.

        Raises:
            RefusedCallError: As for a message.
        """
        incoming = self._admit(appid, target, body)
        if self._limits:
            self._limits.check(appid, target, proactive=incoming is None)
        if incoming is not None:
            _count(incoming, as_int(body.get("msg_seq"), 1))
        return incoming

    def end(self, appid: str, target: Target, body: dict[str, Any], incoming: Incoming | None, message_id: str) -> None:
        """Let the text of a stream arrive."""
        content = body["markdown"]["content"]
        self._arrive(appid, target, body, incoming=incoming, content=content, media=None, stream_id=message_id)

    def send_file(self, appid: str, target: Target, media: ArrivedMedia) -> str:
        """Let a file arrive by itself (`srv_send_msg`); return the id of the message.

        Raises:
            RefusedCallError: Too many messages go out unasked.
        """
        self._admit(appid, target, {})
        if self._limits:
            self._limits.check(appid, target, proactive=True)
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
        in_time = self._options.clock() - incoming.said.at <= self._options.interaction_seconds
        self._record.note(
            Acknowledged(id=interaction_id, appid=appid, code=as_int(code, 0), seconds=seconds, in_time=in_time)
        )

    def _when_sent(self, appid: str, target: Target, message_id: str) -> float | None:
        sent = self._sent.get(message_id)
        if sent is not None:
            return sent[2] if sent[:2] == (appid, target) else None
        incoming = self._incoming.get(message_id) if target.scene is Scene.GROUP else None
        if incoming is not None and (incoming.said.appid, incoming.said.target) == (appid, target):
            return incoming.said.at
        return None

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

    def _admit(self, appid: str, target: Target, body: dict[str, Any]) -> Incoming | None:
        """Return what a message answers, once it may; `None` for one that comes unasked, where that is allowed."""
        incoming = self._find_incoming(appid, target, body)
        if incoming is not None:
            self._check_reply(incoming, target.scene, as_int(body.get("msg_seq"), 1))
        elif not self._options.proactive:
            raise RefusedCallError(
                400, _NO_PROACTIVE[target.scene], "messages that answer nothing are not allowed here"
            )
        return incoming

    def _audited(self) -> tuple[int, bytes]:
        audit = {"message_audit": {"audit_id": self._names.trace()}}
        body = {"code": _HELD_FOR_AUDIT, "message": "push message is waiting for audit now", "data": audit}
        return _ACCEPTED_STATUS, encode(body)

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
        pictures: tuple[ArrivedPicture, ...] = (),
        stream_id: str = "",
    ) -> Arrived:
        now = self._options.clock()
        known = self._directory.known(target.openid)
        arrived = Arrived(
            number=self._record.next_number(),
            id=stream_id or self._names.message(),
            appid=appid,
            target=target,
            chat=known.name if known else target.openid,
            msg_id=body.get("msg_id") or None,
            event_id=body.get("event_id") or None,
            msg_seq=as_int(body.get("msg_seq"), 1),
            msg_type=body["msg_type"],
            content=content,
            media=media,
            pictures=pictures,
            body=body,
            at=now,
            monotonic=time.perf_counter(),
        )
        self._sent[arrived.id] = (appid, target, now)
        if len(self._sent) > self._options.remembered_messages:
            self._sent.popitem(last=False)
        if incoming is not None:  # only an answer that arrived uses up its number
            if not stream_id:  # a stream was counted when it began
                _count(incoming, arrived.msg_seq)
            incoming.answers.append(arrived)
            incoming.answered.fire()
        self._record.note(arrived)
        return arrived

    def timestamp(self, now: float) -> str:
        """Return a moment as the platform writes it."""
        second = int(now)
        if second != self._second:
            self._second, self._timestamp = second, platform_time(second)
        return self._timestamp


def _count(incoming: Incoming, seq: int) -> None:
    incoming.seqs.add(seq)
    incoming.replies += 1
