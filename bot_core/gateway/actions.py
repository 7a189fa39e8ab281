"""What a gateway session wants done: the only words between the protocol and the socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bot_core.errors import BotError
from bot_core.openapi.values import Opcode

__all__ = ("Action", "AskTurn", "Deliver", "Dispatch", "Online", "Reconnect", "Send", "Stop")


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One event, as it came.

    Attributes:
        id: Envelope's `id`; empty where there was none.
        type: Envelope's `t`, such as `GROUP_AT_MESSAGE_CREATE`.
        data: Envelope's `d`; usually a dict, but `""` for `RESUMED`.
        seq: Envelope's `s`; `None` where there was none, or the event came by webhook.
    """

    id: str
    type: str
    data: Any
    seq: int | None


@dataclass(frozen=True, slots=True)
class Send:
    """Write this text frame. It may hold the token, so it is never shown."""

    op: Opcode
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AskTurn:
    """A session is to be started: find out when, then tell the session `granted`, or `postponed`."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand this event out."""

    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class Online:
    """Events flow now: after `READY`, or after `RESUMED` (the events of the gap were delivered before it).

    Attributes:
        resumed: Which of the two.
        dispatch: That event; it is delivered as well.
    """

    resumed: bool
    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Drop the socket, if there is one, wait, and connect again.

    Attributes:
        delay: Seconds to wait.
        reason: What happened, for a person.
        resume: Whether the next connection resumes the session, or starts a new one.
        fresh_token: Whether the token of the last connection is not to be used again.
    """

    delay: float
    reason: str
    resume: bool
    fresh_token: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """It is over, and nothing that this program does can change it: raise the error."""

    error: BotError


Action: TypeAlias = Send | AskTurn | Deliver | Online | Reconnect | Stop
