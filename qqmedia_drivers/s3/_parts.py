"""Uploads a large body in parts, several at once, and leaves none behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from qqmedia import Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.threads import SdkThreads, Stop

__all__ = ("PartsUpload",)

_MOST_PARTS: Final = 10_000

logger = logging.getLogger("qqmedia_drivers.s3")


class PartsUpload:
    """One upload in parts. `run` it in one of the driver's threads; free ones help."""

    def __init__(self, client: Any, target: Mapping[str, str], upload: Upload, stop: Stop, *, part_bytes: int) -> None:
        self._client = client
        self._target = target
        self._upload = upload
        self._stop = stop
        self._part_bytes = max(part_bytes, -(-upload.size // _MOST_PARTS))
        self._starts = range(0, upload.size, self._part_bytes)
        self._numbers = iter(range(1, len(self._starts) + 1))
        self._lock = threading.Lock()
        self._etags: dict[int, str] = {}

    def run(self, threads: SdkThreads, headers: Mapping[str, str]) -> None:
        """Store the upload, or nothing: whatever happens on the way, the parts are taken back."""
        upload_id = self._client.create_multipart_upload(**self._target, **headers)["UploadId"]
        try:
            helpers = min(len(self._starts), threads.count) - 1
            threads.share(lambda: self._send_parts(upload_id), self._stop, helpers=helpers)
            self._stop.check()
            parts = [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]
            self._client.complete_multipart_upload(**self._target, UploadId=upload_id, MultipartUpload={"Parts": parts})
        except BaseException:
            self._abort(upload_id)
            raise

    def _send_parts(self, upload_id: str) -> None:
        while (number := self._next()) is not None:
            start = self._starts[number - 1]
            size = min(self._part_bytes, self._upload.size - start)
            with UploadBody.of(self._upload, self._stop, start=start, size=size) as body:
                answer = self._client.upload_part(**self._target, UploadId=upload_id, PartNumber=number, Body=body)
            self._etags[number] = answer["ETag"]

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _abort(self, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(**self._target, UploadId=upload_id)
        except Exception as error:  # noqa: BLE001 - what went wrong before it is what the caller must hear
            logger.warning(
                "parts of %s may be left in bucket %s (%s); a lifecycle rule of the bucket can clear such leftovers",
                self._target["Key"], self._target["Bucket"], type(error).__name__,
            )  # fmt: skip
