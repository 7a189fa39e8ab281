"""Turns an answer of the platform into a result or an error: the one place that does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from bot_core.errors import OpenAPIError
from bot_core.openapi.codes import CodeKind, error_class, look_up
from bot_core.openapi.values import as_int

__all__ = ("in_words", "no_answer", "on_one_line", "read_answer")

# Front proxies answer with pages of HTML and the platform with long sentences; a log line needs the beginning.
_WORDS: Final = 200

# The platform's have 32 characters. What is shorter was made up, and may be a word of the text ("secret", "wrong").
_LEAST_SECRET: Final = 7

# Nobody waits for longer; more of it says no more.
_LONGEST_WAIT_SECONDS: Final = 3600

_ACCEPTED: Final = frozenset({201, 202})

_decode: Final = json.JSONDecoder().decode


def read_answer(
    call: str, path: str, *, status: int, headers: Mapping[str, str], body: bytes, success: str = "", secret: str = ""
) -> Any:
    """Return the decoded body; ``{}`` where there is none.

    Codes decide, never the words. "Accepted, comes later" (HTTP 201/202, or an audit code) is a result.

    Args:
        call: Method and path, for the text of an error.
        path: The path alone.
        status: HTTP status.
        headers: Answer's headers, with any case of names.
        body: Answer's body.
        success: Field that a successful answer has: where it is filled, a code beside it does not matter.
        secret: Never shown, even if the platform repeats it.

    Raises:
        OpenAPIError: The subclass that the code, else the status, stands for.
    """
    try:
        answer = _decoded(body) if body else {}
    except (ValueError, RecursionError):
        answer = None
    fields: dict[str, Any] = answer if isinstance(answer, dict) else {}
    code = as_int(fields["code"], 0) if "code" in fields else 0
    err_code = as_int(fields["err_code"], 0) if "err_code" in fields else 0
    if 200 <= status < 300 and answer is not None:  # noqa: PLR2004 - what HTTP calls success
        refused = (code or err_code) and not (success and fields.get(success))
        if not refused or status in _ACCEPTED or _is_accepted(code):
            return answer
    known = look_up(code) or look_up(err_code)
    trace_id = headers.get("X-Tps-trace-ID") or _string(fields.get("trace_id"))
    words = _words(fields, body, secret)
    parts = [f"{call} failed: {_numbers(code, err_code, status)}: {words}"]
    if known:
        parts.append(f"{known.meaning_en}; {known.advice_en}")
    if trace_id:
        parts.append(f"trace id {trace_id}")
    number = known.number if known else None
    raise error_class(number, status=status)(
        " - ".join(parts),
        code=code or None,
        err_code=err_code or None,
        trace_id=trace_id or None,
        status=status,
        path=path,
        retry_after=_seconds(headers.get("Retry-After")),
    )


def _decoded(body: bytes) -> Any:
    """Decode JSON; as a rule an object in UTF-8, which needs no look at what encoding it may be."""
    return _decode(body.decode("utf-8", "surrogatepass")) if body.startswith(b"{") else json.loads(body)


def no_answer(call: str, path: str, error: BaseException, *, seconds: float | None) -> OpenAPIError:
    """Return the error for a call that got no answer: time-out, connection refused, cut, no such host."""
    if isinstance(error, TimeoutError):
        limit = f" within {seconds:g} s" if seconds else ""
        return OpenAPIError(f"{call} failed: no answer{limit}", path=path)
    why = in_words(error)
    return OpenAPIError(f"{call} failed: {type(error).__name__}{': ' if why else ''}{why}", path=path)


def in_words(error: BaseException) -> str:
    """Return what an error of the network says, on one line; empty where it says nothing."""
    said = str(error)
    if isinstance(error, aiohttp.ClientConnectorError) and error.strerror is None:  # aiohttp shows that as "[None]"
        said = f"{error.host}:{error.port} cut the connection before it was set up (TLS)"
    return on_one_line(said)


def _seconds(value: str | None) -> float | None:
    """Read ``Retry-After``; a date in it counts as nothing said, since clocks differ."""
    seconds = as_int(value, 0)
    return float(min(seconds, _LONGEST_WAIT_SECONDS)) if seconds > 0 else None


def _is_accepted(code: int) -> bool:
    known = look_up(code)
    return known is not None and known.kind is CodeKind.ACCEPTED


def _numbers(code: int, err_code: int, status: int) -> str:
    numbers = [f"code {code}"] if code else []
    if err_code and err_code != code:
        numbers.append(f"err_code {err_code}")
    return ", ".join([*numbers, f"HTTP {status}"])


def _words(fields: Mapping[str, Any], body: bytes, secret: str) -> str:
    """Return what the platform says, on one line."""
    said = _string(fields.get("message"))
    if not said and body and not fields:
        start = body[: 4 * _WORDS].decode("utf-8", "replace")
        return f"not JSON, begins {on_one_line(start, secret)!r}"
    return on_one_line(said or "no reason given", secret)


def on_one_line(said: str, secret: str = "", *, most: int = _WORDS) -> str:
    """Return what the platform says as a log line needs it, without a secret that it repeats."""
    if len(secret) >= _LEAST_SECRET:  # before the cut, which may go through it
        said = said.replace(secret, "***")
    return " ".join(said.split())[:most]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
