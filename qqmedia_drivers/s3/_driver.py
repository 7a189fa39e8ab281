"""The driver `s3` itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from botocore.exceptions import ClientError

from qqmedia import Driver, DriverContext, Reach, Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.threads import SdkThreads, Stop
from qqmedia_drivers._sdk.urls import ObjectNames, presigned_seconds, without_query
from qqmedia_drivers.s3._client import Connected, connect
from qqmedia_drivers.s3._errors import CLASSES, CODES, answer_of
from qqmedia_drivers.s3._parts import PartsUpload
from qqmedia_drivers.s3._settings import S3Settings

__all__ = ("open_s3",)

# What is smaller is sent as bytes, which saves a round trip; see `_client`.
_SMALL_BYTES: Final = 1024 * 1024
_CHECKED_KEY: Final = "is-anybody-there"  # the check reads it; it need not exist
_NOT_FOUND: Final = 404

logger = logging.getLogger("qqmedia_drivers.s3")


class S3Driver:
    """One bucket, while it is open. Methods with an underscore run in the driver's threads."""

    def __init__(self, settings: S3Settings, context: DriverContext, threads: SdkThreads, connected: Connected) -> None:
        self._settings = settings
        self._label = context.name
        self._threads = threads
        self._client = connected.client
        self._names = ObjectNames(settings, context, connected.endpoint_url)
        self._errors = ErrorTable(
            answer=answer_of,
            codes=CODES,
            classes=CLASSES,
            facts={"bucket": settings.bucket, "region": connected.region, "endpoint": connected.endpoint_url},
            secrets=settings.secrets(),
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
        with self._errors.translated(f"driver {self._label!r} cannot be used: "):
            try:
                answer = self._client.get_object(**self._object(self._names.of(_CHECKED_KEY)))
            except ClientError as error:
                said = answer_of(error)
                if said is None or said.code not in ("NoSuchKey", "AccessDenied"):
                    raise
                if said.code == "AccessDenied":
                    logger.warning(
                        "driver %r: bucket %r is there, and the key may not look into it (%s); sending works if the"
                        " key may put%s",
                        self._label, self._settings.bucket, said.code,
                        " and, for presigned URLs, get objects" if self._settings.presigned else "",
                    )  # fmt: skip
                return
            answer["Body"].close()

    def _put(self, upload: Upload, stop: Stop) -> str:
        target = self._object(self._names.of(upload.key))
        headers = self._headers(upload)
        with self._errors.translated():
            if upload.size <= _SMALL_BYTES:
                self._client.put_object(**target, **headers, Body=upload.read())
            elif upload.size <= self._settings.part_bytes:
                with UploadBody.of(upload, stop) as body:
                    self._client.put_object(**target, **headers, Body=body)
            else:
                parts = PartsUpload(self._client, target, upload, stop, part_bytes=self._settings.part_bytes)
                parts.run(self._threads, headers)
            return self._url(target, upload)

    def _find(self, upload: Upload) -> str | None:
        target = self._object(self._names.of(upload.key))
        with self._errors.translated():
            try:
                answer = self._client.head_object(**target)
            except ClientError as error:
                if (said := answer_of(error)) is not None and said.status == _NOT_FOUND:
                    return None
                raise
            return self._url(target, upload) if answer["ContentLength"] == upload.size else None

    def _delete(self, key: str) -> None:
        with self._errors.translated():
            try:
                self._client.delete_object(**self._object(self._names.of(key)))
            except ClientError as error:
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
        if (public := self._names.public_url(target["Key"])) is not None:
            return public
        signed: Any = self._client.generate_presigned_url(
            "get_object", Params=target, ExpiresIn=presigned_seconds(upload.ttl)
        )
        return str(signed) if self._settings.presigned else without_query(signed)


@asynccontextmanager
async def open_s3(settings: S3Settings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `s3`; nothing is sent yet.

    Raises:
        ConfigurationError: boto3 refuses a setting.
    """
    quieten("boto3", "botocore", "urllib3", "s3transfer")
    connected = await context.in_thread(connect, settings)
    try:
        async with SdkThreads(context.name, settings.threads) as threads:
            yield S3Driver(settings, context, threads, connected)
    finally:
        connected.client.close()  # idle connections; one that is in use is closed by its thread
