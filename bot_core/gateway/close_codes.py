"""What to do when the platform closes the WebSocket, as data (PLATFORM 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ("CLOSE_CODES", "CloseAction", "CloseCode", "look_up")


class CloseAction(StrEnum):
    """What follows a close."""

    RESUME = "resume"
    WAIT_THEN_RESUME = "wait_then_resume"
    IDENTIFY = "identify"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of an action
    FEWER_INTENTS = "fewer_intents"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One close code.

    Attributes:
        number: As in the close frame.
        action: What follows.
        reason_en: Why, in English.
        reason_zh: In Chinese.
    """

    number: int
    action: CloseAction
    reason_en: str
    reason_zh: str


_ROWS: Final = (
    CloseCode(1000, CloseAction.RESUME, "the platform closed the connection", "平台关闭了连接"),
    CloseCode(
        1005, CloseAction.RESUME, "the platform closed the connection without a code", "平台关闭了连接（无状态码）"
    ),
    CloseCode(1006, CloseAction.RESUME, "the connection was cut", "连接中断"),
    CloseCode(4001, CloseAction.STOP, "the platform knows no such opcode: a bug of this program", "无效的 opcode"),
    CloseCode(
        4002, CloseAction.STOP, "the platform cannot read what was sent: a bug of this program", "无效的 payload"
    ),
    CloseCode(4004, CloseAction.REFRESH_TOKEN, "the platform refuses the access token", "access token 无效"),
    CloseCode(4006, CloseAction.IDENTIFY, "the session id is not valid any more", "无效的 session id"),
    CloseCode(4007, CloseAction.IDENTIFY, "the sequence number is not valid", "seq 错误"),
    CloseCode(4008, CloseAction.WAIT_THEN_RESUME, "too much was sent too fast", "发送 payload 过快"),
    CloseCode(4009, CloseAction.RESUME, "the connection expired, as it does every half hour or so", "连接过期"),
    CloseCode(
        4010,
        CloseAction.STOP,
        "the shard is not valid: another copy of this bot runs as the same shard, or shard_index and shards are wrong",
        "无效的 shard：该机器人的同一 shard 已在别处运行，或 shard_index、shards 有误",
    ),
    CloseCode(
        4011, CloseAction.STOP, "the bot is in too many guilds for one shard: raise shards", "需要分片，请增加 shards"
    ),
    CloseCode(4012, CloseAction.STOP, "the platform no longer speaks this version of the protocol", "无效的 version"),
    CloseCode(4013, CloseAction.FEWER_INTENTS, "the intents are not valid", "无效的 intents"),
    CloseCode(4014, CloseAction.FEWER_INTENTS, "the bot has no right to some of the intents", "intents 没有权限"),
    CloseCode(
        4914, CloseAction.STOP, "the bot is delisted and may use the sandbox only", "机器人已下架，仅可连接沙箱环境"
    ),
    CloseCode(4915, CloseAction.STOP, "the bot is banned", "机器人已封禁，请申请解封后再连接"),
    CloseCode(9001, CloseAction.IDENTIFY, "the session is not valid any more", "会话失效"),
    CloseCode(9005, CloseAction.IDENTIFY, "the session is not valid any more", "会话失效"),
    CloseCode(4902, CloseAction.IDENTIFY, "the platform refused to resume the session", "恢复会话被拒绝"),
    *(
        CloseCode(number, CloseAction.IDENTIFY, "an internal error of the platform", "平台内部错误")
        for number in range(4900, 4914)
        if number != 4902  # noqa: PLR2004 - it has a row of its own
    ),
)

CLOSE_CODES: Final[dict[int, CloseCode]] = {row.number: row for row in _ROWS}


def look_up(number: int) -> CloseCode:
    """Return what is known of a close code; an unknown one is a fault that passes."""
    known = CLOSE_CODES.get(number)
    return known or CloseCode(number, CloseAction.RESUME, "the platform closed the connection", "平台关闭了连接")
