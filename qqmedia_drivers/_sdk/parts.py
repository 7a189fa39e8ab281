"""Uploads a large body in parts, one after the other, and leaves none behind."""

from __future__ import annotations

import logging
from typing import Final, Protocol, TypeVar

from qqmedia import Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.threads import Stop

__all__ = ("MultipartCalls", "put_in_parts")

_MOST_PARTS: Final = 10_000

PartT = TypeVar("PartT")
logger = logging.getLogger("qqmedia_drivers")


class MultipartCalls(Protocol[PartT]):
    """The four calls of an SDK, for one object."""

    def begin(self) -> str:
        """Open the upload and return its id."""
        ...

    def send(self, upload_id: str, number: int, body: UploadBody) -> PartT:
        """Store one part, counted from 1, and return what `complete` needs of it."""
        ...

    def complete(self, upload_id: str, parts: list[PartT]) -> None:
        """Make the object of its parts."""
        ...

    def abort(self, upload_id: str) -> None:
        """Throw all parts away."""
        ...


def put_in_parts(calls: MultipartCalls[PartT], upload: Upload, stop: Stop, *, part_bytes: int) -> None:
    """Store the upload, or nothing: whatever happens on the way, the parts are taken back."""
    part_bytes = max(part_bytes, -(-upload.size // _MOST_PARTS))
    upload_id = calls.begin()
    try:
        parts = []
        for number, start in enumerate(range(0, upload.size, part_bytes), 1):
            with UploadBody.of(upload, stop, start=start, size=min(part_bytes, upload.size - start)) as body:
                parts.append(calls.send(upload_id, number, body))
        stop.check()
        calls.complete(upload_id, parts)
    except BaseException:
        try:
            calls.abort(upload_id)
        except Exception as error:  # noqa: BLE001 - what went wrong before it is what the caller must hear
            logger.warning(
                "parts of %s may be left in the bucket (%s); a lifecycle rule of the bucket can clear such leftovers",
                upload.key, type(error).__name__,
            )  # fmt: skip
        raise
