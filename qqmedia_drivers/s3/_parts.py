"""Uploads a large body in parts, and leaves none behind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from qqmedia import Upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.threads import Stop

__all__ = ("put_in_parts",)

_MOST_PARTS: Final = 10_000

logger = logging.getLogger("qqmedia_drivers.s3")


def put_in_parts(
    client: Any, target: Mapping[str, str], headers: Mapping[str, str], upload: Upload, stop: Stop, *, part_bytes: int
) -> None:
    """Store the upload, or nothing: whatever happens on the way, the parts are taken back."""
    part_bytes = max(part_bytes, -(-upload.size // _MOST_PARTS))
    upload_id = client.create_multipart_upload(**target, **headers)["UploadId"]
    try:
        parts = []
        for number, start in enumerate(range(0, upload.size, part_bytes), 1):
            with UploadBody.of(upload, stop, start=start, size=min(part_bytes, upload.size - start)) as body:
                answer = client.upload_part(**target, UploadId=upload_id, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        stop.check()
        client.complete_multipart_upload(**target, UploadId=upload_id, MultipartUpload={"Parts": parts})
    except BaseException:
        _abort(client, target, upload_id)
        raise


def _abort(client: Any, target: Mapping[str, str], upload_id: str) -> None:
    try:
        client.abort_multipart_upload(**target, UploadId=upload_id)
    except Exception as error:  # noqa: BLE001 - what went wrong before it is what the caller must hear
        logger.warning(
            "parts of %s may be left in bucket %s (%s); a lifecycle rule of the bucket can clear such leftovers",
            target["Key"], target["Bucket"], type(error).__name__,
        )  # fmt: skip
