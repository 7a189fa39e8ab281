"""Values of the QQ open platform (api v2) that client, adapter and sandbox share. No logic beyond reading them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, NewType

__all__ = (
    "DEFAULT_API_BASE",
    "DEFAULT_TOKEN_URL",
    "AppId",
    "BotUser",
    "FileInfo",
    "FileType",
    "GatewayInfo",
    "GroupOpenId",
    "Intents",
    "MsgType",
    "Opcode",
    "Scene",
    "SentMessage",
    "Target",
    "UserOpenId",
    "as_int",
)

# The pair that is canonical since 2026-08-10 (PLATFORM 1.1).
DEFAULT_API_BASE: Final = "https://api.bot.qq.com"
DEFAULT_TOKEN_URL: Final = "https://api.bot.qq.com/app/getAppAccessToken"  # noqa: S105 - an address

AppId = NewType("AppId", str)
GroupOpenId = NewType("GroupOpenId", str)
UserOpenId = NewType("UserOpenId", str)


class Scene(StrEnum):
    """Where a chat is; the value is the word in the paths (``/v2/groups/...``)."""

    GROUP = "groups"
    USER = "users"


@dataclass(frozen=True, slots=True)
class Target:
    """One chat: a group, or a user in private.

    Attributes:
        scene: Which of the two.
        openid: Its openid, as this bot knows it.
    """

    scene: Scene
    openid: str


class FileType(IntEnum):
    """`file_type` of ``/files`` (PLATFORM 2.2)."""

    IMAGE = 1
    VIDEO = 2
    VOICE = 3
    FILE = 4


class MsgType(IntEnum):
    """`msg_type` of a message (PLATFORM 3.2)."""

    TEXT = 0
    MARKDOWN = 2
    ARK = 3
    EMBED = 4
    INPUT_NOTIFY = 6
    MEDIA = 7
    CARD = 8


class Opcode(IntEnum):
    """`op` of a gateway frame (PLATFORM 4.3)."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    HTTP_CALLBACK_ACK = 12
    CALLBACK_VALIDATION = 13


class Intents:
    """Bits of `intents` (PLATFORM 4.5)."""

    GROUP_MEMBER_EVENT: Final = 1 << 24
    GROUP_AND_C2C_EVENT: Final = 1 << 25
    INTERACTION: Final = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What ``/files`` answers (PLATFORM 2.3).

    Attributes:
        file_info: Opaque; goes into `media.file_info`. Good for chats of one scene only.
        ttl_seconds: For how long; `None` when it does not expire.
        file_uuid: The platform's name for it.
        raw: The whole answer.
        trace_id: What the platform's support asks for; empty where it told none.
    """

    file_info: str
    ttl_seconds: int | None
    file_uuid: str
    raw: dict[str, Any]
    trace_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """What posting a message answers (PLATFORM 3.4); `raw` is the whole answer, `trace_id` what support asks for."""

    id: str
    raw: dict[str, Any]
    trace_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotUser:
    """The bot itself (``/users/@me``)."""

    id: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInfo:
    """What ``/gateway/bot`` answers (PLATFORM 4.2).

    Attributes:
        url: Address of the WebSocket.
        shards: How many shards the platform recommends.
        total: Identifies allowed in 24 h.
        remaining: How many of them are left.
        reset_after_seconds: Until they are counted anew.
        max_concurrency: Identifies allowed in 5 s.
    """

    url: str
    shards: int
    total: int
    remaining: int
    reset_after_seconds: float
    max_concurrency: int


def as_int(value: object, default: int) -> int:
    """Read a number that the platform writes as a number or as a digit string; `default` for anything else."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return default
    if isinstance(value, int):
        return value
    try:
        return int(value) if isinstance(value, (float, str)) else default
    except (ValueError, OverflowError):  # "soon", "", and the NaN and Infinity that Python's JSON reader lets through
        return default
