"""The driver `oss` itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import oss2

from qqmedia import Driver, DriverContext, Reach, Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.http import in_few_words
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.parts import PartsUpload
from qqmedia_drivers._sdk.threads import SdkThreads, Stop
from qqmedia_drivers._sdk.urls import ObjectNames, presigned_seconds, without_query
from qqmedia_drivers.oss._client import Connected, connect
from qqmedia_drivers.oss._errors import CLASSES, CODES, answer_of, bare
from qqmedia_drivers.oss._settings import OssSettings

__all__ = ("open_oss",)

_CHECKED_KEY: Final = "is-anybody-there"  # the check reads it; it need not exist
_NOT_FOUND: Final = 404

logger = logging.getLogger("qqmedia_drivers.oss")


class OssDriver:
    """One bucket, while it is open. Methods with an underscore run in the driver's threads."""

    def __init__(
        self, settings: OssSettings, context: DriverContext, threads: SdkThreads, connected: Connected
    ) -> None:
        self._settings = settings
        self._label = context.name
        self._threads = threads
        self._bucket = connected.calls
        self._urls = connected.urls
        self._names = ObjectNames(settings, context, connected.endpoint_url)
        self._errors = ErrorTable(
            answer=answer_of,
            codes=CODES,
            classes=CLASSES,
            facts={"bucket": settings.bucket, "region": connected.region, "endpoint": connected.upload_url},
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
                answer = self._bucket.get_object(self._names.of(_CHECKED_KEY))
            except oss2.exceptions.ServerError as error:
                said = answer_of(error)
                if said is None or said.code not in ("NoSuchKey", "AccessDenied"):
                    raise
                if said.code == "AccessDenied":
                    self._warn_of_rights()
                return
            answer.close()

    def _warn_of_rights(self) -> None:
        logger.warning(
            "driver %r: the key may not read in bucket %r (AccessDenied); sending works if the key may put%s",
            self._label, self._settings.bucket,
            " and, for presigned URLs, get objects" if self._settings.presigned else "",
        )  # fmt: skip

    def _put(self, upload: Upload, stop: Stop) -> str:
        name = self._names.of(upload.key)
        headers = self._headers(upload)
        with self._errors.translated(), bare():
            if upload.size <= self._settings.part_bytes:
                with UploadBody.of(upload, stop) as body:
                    self._bucket.put_object(name, body, headers=headers)
            else:
                calls = _Multipart(self._bucket, name, headers)
                PartsUpload(calls, upload, stop, part_bytes=self._settings.part_bytes).run(self._threads)
            return self._url(name, upload)

    def _find(self, upload: Upload) -> str | None:
        name = self._names.of(upload.key)
        with self._errors.translated(), bare():
            try:
                answer = self._bucket.head_object(name)
            except oss2.exceptions.ServerError as error:
                if error.status == _NOT_FOUND:
                    return None
                raise
            return self._url(name, upload) if answer.content_length == upload.size else None

    def _delete(self, key: str) -> None:
        with self._errors.translated(), bare():
            try:
                self._bucket.delete_object(self._names.of(key))
            except oss2.exceptions.NoSuchKey:
                return

    def _headers(self, upload: Upload) -> dict[str, str]:
        seconds = int(upload.ttl.total_seconds())
        cache_control = self._settings.cache_control
        headers = {
            "Content-Type": upload.content_type,
            "Cache-Control": f"public, max-age={seconds}" if cache_control is None else cache_control,
        }
        if self._settings.acl:
            headers["x-oss-object-acl"] = self._settings.acl
        return headers

    def _url(self, name: str, upload: Upload) -> str:
        if not self._settings.presigned and (public := self._names.public_url(name)) is not None:
            return public
        signed = str(self._urls.sign_url("GET", name, presigned_seconds(upload.ttl), slash_safe=True))
        return signed if self._settings.presigned else without_query(signed)


class _Multipart:
    """The multipart calls of the SDK, for one object."""

    def __init__(self, bucket: Any, name: str, headers: dict[str, str]) -> None:
        self._bucket = bucket
        self._name = name
        self._headers = headers

    def begin(self) -> str:
        return str(self._bucket.init_multipart_upload(self._name, headers=self._headers).upload_id)

    def send(self, upload_id: str, number: int, body: UploadBody) -> Any:
        answer = self._bucket.upload_part(self._name, upload_id, number, body)
        # The part's checksum has been compared. Given it again here, the SDK would put all of them together, in Python:
        # a fifth of the CPU of the whole put, in one go, for what the ETags say already.
        return oss2.models.PartInfo(number, answer.etag, size=len(body))

    def complete(self, upload_id: str, parts: list[Any]) -> None:
        self._bucket.complete_multipart_upload(self._name, upload_id, parts)

    def abort(self, upload_id: str) -> None:
        self._bucket.abort_multipart_upload(self._name, upload_id)


@asynccontextmanager
async def open_oss(settings: OssSettings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `oss`; nothing is sent yet.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    quieten("oss2", "urllib3", "aliyunsdkcore")
    connected = await context.in_thread(connect, settings)
    if not connected.checksums:
        logger.warning(
            "driver %r: crcmod was installed without its part in C, so that checksums of uploads are left out; with a C"
            " compiler, pip install --force-reinstall --no-binary crcmod crcmod brings it",
            context.name,
        )
    try:
        async with SdkThreads(context.name, settings.threads) as threads:
            yield OssDriver(settings, context, threads, connected)
    finally:
        connected.session.close()  # idle connections; one that is in use is closed by its thread
