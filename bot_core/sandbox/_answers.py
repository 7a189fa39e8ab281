"""How the platform answers: bodies, error envelopes, and the pages of its front proxy."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ("BODY_ERROR", "PROXY_TOO_LARGE", "RefusedCallError", "encode", "error_body", "parse_object")

# Pairs of `code` and `err_code` that were seen to differ (PLATFORM 1.4); every other code is the same in both.
_ERR_CODES: Final = {850026: 40034001, 850019: 40034002, 11298: 40023002}

BODY_ERROR: Final = 12002

PROXY_TOO_LARGE: Final = (
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>stgw</center>\r\n</body>\r\n</html>\r\n"
)

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class RefusedCallError(Exception):
    """The platform refuses a call. Never leaves the sandbox: the server turns it into an answer.

    Attributes:
        status: HTTP status.
        code: The platform's code; 0 for an answer that has none.
        message: For people; says more than the platform would.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)


def encode(value: object) -> bytes:
    """Return the value as compact JSON."""
    return _encode(value).encode()


def error_body(code: int, message: str, trace_id: str) -> bytes:
    """Return the body of a failure: both codes, as live answers have them."""
    return encode({"message": message, "code": code, "err_code": _ERR_CODES.get(code, code), "trace_id": trace_id})


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body.

    Raises:
        RefusedCallError: 12002, it is not one.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise RefusedCallError(400, BODY_ERROR, "request body is not JSON") from None
    if not isinstance(value, dict):
        raise RefusedCallError(400, BODY_ERROR, "request body is not a JSON object")
    return value
