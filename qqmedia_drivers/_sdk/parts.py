"""Uploads a large body in parts, several at once, and leaves none behind."""

from __future__ import annotations

import logging
import threading
from typing import Final, Generic, Protocol, TypeVar

from qqmedia import Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.threads import SdkThreads, Stop

__all__ = ("MultipartCalls", "PartsUpload")

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
