"""What the doubles of COS and OSS keep and say: keys, calls, objects, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDictProxy

__all__ = ("Call", "Key", "Refusal", "StoredObject")

_SUBRESOURCES: Final = (
    ("POST", "uploads", "InitiateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("PUT", "uploadId", "UploadPart"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("GET", "uploads", "ListMultipartUploads"),
)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Credentials that the service knows; `operations` is what they may do, `None` for anything."""

    key_id: str
    secret: str
    token: str | None = None
    operations: frozenset[str] | None = None


@dataclass(frozen=True)
class Call:
    """One request, as it came over the wire."""

    method: str
    host: str
    path: str  # as sent, still encoded
    query: tuple[tuple[str, str], ...]  # decoded
    headers: CIMultiDictProxy[str]

    @classmethod
    def of(cls, request: web.BaseRequest) -> Self:
        raw = request.raw_path
        if "://" in raw:  # absolute form: sent as to a proxy
            raw = "/" + raw.split("://", 1)[1].partition("/")[2]
        path, _, query = raw.partition("?")
        pairs = (part.partition("=") for part in query.split("&") if part)
        decoded = tuple((unquote(name), unquote(value.replace("+", "%20"))) for name, _, value in pairs)
        return cls(request.method, request.headers.get("Host", ""), path, decoded, request.headers)

    @property
    def params(self) -> dict[str, str]:
        return dict(self.query)

    @property
    def operation(self) -> str:
        """The vendors' name for it."""
        params = self.params
        for method, marker, operation in _SUBRESOURCES:
            if self.method == method and marker in params:
                return operation
        return f"{self.method.capitalize()}Object"


class Refusal(Exception):  # noqa: N818 - the services call it an error, Python would take it for one of ours
    """An answer that is not 2xx."""

    def __init__(
        self, status: int, code: str, message: str, *, more: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.more = more or {}
        self.headers = headers or {}


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object, or a part of one to be."""

    file: Path
    size: int
    etag: str
    crc64: int
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    acl: str = ""
    modified: float = 0

    def read(self) -> bytes:
        return self.file.read_bytes()
