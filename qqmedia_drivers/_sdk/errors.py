"""An SDK's exceptions become ours, once, at the border, by a table."""

from __future__ import annotations

import re
import ssl
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from qqmedia import (
    QQMediaError,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia_drivers._sdk.settings import BucketSettings
from qqmedia_drivers._sdk.threads import StoppedError

__all__ = (
    "BUSY",
    "CLOCK",
    "CODES",
    "DAMAGED",
    "FULL",
    "GONE",
    "SLOW",
    "STATUSES",
    "TIMED_OUT",
    "Answer",
    "Dialect",
    "ErrorTable",
    "Reason",
)

_MESSAGE_CHARACTERS: Final = 200  # of what the service, or the SDK, says
_NOT_FOUND: Final = 404
_NO_REGION: Final = "in the service's console"  # stands where a service does not say which region is right


@dataclass(frozen=True, slots=True)
class Reason:
    """What an error means.

    Attributes:
        kind: Our class for it.
        way_out: The setting and what to do, for a tired person. ``{bucket}``, ``{region}``, ``{endpoint}``,
            ``{right_region}`` are filled in.
    """

    kind: type[StorageError]
    way_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service said when it refused.

    Attributes:
        code: Its word for it, such as ``NoSuchBucket``; may be empty.
        status: HTTP status, 0 if there was none.
        message: Its sentence; may be empty.
        request_id: By which its support finds the request.
        right_region: Where the bucket is, if the service tells.
    """

    code: str
    status: int
    message: str = ""
    request_id: str = ""
    right_region: str = ""

    @property
    def absent(self) -> bool:
        """Whether it says that there is no such object; without a code, the bucket may be what is not there."""
        return self.code == "NoSuchKey" or (self.status == _NOT_FOUND and not self.code)


STATUSES: Final[Mapping[int, Reason]] = {
    301: Reason(StorageMisconfiguredError, "bucket {bucket!r} is elsewhere: check region and endpoint_url"),
    302: Reason(StorageMisconfiguredError, "somebody before {endpoint} redirects: a portal to log in at?"),
    307: Reason(StorageMisconfiguredError, "bucket {bucket!r} is elsewhere: check region and endpoint_url"),
    400: Reason(StorageMisconfiguredError, "check region, endpoint_url, and acl where it is set"),
    401: Reason(StoragePermissionError, "check the credentials"),
    403: Reason(StoragePermissionError, "the credentials do not allow this in bucket {bucket!r}"),
    404: Reason(StorageNotFoundError, "there is no such thing in bucket {bucket!r}"),
    405: Reason(StorageMisconfiguredError, "endpoint_url {endpoint} does not take this: is it the address of the API?"),
    408: Reason(StorageUnavailableError, "the line is slow"),
    411: Reason(StorageMisconfiguredError, "a proxy between here and {endpoint} drops Content-Length"),
    413: Reason(StorageQuotaError, "it is larger than the service or a proxy before it takes"),
    429: Reason(StorageUnavailableError, "too many requests"),
    501: Reason(StorageMisconfiguredError, "the service at {endpoint} cannot do this; check endpoint_url"),
    507: Reason(StorageQuotaError, "no room is left there"),
}
"""What an HTTP status means where the code says nothing; other 5xx are `StorageUnavailableError`."""

CLOCK: Final = Reason(StorageMisconfiguredError, "the clock of this machine is wrong: set it, and let NTP keep it")
FULL: Final = Reason(StorageQuotaError, "make room in bucket {bucket!r}, or raise its quota")
BUSY: Final = Reason(StorageUnavailableError, "the service is busy")
SLOW: Final = Reason(StorageUnavailableError, "the line is slow")
DAMAGED: Final = Reason(StorageUnavailableError, "the bytes were damaged on the way")
TIMED_OUT: Final = Reason(
    StorageUnavailableError,
    "raise connect_timeout or read_timeout, and the host's put_timeout above them, if the line to {endpoint} is slow",
)
GONE: Final = Reason(StorageNotFoundError, "there is no such object in bucket {bucket!r}")

CODES: Final[Mapping[str, Reason]] = {
    "NoSuchKey": GONE,
    "NoSuchUpload": Reason(StorageNotFoundError, "somebody aborted the upload, a lifecycle rule perhaps"),
    "InvalidBucketName": Reason(StorageMisconfiguredError, "check bucket, {bucket!r}: no bucket can have that name"),
    "RequestTimeTooSkewed": CLOCK,
    "QuotaExceeded": FULL,
    "RequestTimeout": SLOW,
    "SlowDown": BUSY,
    "InternalError": BUSY,
    "ServiceUnavailable": BUSY,
    "BadDigest": DAMAGED,
    "IncompleteBody": Reason(StorageUnavailableError, "the connection broke"),
}
"""Codes that every service has taken over from S3, for a `Dialect`."""


_NOT_TRUSTED: Final = Reason(
    StorageMisconfiguredError,
    "the certificate of {endpoint} is not trusted: if it is your own, name its authority's file (PEM) in verify",
)
_NO_TLS: Final = Reason(StorageMisconfiguredError, "does {endpoint} speak https? check endpoint_url")
_NO_TLS_REASONS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
# `http.client` shows the value, and it may be a token.
_NO_HEADER: Final = re.compile(r"Invalid header value")
_ODD_SECRET: Final = Reason(
    StorageMisconfiguredError, "the credentials hold a line break or another odd character: copy them again"
)
_BROKEN: Final = Reason(StorageUnavailableError, "the connection to {endpoint} broke")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one SDK, and the service behind it, say what is wrong.

    Attributes:
        answer: Gives what the service said, for exceptions that carry an answer; `None` for the others.
        unwrap: Gives what lies below an error that keeps only a text.
        codes: What the service's codes mean; of the rest the HTTP status tells.
        classes: What exceptions without an answer mean; the first that fits counts, so the narrow ones come first.
            Faults of TLS are known here already.
        describe: Says in a few words what exceptions without an answer say; their text by default.
    """

    answer: Callable[[BaseException], Answer | None]
    unwrap: Callable[[Exception], Exception] = lambda error: error
    codes: Mapping[str, Reason]
    classes: Sequence[tuple[type[Exception], Reason]]
    describe: Callable[[BaseException], str] = str


class ErrorTable:
    """Translates one SDK's exceptions for one open driver.

    Args:
        dialect: Of the SDK.
        settings: Of the driver; its secrets are in no text.
        region: For the texts; so `endpoint`.
    """

    def __init__(self, dialect: Dialect, settings: BucketSettings, *, region: str, endpoint: str) -> None:
        self._dialect = dialect
        self._facts = {"bucket": settings.bucket, "region": region, "endpoint": endpoint}
        self._secrets = [secret for secret in settings.secrets() if secret]

    @contextmanager
    def translated(self, opening: str = "", *, codes: Mapping[str, Reason] | None = None) -> Iterator[None]:
        """Raise in our words what the SDK raises in the block, `from` its error; our own errors pass.

        The host tells which driver could not store, find or delete what. Only `check` says so itself, by `opening`.
        Of `codes` is what some mean here and nowhere else.

        Raises:
            StorageError: The service, or the way there, said no.
        """
        try:
            yield
        except (QQMediaError, StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises; it is raised again
            below = self._dialect.unwrap(error)
            _let_go(error)
            if (ours := _ours(error)) is not None:
                raise ours from None
            raise self._translate(below, opening, codes or {}) from (None if self._shows_secret(below) else below)

    def answer(self, error: Exception) -> Answer | None:
        """Return what the service said, if it said something."""
        return self._dialect.answer(self._dialect.unwrap(error))

    def _translate(self, error: Exception, opening: str, codes: Mapping[str, Reason]) -> StorageError:
        """Return our error for the SDK's."""
        answer = self._dialect.answer(error)
        if answer is None:
            reason, said, right_region = self._by_class(error), self._words(error), ""
        else:
            reason = codes.get(answer.code) or self._by_answer(answer)
            said, right_region = self._said(answer), answer.right_region
        way_out = reason.way_out.format_map({**self._facts, "right_region": right_region or _NO_REGION})
        return reason.kind(self.redacted(f"{opening}{said}; {way_out}".rstrip("; ")))

    def redacted(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _shows_secret(self, error: BaseException | None) -> bool:
        """Tell whether a traceback would: a service may repeat what it was sent, and so may libraries."""
        while error is not None:
            text = str(error)
            if _NO_HEADER.search(text) or any(secret in text for secret in self._secrets):
                return True
            error = error.__cause__ or error.__context__
        return False

    def _words(self, error: Exception) -> str:
        said = self._shortened(self._dialect.describe(error)) or type(error).__name__
        return "Invalid header value" if _NO_HEADER.search(said) else said

    def _said(self, answer: Answer) -> str:
        parts = [part for part in (answer.code, f"HTTP {answer.status}" if answer.status else "") if part]
        details = ", ".join([*parts, *([f"request {answer.request_id}"] if answer.request_id else [])])
        message = self._shortened(answer.message)
        return f"{message} ({details})" if message else details

    def _shortened(self, text: str) -> str:
        """Return one line of bounded length; a secret is taken out first, for half of one would not be found."""
        return " ".join(self.redacted(text).split())[:_MESSAGE_CHARACTERS].rstrip(".")

    def _by_class(self, error: Exception) -> Reason:
        if _NO_HEADER.search(str(error)):
            return _ODD_SECRET
        if (tls := _tls_error(error)) is not None:  # SDKs give one class for a bad certificate and for a broken line
            if isinstance(tls, ssl.SSLCertVerificationError):
                return _NOT_TRUSTED
            return _NO_TLS if tls.reason in _NO_TLS_REASONS else _BROKEN
        for kind, reason in self._dialect.classes:
            if isinstance(error, kind):
                return reason
        return Reason(StorageError, f"({type(error).__name__})")

    def _by_answer(self, answer: Answer) -> Reason:
        if reason := self._dialect.codes.get(answer.code) or STATUSES.get(answer.status):
            return reason
        if answer.status >= 500:  # noqa: PLR2004 - server errors
            return Reason(StorageUnavailableError, "the service has trouble of its own")
        return Reason(StorageError, "")


def _ours(error: BaseException | None) -> QQMediaError | StoppedError | None:
    """Return what our own code raised while the SDK read a body: it may be wrapped."""
    while error is not None and not isinstance(error, QQMediaError | StoppedError):
        error = error.__cause__ or error.__context__
    return error


def _let_go(error: BaseException | None) -> None:
    """Empty the frames below an SDK's error: some SDKs keep the error in one, and with it sockets, until gc runs."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the error of TLS below the SDK's, if that is what it comes from."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
