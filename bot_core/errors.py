"""Everything that `bot_core` raises on purpose.

::

    BotError
    ├── OpenAPIError                the platform refused a call: code, err_code, trace_id, status, path
    │   ├── AuthenticationError     appid, secret or token; fatal at login
    │   ├── RateLimitedError        too fast, for now
    │   ├── ReplyContextError       the reply window or count of this message is used up
    │   ├── TargetError             group or user gone, muted, not a friend, refuses the bot
    │   ├── PermissionDeniedError   the bot lacks a right, or its IP is not on the allow-list
    │   ├── PayloadError            the message itself is refused
    │   ├── QuotaError              a daily or per-chat allowance is used up
    │   └── MediaRefusedError       format, size, or the platform could not fetch the URL
    ├── PartlySentError             some messages of a chain went out, some did not
    ├── GatewayError                the connection ended for a reason that does not pass
    ├── SandboxError                the sandbox cannot do what it was asked for
    ├── WaitEventCancel             another conversation of this user ended the wait
    └── WaitEventOutOfFocus         another conversation in this group took the wait over

Which code belongs to which class is data: `bot_core.openapi.codes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

__all__ = (
    "AuthenticationError",
    "BotError",
    "GatewayError",
    "MediaRefusedError",
    "OpenAPIError",
    "PartlySentError",
    "PayloadError",
    "PermissionDeniedError",
    "QuotaError",
    "RateLimitedError",
    "ReplyContextError",
    "SandboxError",
    "TargetError",
    "WaitEventCancel",
    "WaitEventOutOfFocus",
)


class BotError(Exception):
    """The root of the tree: `except BotError` catches whatever this package raises on purpose."""


class OpenAPIError(BotError):
    """The platform refused a call, or answered in a way that cannot be understood.

    Attributes:
        code: The platform's `code`, or `None` when the answer had none.
        err_code: The platform's `err_code`; it may differ from `code` (both are live, PLATFORM 1.4).
        trace_id: What the platform's support asks for, from the header ``X-Tps-trace-ID`` or the body.
        status: HTTP status, or `None` when no answer came (time-out, connection refused, cut).
        path: Path of the call, without any secret.
        retry_after: Seconds after which the platform wants to be asked again, where it said so.
    """

    def __init__(
        self,
        text: str,
        *,
        code: int | None = None,
        err_code: int | None = None,
        trace_id: str | None = None,
        status: int | None = None,
        path: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.err_code = err_code
        self.trace_id = trace_id
        self.status = status
        self.path = path
        self.retry_after = retry_after
        super().__init__(text)

    @property
    def codes(self) -> frozenset[int]:
        """Every code that the answer named; classify on any of them."""
        return frozenset(code for code in (self.code, self.err_code) if code)

    def retold(self, text: str) -> Self:
        """Return the same error in other words."""
        return type(self)(
            text,
            code=self.code,
            err_code=self.err_code,
            trace_id=self.trace_id,
            status=self.status,
            path=self.path,
            retry_after=self.retry_after,
        )

    @property
    def ambiguous(self) -> bool:
        """Whether the call may have been carried out all the same: no answer came, or a proxy answered for it."""
        return self.status is None or self.status in {502, 504}


class AuthenticationError(OpenAPIError):
    """The platform does not accept appid, secret or token."""


class RateLimitedError(OpenAPIError):
    """Too many calls for now; wait, then try again."""


class ReplyContextError(OpenAPIError):
    """The message can no longer be answered: its reply window or its number of replies is used up."""


class TargetError(OpenAPIError):
    """The group or user is gone, muted the bot, or is not reachable for it."""


class PermissionDeniedError(OpenAPIError):
    """The bot lacks a right for this call, or calls from an address that is not on its allow-list."""


class PayloadError(OpenAPIError):
    """The platform refuses what was sent: empty, too long, a link, a wrong field."""


class QuotaError(OpenAPIError):
    """An allowance (messages a day, upload volume) is used up."""


class MediaRefusedError(OpenAPIError):
    """The platform does not take this medium: format, size, or it could not fetch the URL."""


class PartlySentError(BotError):
    """Some messages of a chain went out, some did not; the text says what happened to each.

    Attributes:
        handles: Of the messages that went out (`bot_core.adapter.MessageHandle`).
        errors: Why the others did not, in their order.
    """

    def __init__(self, text: str, *, handles: Sequence[Any] = (), errors: Sequence[Exception] = ()) -> None:
        self.handles = list(handles)
        self.errors = list(errors)
        super().__init__(text)


class GatewayError(BotError):
    """The connection to the platform ended for a reason that does not pass by itself.

    Attributes:
        close_code: WebSocket close code of the platform, if it was one.
    """

    def __init__(self, text: str, *, close_code: int | None = None) -> None:
        self.close_code = close_code
        super().__init__(text)


class SandboxError(BotError):
    """The sandbox cannot do what it was asked for: no bot is connected, a medium is not kept any more."""


class WaitEventCancel(BotError):  # noqa: N818 - AmiyaBot's name, caught by bots
    """A `Message.wait` ended because the same user began another conversation."""


class WaitEventOutOfFocus(BotError):  # noqa: N818 - AmiyaBot's name, caught by bots
    """A `Message.wait_channel` ended because another conversation in this group took over."""
