"""Uploads a large body in parts, several at once, and leaves none behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from qqmedia import Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.threads import SdkThreads, Stop

__all__ = ("KeywordCalls", "MultipartCalls", "PartsUpload")

_MOST_PARTS: Final = 10_000

PartT = TypeVar("PartT")
logger = logging.getLogger("qqmedia_drivers")


class MultipartCalls(Protocol[PartT]):
    """The four calls of an SDK, for one object; `send` is called by several threads at once."""

    def begin(self) -> str:
        """Open the upload and return its id."""
        ...

    def send(self, upload_id: str, number: int, body: UploadBody) -> PartT:
        """Store one part, counted from 1, and return what `complete` needs of it."""
        ...

    def complete(self, upload_id: str, parts: list[PartT]) -> None:
        """Make the object of its parts, which come in their order."""
        ...

    def abort(self, upload_id: str) -> None:
        """Throw all parts away."""
        ...


class KeywordCalls:
    """`MultipartCalls` of a client that has the methods and keywords of boto3, as others have too.

    Args:
        client: Of the SDK.
        target: Keywords that name bucket and object.
        headers: Keywords of what is stored with it.
        listed_as: What the list of parts is called at the end.
    """

    def __init__(self, client: Any, target: Mapping[str, str], headers: Mapping[str, str], *, listed_as: str) -> None:
        self._client = client
        self._target = target
        self._headers = headers
        self._listed_as = listed_as

    def begin(self) -> str:
        """Open the upload and return its id."""
        return str(self._client.create_multipart_upload(**self._target, **self._headers)["UploadId"])

    def send(self, upload_id: str, number: int, body: UploadBody) -> dict[str, Any]:
        """Store one part."""
        answer = self._client.upload_part(**self._target, UploadId=upload_id, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def complete(self, upload_id: str, parts: list[dict[str, Any]]) -> None:
        """Make the object of its parts."""
        listed = {self._listed_as: parts}
        self._client.complete_multipart_upload(**self._target, UploadId=upload_id, MultipartUpload=listed)

    def abort(self, upload_id: str) -> None:
        """Throw all parts away."""
        self._client.abort_multipart_upload(**self._target, UploadId=upload_id)


class PartsUpload(Generic[PartT]):
    """One upload in parts. `run` it in one of the driver's threads; free ones help."""

    def __init__(self, calls: MultipartCalls[PartT], upload: Upload, stop: Stop, *, part_bytes: int) -> None:
        self._calls = calls
        self._upload = upload
        self._stop = stop
        self._part_bytes = max(part_bytes, -(-upload.size // _MOST_PARTS))
        self._starts = range(0, upload.size, self._part_bytes)
        self._numbers = iter(range(1, len(self._starts) + 1))
        self._lock = threading.Lock()
        self._parts: dict[int, PartT] = {}

    def run(self, threads: SdkThreads) -> None:
        """Store the upload, or nothing: whatever happens on the way, the parts are taken back."""
        upload_id = self._calls.begin()
        try:
            helpers = min(len(self._starts), threads.count) - 1
            threads.share(lambda: self._send_parts(upload_id), self._stop, helpers=helpers)
            self._stop.check()
            self._calls.complete(upload_id, [self._parts[number] for number in sorted(self._parts)])
        except BaseException:
            self._abort(upload_id)
            raise

    def _send_parts(self, upload_id: str) -> None:
        while (number := self._next()) is not None:
            start = self._starts[number - 1]
            size = min(self._part_bytes, self._upload.size - start)
            with UploadBody.of(self._upload, self._stop, start=start, size=size) as body:
                self._parts[number] = self._calls.send(upload_id, number, body)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _abort(self, upload_id: str) -> None:
        try:
            self._calls.abort(upload_id)
        except Exception as error:  # noqa: BLE001 - what went wrong before it is what the caller must hear
            logger.warning(
                "parts of %s may be left in the bucket (%s); a lifecycle rule of the bucket can clear such leftovers",
                self._upload.key, type(error).__name__,
            )  # fmt: skip
