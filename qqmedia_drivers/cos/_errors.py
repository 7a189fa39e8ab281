"""What errors of the SDK, and codes of COS, mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qcloud_cos.cos_exception import CosClientError, CosServiceError

from qqmedia import (
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
)
from qqmedia_drivers._sdk.errors import BUSY, CLOCK, CODES, FULL, GONE, SLOW, Answer, Dialect, Reason
from qqmedia_drivers._sdk.http import HTTP_REASONS, RedirectedError, in_few_words

__all__ = ("DIALECT",)

_EXPIRED: Final = "AccessDenied, expired"  # COS has one code for "you may not" and for "your clock is wrong"
_REDIRECT: Final = "Redirect"
_REGION_IN_HOST: Final = re.compile(r"\.cos\.(?P<region>[a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)")

_OLD_TOKEN: Final = Reason(
    StoragePermissionError, "the temporary credentials are over or incomplete: renew token (TENCENTCLOUD_SESSION_TOKEN)"
)
_ELSEWHERE: Final = Reason(
    StorageMisconfiguredError, "region={region} is wrong for bucket {bucket!r}; the right one is {right_region}"
)

_CODES: Final[Mapping[str, Reason]] = {
    **CODES,
    "InvalidAccessKeyId": Reason(
        StoragePermissionError,
        "check secret_id (TENCENTCLOUD_SECRET_ID); if the key is temporary, token belongs to it",
    ),
    "SignatureDoesNotMatch": Reason(
        StoragePermissionError, "check secret_key (TENCENTCLOUD_SECRET_KEY): it does not fit the secret_id"
    ),
    "ExpiredToken": _OLD_TOKEN,
    "InvalidToken": _OLD_TOKEN,
    "AccessDenied": Reason(
        StoragePermissionError,
        "allow the key PutObject, GetObject, HeadObject, DeleteObject and the multipart calls in bucket {bucket!r}"
        " (CAM), or leave out acl",
    ),
    _EXPIRED: CLOCK,
    "AttachmentFull": Reason(StorageQuotaError, "the account's ACLs are used up (1000): leave out acl"),
    "NoSuchBucket": Reason(
        StorageNotFoundError,
        "there is no bucket {bucket!r} in region {region}: check bucket (with the APPID) and region, the console shows"
        " both",
    ),
    "NoSuchResource": GONE,  # the SDK's own word for the 404 of a HEAD
    "PathStyleDomainForbidden": Reason(
        StorageMisconfiguredError, "endpoint_url {endpoint} is no address of COS; leave it out, region says enough"
    ),
    "PermanentRedirect": _ELSEWHERE,
    "TemporaryRedirect": _ELSEWHERE,
    _REDIRECT: _ELSEWHERE,
    "StorageFull": FULL,
    "EntityTooLarge": Reason(StorageQuotaError, "COS takes no object of this size"),
    "EntityTooSmall": Reason(StorageMisconfiguredError, "COS takes no part below 1 MiB; raise part_size_mib"),
    "UserNetworkTooSlow": SLOW,
    "ServiceUnAvailable": BUSY,
}

_CLASSES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    *HTTP_REASONS,
    (CosClientError, Reason(StorageMisconfiguredError, "check bucket, region and endpoint_url")),
)


def _below(error: Exception) -> Exception:
    """Return what lies below the SDK's own error, which keeps only a text."""
    found = error.__context__ if isinstance(error, CosClientError) else None
    return found if isinstance(found, Exception) else error


def _answer(error: BaseException) -> Answer | None:
    """Return what the service said, if it said something."""
    if isinstance(error, RedirectedError):
        found = _REGION_IN_HOST.search(error.location)
        return Answer(code=_REDIRECT, status=error.status, right_region=found["region"] if found else "")
    if not isinstance(error, CosServiceError):
        return None
    said = error.get_digest_msg()
    said = said if isinstance(said, Mapping) else {}  # a proxy's page, or headers only
    code, message = str(said.get("code", "")), str(said.get("message", ""))
    return Answer(
        code=_EXPIRED if code == "AccessDenied" and "expired" in message.lower() else code,
        status=int(error.get_status_code()),
        message=message,
        request_id=str(said.get("requestid") or said.get("x-cos-request-id") or ""),
    )


DIALECT: Final = Dialect(
    answer=_answer,
    unwrap=_below,
    codes=_CODES,
    classes=_CLASSES,
    describe=in_few_words,
)
