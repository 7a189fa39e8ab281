"""A bucket of OSS by the calls of oss2, and how the driver over it is opened."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import oss2

from qqmedia import Driver, DriverContext
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.driver import ObjectHeaders, open_bucket
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.urls import without_query
from qqmedia_drivers.oss._client import Connected, connect
from qqmedia_drivers.oss._errors import DIALECT
from qqmedia_drivers.oss._settings import OssSettings

__all__ = ("open_oss",)

_BLOCK_BYTES: Final = 256 * 1024

logger = logging.getLogger("qqmedia_drivers.oss")


class OssStore:
    """A `Store` over oss2."""

    def __init__(self, settings: OssSettings, connected: Connected) -> None:
        self.endpoint_url = connected.endpoint_url
        self.errors = ErrorTable(DIALECT, settings, region=connected.region, endpoint=connected.upload_url)
        self._bucket = connected.calls
        self._urls = connected.urls
        self._session = connected.session

    def probe(self, name: str) -> None:
        """Ask for the object, and leave its body where it is."""
        self._bucket.get_object(name).close()

    def put(self, name: str, headers: ObjectHeaders, body: bytes | UploadBody) -> None:
        """Store it by one request."""
        self._bucket.put_object(name, body, headers=_named(headers) | _acl(headers) | _content_md5(body))

    def parts(self, name: str, headers: ObjectHeaders) -> _Multipart:
        """Return the calls that store it in parts."""
        return _Multipart(self._bucket, name, headers)

    def size(self, name: str) -> int:
        """Return how long the object is."""
        return int(self._bucket.head_object(name).content_length)

    def delete(self, name: str) -> None:
        """Delete it."""
        self._bucket.delete_object(name)

    def url(self, name: str) -> str:
        """Return its plain address."""
        return without_query(self.signed_url(name, 1))

    def signed_url(self, name: str, seconds: int) -> str:
        """Return an address that answers for so long."""
        return str(self._urls.sign_url("GET", name, seconds, slash_safe=True))

    def close(self) -> None:
        """Close connections that nobody uses."""
        self._session.close()


class _Multipart:
    """The multipart calls of the SDK, for one object."""

    def __init__(self, bucket: Any, name: str, headers: ObjectHeaders) -> None:
        self._bucket = bucket
        self._name = name
        self._headers = headers

    def begin(self) -> str:
        return str(self._bucket.init_multipart_upload(self._name, headers=_named(self._headers)).upload_id)

    def send(self, upload_id: str, number: int, body: UploadBody) -> Any:
        answer = self._bucket.upload_part(self._name, upload_id, number, body, headers=_content_md5(body))
        return oss2.models.PartInfo(number, answer.etag, size=len(body))

    def complete(self, upload_id: str, parts: list[Any]) -> None:
        # OSS takes an ACL here, and overlooks one that was given when the upload began.
        self._bucket.complete_multipart_upload(self._name, upload_id, parts, headers=_acl(self._headers))

    def abort(self, upload_id: str) -> None:
        self._bucket.abort_multipart_upload(self._name, upload_id)


def _named(headers: ObjectHeaders) -> dict[str, str]:
    return {"Content-Type": headers.content_type, "Cache-Control": headers.cache_control}


def _acl(headers: ObjectHeaders) -> dict[str, str]:
    return {"x-oss-object-acl": headers.acl} if headers.acl else {}


def _content_md5(body: bytes | UploadBody) -> dict[str, str]:
    """Return the checksum that OSS compares before it keeps a body.

    The SDK's own, CRC-64, is computed with the interpreter locked: with several large bodies under way it makes the
    event loop twice as late, and costs as much again as sending them does.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes):
        md5.update(body)
    else:
        while block := body.read(_BLOCK_BYTES):
            md5.update(block)
        body.seek(0)
    return {"Content-MD5": base64.b64encode(md5.digest()).decode()}


@asynccontextmanager
async def open_oss(settings: OssSettings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `oss`; nothing is sent yet.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    quieten("oss2", "urllib3", "aliyunsdkcore")
    settings = settings.within_host(context)
    connected = await context.in_thread(connect, settings)
    if not connected.fast_crc:
        logger.warning(
            "driver %r: crcmod was installed without its part in C; this driver checks uploads by MD5 and does not need"
            " it, but whatever else uses oss2 here is slow; with a C compiler,"
            " pip install --force-reinstall --no-binary crcmod crcmod brings it",
            context.name,
        )
    async with open_bucket(settings, context, OssStore(settings, connected)) as driver:
        yield driver
