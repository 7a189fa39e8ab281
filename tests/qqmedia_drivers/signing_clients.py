"""Clients of the doubles of COS and OSS which sign by themselves, and wrongly where they are told to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from tests.fakes.cos import cos_signature
from tests.fakes.oss import oss_signature
from tests.qqmedia_drivers.clouds import COS, OSS, Cloud

__all__ = ("Answer", "Client", "CosClient", "OssClient")


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.text("Code")

    def text(self, path: str) -> str:
        return ET.fromstring(self.body).findtext(path, "") if self.body else ""


class Client(ABC):
    """What both have.

    Attributes:
        cloud: Which one it speaks to.
        by_url: What `send` must be told so that the signature stands in the URL.
        least_part: How small a part may be that is not the last.
    """

    cloud: ClassVar[Cloud]
    by_url: ClassVar[Mapping[str, Any]]
    least_part: ClassVar[int]

    def __init__(self, service: Any, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.http = http

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, http: aiohttp.ClientSession) -> Iterator[Self]:
        """Run the double, and speak to it."""
        with cls.cloud.running(folder) as service:
            yield cls(service, http)

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the address of an object."""

    @abstractmethod
    async def send(self, *request: Any, **changes: Any) -> Answer:
        """Make a signed request: method, name of the object, and body, if there is one."""

    async def _request(self, method: str, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with self.http.request(method, url, data=body or None, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def begin(self) -> dict[str, str]:
        """Open an upload in parts."""
        answer = await self.send("POST", "v.mp4", params={"uploads": ""})
        return {"uploadId": answer.text("UploadId")}

    async def part(self, upload: dict[str, str], number: int, body: bytes) -> tuple[int, str]:
        answer = await self.send("PUT", "v.mp4", body, params={"partNumber": str(number), **upload})
        return number, answer.headers["ETag"]

    async def complete(self, upload: dict[str, str], parts: list[tuple[int, str]]) -> Answer:
        listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        return await self.send("POST", "v.mp4", body, params=upload)


class CosClient(Client):
    cloud = COS
    by_url: ClassVar[Mapping[str, Any]] = {"by_url": True}
    least_part = 1024 * 1024

    def url(self, name: str) -> str:
        return f"{self.service.url}/{name}"

    async def send(
        self, method: str, name: str, body: bytes = b"", *, params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, secret: str = "right-secret", key_id: str = "IDdriver",
        host: str = COS.host, window: tuple[int, int] = (-60, 600), unsigned: tuple[str, ...] = (),
        by_url: bool = False, order: int = 1,
    ) -> Answer:  # fmt: skip
        params = params or {}
        sent = {"Host": host, **(headers or {})}
        now = int(self.service.now() - self.service.clock_offset)
        times = f"{now + window[0]};{now + window[1]}"
        signed = {key: value for key, value in sent.items() if key not in unsigned}
        signature = cos_signature(
            secret, method=method, path=f"/{name}", params=params, headers=signed, key_time=times, sign_time=times
        )
        fields = {
            "q-sign-algorithm": "sha1", "q-ak": key_id, "q-sign-time": times, "q-key-time": times,
            "q-header-list": ";".join(sorted(map(str.lower, signed))[::order]),
            "q-url-param-list": ";".join(sorted(map(str.lower, params))), "q-signature": signature,
        }  # fmt: skip
        if by_url:
            params = {**params, **fields}
        else:
            sent["Authorization"] = "&".join(f"{key}={value}" for key, value in fields.items())
        url = URL(self.service.url).with_path(f"/{name}").with_query(params)
        return await self._request(method, url, body, sent)


class OssClient(Client):
    cloud = OSS
    by_url: ClassVar[Mapping[str, Any]] = {"expires": 60}
    least_part = 100 * 1024

    def url(self, name: str) -> str:
        return f"{self.service.url}/{OSS.bucket}/{name}"

    async def send(
        self, method: str, name: str, body: bytes = b"", *, params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, secret: str = "right-secret", key_id: str = "IDdriver",
        bucket: str = OSS.bucket, region: str = OSS.region, product: str = "oss", seconds: int = 0,
        expires: int | None = None,
    ) -> Answer:  # fmt: skip
        date = datetime.fromtimestamp(self.service.now() + seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
        credential = f"{key_id}/{date[:8]}/{region}/{product}/aliyun_v4_request"
        sent = {"Content-Type": "image/png", **(headers or {})}
        params = params or {}
        if expires is None:
            sent |= {"x-oss-date": date, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"} | (headers or {})
        else:
            params = params | {
                "x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-credential": credential, "x-oss-date": date,
                "x-oss-expires": str(expires),
            }  # fmt: skip
        signed = {
            key: value
            for key, value in sent.items()
            if key.lower().startswith("x-oss-") or key in ("Content-Type", "Content-MD5")
        }
        signature = oss_signature(
            secret, method=method, resource=f"/{bucket}/{name}", params=params, headers=signed, additional="",
            date=date, region=region,
        )  # fmt: skip
        if expires is None:
            sent.setdefault("Authorization", f"OSS4-HMAC-SHA256 Credential={credential}, Signature={signature}")
        else:
            params = params | {"x-oss-signature": signature}
        query = "&".join(f"{key}={quote(value, safe='')}" if value else key for key, value in params.items())
        url = URL(f"{self.service.url}/{bucket}/{quote(name)}?{query}", encoded=True)
        return await self._request(method, url, body, sent)
