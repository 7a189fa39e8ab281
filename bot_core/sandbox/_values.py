"""What the sandbox tells about a conversation: what was said, what arrived, what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bot_core.openapi.values import FileType, Target
from bot_core.sandbox._media import StoredMedia

__all__ = (
    "Acknowledged",
    "Arrived",
    "ArrivedMedia",
    "ArrivedPicture",
    "Connection",
    "Happening",
    "Recalled",
    "Refused",
    "Said",
    "Undelivered",
    "UploadCall",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One event that was sent to a bot.

    Attributes:
        id: What the bot answers to: the `d.id` of a message, the envelope's id of another event.
        event_id: Id of the envelope.
        event_name: For example `GROUP_AT_MESSAGE_CREATE`.
        appid: The bot.
        target: The chat, as this bot knows it; `None` for an event that belongs to none.
        chat: The chat's name here; the user's name in a private chat.
        user: Who spoke.
        text: What was said.
        connected: Whether the bot was connected. If not, it gets the event when it resumes its session.
        at: Wall clock, in seconds.
        monotonic: `time.perf_counter()` when the event was handed to the connection.
    """

    id: str
    event_id: str
    event_name: str
    appid: str
    target: Target | None
    chat: str
    user: str
    text: str
    connected: bool
    at: float
    monotonic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedMedia:
    """A medium as the platform got it.

    Attributes:
        file_type: What the bot declared it to be.
        way: How it came: `url`, `file_data` or `upload_id`.
        url: What was fetched, if it came by URL.
        size: In bytes.
        content_type: By the magic bytes.
        sha256: Of the bytes.
        file_name: What the bot named it.
        as_card: Over the soft limit of its type, so that people see a file card.
        raw_request: Body of the ``/files`` call, with `file_data` shortened.
    """

    file_type: FileType
    way: str
    url: str | None
    size: int
    content_type: str
    sha256: str
    file_name: str
    as_card: bool
    raw_request: Mapping[str, Any] = field(repr=False)
    stored: StoredMedia = field(repr=False)

    async def read(self) -> bytes:
        """Return the bytes.

        Raises:
            SandboxError: They were dropped for newer ones (`media_total_bytes`), or the sandbox is closed.
        """
        return await self.stored.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedPicture:
    """A picture in markdown, as people see it.

    Attributes:
        text: In the brackets, with the size if one was given.
        url: As it was written.
        size: In bytes.
        content_type: By the magic bytes.
        sha256: Of the bytes.
    """

    text: str
    url: str
    size: int
    content_type: str
    sha256: str
    stored: StoredMedia = field(repr=False)

    async def read(self) -> bytes:
        """Return the bytes.

        Raises:
            SandboxError: They were dropped for newer ones (`media_total_bytes`), or the sandbox is closed.
        """
        return await self.stored.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message that a bot sent.

    Attributes:
        number: Counts all arrivals of this sandbox from 1.
        id: What the platform calls the message.
        appid: The bot.
        target: Where it went.
        chat: The chat's name here, or its openid when nobody has spoken in it.
        msg_id: Which message it answers, or `None`.
        event_id: Which event it answers, or `None`; with neither it is a proactive message.
        msg_seq: Its number among the answers.
        msg_type: As in PLATFORM 3.2.
        content: The text that people see; markdown as it was written. Text beside a video, a voice or a file card is
            not shown.
        media: The medium, if any.
        pictures: Pictures in its markdown.
        body: The whole request.
        at: Wall clock, in seconds.
        monotonic: `time.perf_counter()` when it had arrived whole.
    """

    number: int
    id: str
    appid: str
    target: Target
    chat: str
    msg_id: str | None
    event_id: str | None
    msg_seq: int
    msg_type: int
    content: str
    media: ArrivedMedia | None
    pictures: tuple[ArrivedPicture, ...] = ()
    body: Mapping[str, Any] = field(repr=False)
    at: float
    monotonic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that was refused.

    Attributes:
        kind: Which call: `messages`, `files`, `token` and so on.
        path: Its path.
        status: HTTP status of the answer.
        code: The platform's code; 0 if the answer had none.
        message: Why.
        appid: Who called, if that is known.
        at: Wall clock, in seconds.
    """

    kind: str
    path: str
    status: int
    code: int
    message: str
    appid: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCall:
    """One request that has to do with media, as it came: to the API, or to a presigned address.

    Attributes:
        kind: Which call: `files`, `upload_prepare`, `upload_part`, `upload_part_finish` and so on.
        method: Of HTTP.
        url: Path and query.
        headers: As they came, in their order; a token among them is a real one.
        size: `Content-Length`, or -1.
        status: HTTP status of the answer; 0 if the connection was cut.
        parallel: How many of its kind were under way when it came, itself included.
        at: Wall clock, in seconds, when it was answered.
    """

    kind: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    size: int
    status: int
    parallel: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A message was taken back; `id` as in `Arrived` or `Said`."""

    id: str
    appid: str
    target: Target
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A pressed button was acknowledged.

    Attributes:
        id: Of the interaction.
        appid: The bot.
        code: The bot's answer: 0 ok, 1 failed, 2 too often, 3 repeated, 4 no right, 5 admins only.
        seconds: How long it took.
        in_time: Whether it took less than `interaction_seconds`, by the sandbox's clock; else people saw a failure.
    """

    id: str
    appid: str
    code: int
    seconds: float
    in_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A bot's connection changed.

    Attributes:
        appid: The bot; empty if it never said who it is.
        state: `ready`, `resumed`, `refused` or `closed`.
        shard: Index and count.
        session_id: The session.
        why: For `refused` and `closed`: the reason, with the close code where there is one.
        at: Wall clock, in seconds.
    """

    appid: str
    state: str
    shard: tuple[int, int]
    session_id: str
    why: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A webhook did not take an event, this time.

    Attributes:
        appid: The bot.
        event_id: Of the event.
        url: The address.
        number: Counts the requests for this event from 1.
        last: Whether it was the last one: the event is given up.
        why: What came instead of an ACK.
        at: Wall clock, in seconds.
    """

    appid: str
    event_id: str
    url: str
    number: int
    last: bool
    why: str
    at: float


Happening: TypeAlias = Said | Arrived | Refused | Recalled | Acknowledged | Connection | Undelivered
"""What a listener hears."""
