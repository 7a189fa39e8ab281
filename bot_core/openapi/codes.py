"""What the platform's error codes mean, what to do about each, and which error class it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bot_core.errors import (
    AuthenticationError,
    MediaRefusedError,
    OpenAPIError,
    PayloadError,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    ReplyContextError,
    TargetError,
)
from bot_core.openapi._code_table import GROUPS, CodeKind

__all__ = ("CODES", "Code", "CodeKind", "error_class", "kind_of", "look_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code of the platform.

    Attributes:
        number: The code; 504000 stands for all of 504xxx.
        meaning_en: What it says, in English.
        meaning_zh: In Chinese.
        kind: What a caller can do.
        advice_en: What a person can do, in English.
        advice_zh: In Chinese.
    """

    number: int
    meaning_en: str
    meaning_zh: str
    kind: CodeKind
    advice_en: str
    advice_zh: str


CODES: Final[dict[int, Code]] = {
    number: Code(
        number=number,
        meaning_en=meaning_en,
        meaning_zh=meaning_zh,
        kind=group.kind,
        advice_en=group.advice_en,
        advice_zh=group.advice_zh,
    )
    for group in GROUPS
    for number, meaning_en, meaning_zh in group.rows
}

_CLASSES: Final[dict[CodeKind, type[OpenAPIError]]] = {
    CodeKind.ACCEPTED: OpenAPIError,
    CodeKind.RETRY_NOW: OpenAPIError,
    CodeKind.RETRY_LATER: OpenAPIError,
    CodeKind.RATE: RateLimitedError,
    CodeKind.QUOTA: QuotaError,
    CodeKind.REFRESH_TOKEN: AuthenticationError,
    CodeKind.AUTH: AuthenticationError,
    CodeKind.PERMISSION: PermissionDeniedError,
    CodeKind.REPLY_CONTEXT: ReplyContextError,
    CodeKind.DUPLICATE: OpenAPIError,
    CodeKind.TARGET: TargetError,
    CodeKind.PAYLOAD: PayloadError,
    CodeKind.MEDIA: MediaRefusedError,
    CodeKind.MEDIA_SOURCE: MediaRefusedError,
    CodeKind.MEDIA_EXPIRED: MediaRefusedError,
    CodeKind.UNKNOWN: OpenAPIError,
}

# What a status says where no known code does. 4xx others are left unknown: they would only be guesses.
_STATUS_KINDS: Final[dict[int, CodeKind]] = {
    401: CodeKind.REFRESH_TOKEN,
    403: CodeKind.PERMISSION,
    408: CodeKind.RETRY_LATER,
    413: CodeKind.PAYLOAD,
    429: CodeKind.RATE,
}

_SUCCESS: Final = range(200, 300)
_SERVER_FAULT: Final = 500
_TIMEOUTS: Final = range(504000, 505000)


def look_up(number: int | None) -> Code | None:
    """Return what is known of a code, or `None`."""
    if number is None:
        return None
    return CODES.get(504000 if number in _TIMEOUTS else number)


def error_class(number: int | None, *, status: int | None = None) -> type[OpenAPIError]:
    """Return the class that an answer with this code becomes; an unknown code is judged by its HTTP status."""
    known = look_up(number)
    return _CLASSES[known.kind if known else _kind_of_status(status)]


def kind_of(error: OpenAPIError) -> CodeKind:
    """Return what can be done about an error: by its `code`, else its `err_code`, else its status.

    What calls for a repeat at once is `RETRY_LATER` under HTTP 5xx.
    No answer at all (time-out, cut, connection refused) counts as `RETRY_LATER`; whether the call was carried out all
    the same is `OpenAPIError.ambiguous`.
    """
    known = look_up(error.code) or look_up(error.err_code)
    if known:
        # A fault of the platform may last for more than the moment that a repeat at once takes.
        broken = known.kind is CodeKind.RETRY_NOW and (error.status or 0) >= _SERVER_FAULT
        return CodeKind.RETRY_LATER if broken else known.kind
    if error.status in _SUCCESS and not error.codes:  # half an answer, as the platform gives when it is busy
        return CodeKind.RETRY_LATER
    return _kind_of_status(error.status)


def _kind_of_status(status: int | None) -> CodeKind:
    if status is None or status >= _SERVER_FAULT:
        return CodeKind.RETRY_LATER
    return _STATUS_KINDS.get(status, CodeKind.UNKNOWN)
