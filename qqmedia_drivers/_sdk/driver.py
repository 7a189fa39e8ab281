"""The frame of every driver over a synchronous SDK: what is a vendor's own is its `Store`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from qqmedia import Driver, DriverContext, Reach, StorageUnavailableError, Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.errors import Answer, ErrorTable, Reason
from qqmedia_drivers._sdk.parts import MultipartCalls, PartsUpload
from qqmedia_drivers._sdk.settings import BucketSettings
from qqmedia_drivers._sdk.threads import SdkThreads, Stop
from qqmedia_drivers._sdk.urls import ObjectNames, presigned_seconds

__all__ = ("BucketDriver", "ObjectHeaders", "Store", "open_bucket")

_CHECKED_KEY: Final = "is-anybody-there"  # the check reads it; it need not exist
_SMALL_BYTES: Final = 1024 * 1024  # what is smaller is sent in one piece, which costs less than many
_NOT_FOUND: Final = 404
# Nobody looks for a key when he puts one. JuiceFS removes a folder with its last object, and says so to whoever puts
# one there at that moment; the host tries again, and finds a new folder.
_WHILE_PUTTING: Final = {
    "NoSuchKey": Reason(StorageUnavailableError, "its folder in bucket {bucket!r} was removed at that moment")
}

logger = logging.getLogger("qqmedia_drivers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectHeaders:
    """What is stored with an object.

    Attributes:
        content_type: Its type.
        cache_control: How long it may be kept.
        acl: Who may read it; `None`: as the bucket has it.
    """

    content_type: str
    cache_control: str
    acl: str | None

    def as_keywords(self) -> dict[str, str]:
        """Return them under the names of boto3, which other SDKs have taken over."""
        named = {"ContentType": self.content_type, "CacheControl": self.cache_control}
        return named | ({"ACL": self.acl} if self.acl else {})


class Store(Protocol):
    """One bucket by the calls of a vendor's SDK. They block, may run in many threads at once, and raise what it raises.

    Attributes:
        endpoint_url: The address that its URLs are made of.
        errors: Translates what the SDK raises.
    """

    endpoint_url: str
    errors: ErrorTable

    def probe(self, name: str) -> None:
        """Ask for the object, and leave its body where it is."""
        ...

    def put(self, name: str, headers: ObjectHeaders, body: bytes | UploadBody) -> None:
        """Store it by one request."""
        ...

    def parts(self, name: str, headers: ObjectHeaders) -> MultipartCalls[Any]:
        """Return the calls that store it in parts."""
        ...

    def size(self, name: str) -> int:
        """Return how long the object is; its absence is an answer with the status 404."""
        ...

    def delete(self, name: str) -> None:
        """Delete it; that it was gone may be an answer."""
        ...

    def url(self, name: str) -> str:
        """Return the address that answers where everybody may read the bucket."""
        ...

    def signed_url(self, name: str, seconds: int) -> str:
        """Return an address that answers for so long."""
        ...

    def close(self) -> None:
        """Close connections that nobody uses; one that is in use is closed by its thread."""
        ...


class BucketDriver:
    """One bucket, while it is open. Methods with an underscore run in the driver's threads."""

    def __init__(self, settings: BucketSettings, context: DriverContext, threads: SdkThreads, store: Store) -> None:
        self._settings = settings
        self._label = context.name
        self._threads = threads
        self._store = store
        self._errors = store.errors
        self._names = ObjectNames(settings, context, store.endpoint_url)

    @property
    def reach(self) -> Reach:
        """Who can fetch its URLs, as far as the address tells."""
        return self._names.reach

    @property
    def keeps(self) -> bool:
        """Signatures end, public addresses do not."""
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
                self._store.probe(self._names.of(_CHECKED_KEY))
            except Exception as error:
                said = self._errors.answer(error)
                if said is None or not (said.absent or said.code == "AccessDenied"):
                    raise
                self._warn_of_doubts(said)

    def _warn_of_doubts(self, said: Answer) -> None:
        if said.code == "AccessDenied":
            logger.warning(
                "driver %r: the key may not read in bucket %r (AccessDenied); sending works if the key may put%s",
                self._label, self._settings.bucket,
                " and, for presigned URLs, get objects" if self._settings.presigned else "",
            )  # fmt: skip
        elif not said.code:
            logger.warning(
                "driver %r: the service says 404 and not of what, so that sending will tell whether bucket %r is there",
                self._label, self._settings.bucket,
            )  # fmt: skip

    def _put(self, upload: Upload, stop: Stop) -> str:
        name, headers = self._names.of(upload.key), self._headers(upload)
        with self._errors.translated(codes=_WHILE_PUTTING):
            if upload.size <= _SMALL_BYTES:
                self._store.put(name, headers, upload.read())
            elif upload.size <= self._settings.part_bytes:
                with UploadBody.of(upload, stop) as body:
                    self._store.put(name, headers, body)
            else:
                calls = self._store.parts(name, headers)
                PartsUpload(calls, upload, stop, part_bytes=self._settings.part_bytes).run(self._threads)
            return self._url(name, upload)

    def _find(self, upload: Upload) -> str | None:
        name = self._names.of(upload.key)
        with self._errors.translated():
            try:
                size = self._store.size(name)
            except Exception as error:
                said = self._errors.answer(error)
                if said is not None and said.status == _NOT_FOUND:
                    return None
                raise
            return self._url(name, upload) if size == upload.size else None

    def _delete(self, key: str) -> None:
        with self._errors.translated():
            try:
                self._store.delete(self._names.of(key))
            except Exception as error:
                said = self._errors.answer(error)
                if said is None or not said.absent:
                    raise

    def _headers(self, upload: Upload) -> ObjectHeaders:
        cache_control = self._settings.cache_control
        if cache_control is None:
            cache_control = f"public, max-age={int(upload.ttl.total_seconds())}"
        return ObjectHeaders(
            content_type=upload.content_type, cache_control=cache_control, acl=self._settings.acl or None
        )

    def _url(self, name: str, upload: Upload) -> str:
        if self._settings.presigned:
            return self._store.signed_url(name, presigned_seconds(upload.ttl))
        return self._names.public_url(name) or self._store.url(name)


@asynccontextmanager
async def open_bucket(settings: BucketSettings, context: DriverContext, store: Store) -> AsyncIterator[Driver]:
    """Give the driver over the store, and close both on leaving."""
    try:
        async with SdkThreads(context.name, settings.threads) as threads:
            yield BucketDriver(settings, context, threads, store)
    finally:
        store.close()
