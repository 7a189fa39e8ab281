"""One chain on its way to a chat: what is set aside for it, what became of each message, and what comes of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bot_core.adapter import MessageHandle
from bot_core.errors import (
    AuthenticationError,
    OpenAPIError,
    PartlySentError,
    PermissionDeniedError,
    ReplyContextError,
    TargetError,
)

if TYPE_CHECKING:
    from bot_core.message import Message
    from bot_core.openapi.values import Target
    from bot_core.qq_group.builders import Builder
    from bot_core.qq_group.markdown_images import Shown
    from bot_core.qq_group.reply import ReplyContext

__all__ = ("Run", "is_hopeless", "not_in_time", "result_of")

# After one of these the other messages of the chain would fare no better.
_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, ReplyContextError, TargetError)


@dataclass(slots=True)
class Run:
    """One chain on its way.

    Attributes:
        data: The message that the author answers with it.
        target: Where to.
        context: What it answers, if anything.
        places: Replies that are set aside for it, and not used yet.
        timeout: What the caller allows for each message.
        outcomes: What became of each message, in order.
        planned: How many messages there are to be.
        builder: The chain's own.
        shown: By position, of messages with pictures in markdown: what the author wrote, and what it became.
    """

    data: Message | None
    target: Target
    context: ReplyContext | None
    places: int = 0
    timeout: float | None = None
    outcomes: list[MessageHandle | Exception] = field(default_factory=list)
    planned: int = 0
    builder: Builder | None = None
    shown: dict[int, tuple[str, Shown]] = field(default_factory=dict)


def not_in_time(what: str, run: Run) -> OpenAPIError:
    """Return the error for what did not end within the caller's own limit."""
    return OpenAPIError(f"{what} within {run.timeout:g} s, so the message was not sent; give send() a longer timeout")


def is_hopeless(error: Exception, run: Run) -> bool:
    """Return whether the other messages would fare no better; where one finds no reply left, others may have theirs."""
    return isinstance(error, _HOPELESS) and not (isinstance(error, ReplyContextError) and run.places)


def result_of(run: Run) -> list[MessageHandle]:
    """Return the handles, or raise what went wrong."""
    handles = [one for one in run.outcomes if isinstance(one, MessageHandle)]
    errors = [one for one in run.outcomes if isinstance(one, Exception)]
    if not errors:
        return handles
    if not handles:
        raise errors[0]
    became = [str(one) if isinstance(one, Exception) else "sent" for one in run.outcomes]
    became += ["not tried"] * (run.planned - len(became))
    lines = "; ".join(f"{position}: {one}" for position, one in enumerate(became, 1))
    raise PartlySentError(
        f"{len(handles)} of {run.planned} messages were sent - {lines}", handles=handles, errors=errors
    ) from errors[0]
