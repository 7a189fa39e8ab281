"""The driver `cos` itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from qcloud_cos.cos_exception import CosServiceError

from qqmedia import Driver, DriverContext, Reach, Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.http import in_few_words
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.parts import PartsUpload
from qqmedia_drivers._sdk.threads import SdkThreads, Stop
from qqmedia_drivers._sdk.urls import ObjectNames, presigned_seconds
from qqmedia_drivers.cos._client import Connected, connect
from qqmedia_drivers.cos._errors import CLASSES, CODES, answer_of, bare
from qqmedia_drivers.cos._settings import CosSettings

__all__ = ("open_cos",)

_CHECKED_KEY: Final = "is-anybody-there"  # the check reads it; it need not exist
_NOT_FOUND: Final = 404
_SMALL_BYTES: Final = 1024 * 1024  # what is smaller is sent in one piece, which costs less than many
_DEFAULT_DOMAINS: Final = (".myqcloud.com", ".tencentcos.cn")

logger = logging.getLogger("qqmedia_drivers.cos")


class CosDriver:
    """One bucket, while it is open. Methods with an underscore run in the driver's threads."""

    def __init__(
        self, settings: CosSettings, context: DriverContext, threads: SdkThreads, connected: Connected
    ) -> None:
        self._settings = settings
        self._label = context.name
        self._threads = threads
        self._client = connected.calls
        self._urls = connected.urls
        self._names = ObjectNames(settings, context, connected.endpoint_url)
        self._errors = ErrorTable(
            answer=answer_of,
            codes=CODES,
            classes=CLASSES,
            facts={"bucket": settings.bucket, "region": settings.region, "endpoint": connected.endpoint_url},
            secrets=settings.secrets(),
            describe=in_few_words,
        )

    @property
    def reach(self) -> Reach:
        """Who can fetch its URLs, as far as the address tells."""
        return self._names.reach

    @property
    def keeps(self) -> bool:
        """Whether URLs last, as those that are not presigned do."""
        return not self._settings.presigned

    async def check(self) -> None:
        """Ask for an object that need not exist: the answer tells of key, secret, bucket and region."""
        await self._threads.run(self._check)

    async def put(self, upload: Upload, /) -> str:
        """Store the upload and return its URL."""
        return await self._threads.run(lambda stop: self._put(upload, stop))

    async def find(self, upload: Upload, /) -> str | None:
        """Return the URL of the object if it is there in full."""
        return await self._threads.run(lambda _stop: self._find(upload))

    async def delete(self, key: str, /) -> None:
        """Take the object down."""
        await self._threads.run(lambda _stop: self._delete(key))

    def _check(self, _stop: Stop) -> None:
        with self._errors.translated(f"driver {self._label!r} cannot be used: "), bare():
            try:
                answer = self._client.get_object(**self._object(self._names.of(_CHECKED_KEY)))
            except CosServiceError as error:
                said = answer_of(error)
                if said is None or said.code not in ("NoSuchKey", "AccessDenied"):
                    raise
                if said.code == "AccessDenied":
                    self._warn_of_rights()
                return
            answer["Body"].get_raw_stream().close()

    def _warn_of_rights(self) -> None:
        logger.warning(
            "driver %r: the key may not read in bucket %r (AccessDenied); sending works if the key may put%s",
            self._label, self._settings.bucket,
            " and, for presigned URLs, get objects" if self._settings.presigned else "",
        )  # fmt: skip

    def _put(self, upload: Upload, stop: Stop) -> str:
        target = self._object(self._names.of(upload.key))
        headers = self._headers(upload)
        with self._errors.translated(), bare():
            if upload.size <= _SMALL_BYTES:
                self._client.put_object(**target, **headers, Body=upload.read())
            elif upload.size <= self._settings.part_bytes:
                with UploadBody.of(upload, stop) as body:
                    self._client.put_object(**target, **headers, Body=body)
            else:
                calls = _Multipart(self._client, target, headers)
                PartsUpload(calls, upload, stop, part_bytes=self._settings.part_bytes).run(self._threads)
            return self._url(target, upload)

    def _find(self, upload: Upload) -> str | None:
        target = self._object(self._names.of(upload.key))
        with self._errors.translated(), bare():
            try:
                answer = self._client.head_object(**target)
            except CosServiceError as error:
                if error.get_status_code() == _NOT_FOUND:
                    return None
                raise
            size = next((value for name, value in answer.items() if name.lower() == "content-length"), "")
            return self._url(target, upload) if size == str(upload.size) else None

    def _delete(self, key: str) -> None:
        with self._errors.translated(), bare():
            try:
                self._client.delete_object(**self._object(self._names.of(key)))
            except CosServiceError as error:
                if (said := answer_of(error)) is None or said.code != "NoSuchKey":
                    raise

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._settings.bucket, "Key": name}

    def _headers(self, upload: Upload) -> dict[str, str]:
        seconds = int(upload.ttl.total_seconds())
        cache_control = self._settings.cache_control
        headers = {
            "ContentType": upload.content_type,
            "CacheControl": f"public, max-age={seconds}" if cache_control is None else cache_control,
        }
        if self._settings.acl:
            headers["ACL"] = self._settings.acl
        return headers

    def _url(self, target: dict[str, str], upload: Upload) -> str:
        if not self._settings.presigned:
            return self._names.public_url(target["Key"]) or str(self._urls.get_object_url(**target))
        token = self._settings.token
        signed = self._urls.get_presigned_url(
            **target,
            Method="GET",
            Expired=presigned_seconds(upload.ttl),
            Params={"x-cos-security-token": token.get_secret_value()} if token else {},
            # Else the SDK signs the host without its port.
            Headers={"Host": urlsplit(self._urls.get_object_url(**target)).netloc},
        )
        return str(signed)


class _Multipart:
    """The multipart calls of the SDK, for one object."""

    def __init__(self, client: Any, target: dict[str, str], headers: dict[str, str]) -> None:
        self._client = client
        self._target = target
        self._headers = headers

    def begin(self) -> str:
        return str(self._client.create_multipart_upload(**self._target, **self._headers)["UploadId"])

    def send(self, upload_id: str, number: int, body: UploadBody) -> dict[str, Any]:
        with bare():
            answer = self._client.upload_part(**self._target, UploadId=upload_id, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def complete(self, upload_id: str, parts: list[dict[str, Any]]) -> None:
        self._client.complete_multipart_upload(**self._target, UploadId=upload_id, MultipartUpload={"Part": parts})

    def abort(self, upload_id: str) -> None:
        self._client.abort_multipart_upload(**self._target, UploadId=upload_id)


@asynccontextmanager
async def open_cos(settings: CosSettings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `cos`; nothing is sent yet.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    _quieten_sdk()
    connected = await context.in_thread(connect, settings)
    if settings.public_base_url is None and connected.endpoint_url.endswith(_DEFAULT_DOMAINS):
        logger.info(
            "driver %r: URLs are of COS's own domain, which answers with Content-Disposition: attachment for buckets"
            " made since 2024; if media are not shown, bind a domain to the bucket and set public_base_url",
            context.name,
        )
    try:
        async with SdkThreads(context.name, settings.threads) as threads:
            yield CosDriver(settings, context, threads, connected)
    finally:
        connected.session.close()  # idle connections; one that is in use is closed by its thread


def _quieten_sdk() -> None:
    """Let the SDK tell us of errors by raising them only: it also logs each with a traceback, and with the answer."""
    sdk = logging.getLogger("qcloud_cos")
    if sdk.level == logging.NOTSET:
        sdk.setLevel(logging.CRITICAL)
    quieten("urllib3")
