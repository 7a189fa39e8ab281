"""What errors of the SDK, and codes of OSS, mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from oss2 import exceptions as sdk

from qqmedia import (
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
)
from qqmedia_drivers._sdk.errors import BUSY, CODES, DAMAGED, SLOW, Answer, Dialect, Reason
from qqmedia_drivers._sdk.http import HTTP_REASONS, RedirectedError, in_few_words

__all__ = ("DIALECT",)

# OSS has few codes for many reasons; these tell apart what has another way out.
_OTHER_ENDPOINT: Final = "AccessDenied, other endpoint"
_OTHER_REGION: Final = "InvalidArgument, signing region"
_REDIRECT: Final = "Redirect"
_REGION_IN_HOST: Final = re.compile(r"oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")

_OLD_TOKEN: Final = Reason(
    StoragePermissionError,
    "the temporary credentials are over or incomplete: renew security_token (OSS_SESSION_TOKEN) with its key",
)
_ELSEWHERE: Final = Reason(
    StorageMisconfiguredError,
    "region={region} at {endpoint} is wrong for bucket {bucket!r}; the right one is {right_region}",
)
_UNPAID: Final = Reason(StoragePermissionError, "the account or the bucket is suspended, unpaid perhaps: ask Aliyun")
_ADDRESS: Final = Reason(
    StorageMisconfiguredError, "check endpoint_url {endpoint}; set is_cname if it is a domain bound to the bucket"
)

_CODES: Final[Mapping[str, Reason]] = {
    **CODES,
    "InvalidAccessKeyId": Reason(
        StoragePermissionError,
        "check access_key_id (OSS_ACCESS_KEY_ID); if the key is temporary, security_token belongs to it",
    ),
    "SignatureDoesNotMatch": Reason(
        StoragePermissionError,
        "check access_key_secret (OSS_ACCESS_KEY_SECRET): it does not fit the access_key_id",
    ),
    "InvalidSecurityToken": _OLD_TOKEN,
    "SecurityTokenExpired": _OLD_TOKEN,
    "SecurityTokenNotSupported": _OLD_TOKEN,
    "AccessKeyIdAndSecurityTokenNotMatch": _OLD_TOKEN,
    "AccessDenied": Reason(
        StoragePermissionError,
        "allow the key oss:PutObject, oss:GetObject, oss:DeleteObject and oss:AbortMultipartUpload in bucket {bucket!r}"
        " (RAM), or leave out acl",
    ),
    "BucketNotBelongTo": Reason(StoragePermissionError, "bucket {bucket!r} is somebody else's: check bucket"),
    _OTHER_ENDPOINT: _ELSEWHERE,
    _OTHER_REGION: _ELSEWHERE,
    _REDIRECT: _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "NoSuchBucket": Reason(
        StorageNotFoundError, "there is no bucket {bucket!r} at {endpoint}: check bucket, and region or endpoint_url"
    ),
    "SecondLevelDomainForbidden": _ADDRESS,
    "NonStandardHostForbidden": _ADDRESS,
    "CnameDenied": _ADDRESS,
    "NoSuchCname": _ADDRESS,
    "EntityTooLarge": Reason(StorageQuotaError, "OSS takes no object of this size"),
    "EntityTooSmall": Reason(StorageMisconfiguredError, "OSS takes no part below 100 KiB; raise part_size_mib"),
    "UserDisable": _UNPAID,
    "InDebt": _UNPAID,
    "InDebtOverdue": _UNPAID,
    "BucketDisable": _UNPAID,
    "AbnormalBucketOwnerStatus": _UNPAID,
    "ConnectionTimeout": SLOW,
    "Throttling": BUSY,
    "QpsLimitExceeded": BUSY,
    "DownloadTrafficRateLimitExceeded": BUSY,
    "UploadTrafficRateLimitExceeded": BUSY,
    "InvalidDigest": DAMAGED,
}

_CLASSES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    *HTTP_REASONS,
    (sdk.InconsistentError, DAMAGED),
    (sdk.ClientError, Reason(StorageMisconfiguredError, "check bucket, region and endpoint_url")),
)


def _below(error: Exception) -> Exception:
    """Return what lies below the SDK's error for connections: that one keeps only a text."""
    found: Exception = error.exception if isinstance(error, sdk.RequestError) else error
    return found


def _answer(error: BaseException) -> Answer | None:
    """Return what the service said, if it said something."""
    if isinstance(error, RedirectedError):
        return Answer(code=_REDIRECT, status=error.status, right_region=_region_in(error.location))
    if not isinstance(error, sdk.ServerError):
        return None
    endpoint = str(error.details.get("Endpoint") or "")
    message = str(error.message or "")
    return Answer(
        code=_told_apart(str(error.code or ""), message, endpoint),
        status=int(error.status),
        message=message,
        request_id=str(error.request_id or ""),
        right_region=_region_in(endpoint),
    )


def _told_apart(code: str, message: str, endpoint: str) -> str:
    if code == "AccessDenied" and endpoint:
        return _OTHER_ENDPOINT
    if code == "InvalidArgument" and "signing region" in message.lower():
        return _OTHER_REGION
    return code


def _region_in(address: str) -> str:
    found = _REGION_IN_HOST.search(address)
    return found["region"] if found else ""


DIALECT: Final = Dialect(
    answer=_answer,
    unwrap=_below,
    codes=_CODES,
    classes=_CLASSES,
    describe=in_few_words,
)
