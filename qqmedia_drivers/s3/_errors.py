"""What botocore's errors and the codes of S3 services mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore import exceptions as sdk

from qqmedia import (
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia_drivers._sdk.errors import BUSY, CODES, FULL, TIMED_OUT, Answer, Dialect, Reason

__all__ = ("DIALECT",)

_UNKNOWN_KEY: Final = Reason(
    StoragePermissionError, "check access_key_id (AWS_ACCESS_KEY_ID), and that endpoint_url {endpoint} is the right one"
)
_WRONG_SECRET: Final = Reason(
    StoragePermissionError, "check secret_access_key (AWS_SECRET_ACCESS_KEY): it does not fit the access_key_id"
)
_OLD_TOKEN: Final = Reason(
    StoragePermissionError, "the temporary credentials are over or incomplete: renew session_token (AWS_SESSION_TOKEN)"
)
_FORBIDDEN: Final = Reason(
    StoragePermissionError,
    "allow the key s3:PutObject, s3:GetObject and s3:DeleteObject in bucket {bucket!r}, or check bucket and acl",
)
_NO_ACL: Final = Reason(StorageMisconfiguredError, "bucket {bucket!r} takes no ACLs: leave out acl")
_ELSEWHERE: Final = Reason(
    StorageMisconfiguredError, "region={region} is wrong for bucket {bucket!r}; the right one is {right_region}"
)
_NO_BUCKET: Final = Reason(
    StorageNotFoundError, "there is no bucket {bucket!r} at {endpoint} in region {region}: check bucket and region"
)
_STYLE: Final = Reason(StorageMisconfiguredError, "try the other addressing_style (path or virtual), or set provider")

_CODES: Final[Mapping[str, Reason]] = {
    **CODES,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "Unauthorized": _UNKNOWN_KEY,  # R2
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "ExpiredToken": _OLD_TOKEN,
    "InvalidToken": _OLD_TOKEN,
    "InvalidSecurity": _OLD_TOKEN,
    "TokenRefreshRequired": _OLD_TOKEN,
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _FORBIDDEN,
    "AccountProblem": Reason(StoragePermissionError, "the account is suspended or unpaid: ask the service"),
    "NotSignedUp": Reason(StoragePermissionError, "the account has no object storage yet: activate it"),
    "InvalidObjectState": Reason(StorageMisconfiguredError, "bucket {bucket!r} archives what it is given"),
    "AccessControlListNotSupported": _NO_ACL,
    "NoSuchBucket": _NO_BUCKET,
    "PermanentRedirect": _ELSEWHERE,
    "TemporaryRedirect": _ELSEWHERE,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "AuthorizationQueryParametersError": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "InvalidRegionName": _ELSEWHERE,  # R2
    "InvalidRegion": _ELSEWHERE,
    "PathStyleDomainForbidden": _STYLE,  # COS
    "SecondLevelDomainForbidden": _STYLE,  # OSS
    "ServiceQuotaExceeded": FULL,
    "StorageFull": FULL,
    "XMinioStorageFull": FULL,
    "XMinioAdminBucketQuotaExceeded": FULL,
    "EntityTooLarge": Reason(StorageQuotaError, "the service takes no object of this size"),
    "SlowDownWrite": BUSY,
    "RequestLimitExceeded": BUSY,
    "Throttling": BUSY,
    "ThrottlingException": BUSY,
    "TooManyRequests": BUSY,
    "OperationAborted": BUSY,
}

_UNREACHABLE: Final = Reason(
    StorageUnavailableError, "is endpoint_url {endpoint} right, and can this machine reach it?"
)
_NO_CREDENTIALS: Final = Reason(
    StoragePermissionError,
    "give access_key_id and secret_access_key (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or profile",
)
_PROFILE: Final = Reason(StorageMisconfiguredError, "check profile (AWS_PROFILE) and ~/.aws/config")
_SETTINGS: Final = Reason(StorageMisconfiguredError, "check bucket, region and endpoint_url")

_CLASSES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (sdk.ConnectTimeoutError, TIMED_OUT),
    (sdk.ReadTimeoutError, TIMED_OUT),
    (sdk.ProxyConnectionError, Reason(StorageUnavailableError, "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")),
    (sdk.HTTPClientError, _UNREACHABLE),
    (sdk.ConnectionError, _UNREACHABLE),
    (sdk.IncompleteReadError, _UNREACHABLE),
    (sdk.NoCredentialsError, _NO_CREDENTIALS),
    (sdk.PartialCredentialsError, _NO_CREDENTIALS),
    (sdk.CredentialRetrievalError, _NO_CREDENTIALS),
    (sdk.MetadataRetrievalError, _NO_CREDENTIALS),
    (sdk.TokenRetrievalError, Reason(StoragePermissionError, "sign in again: aws sso login")),
    (sdk.SSOError, Reason(StoragePermissionError, "sign in again: aws sso login")),
    (sdk.ProfileNotFound, _PROFILE),
    (sdk.ConfigParseError, _PROFILE),
    (sdk.ConfigNotFound, _PROFILE),
    (sdk.InvalidConfigError, _PROFILE),
    (sdk.NoRegionError, _SETTINGS),
    (sdk.InvalidRegionError, _SETTINGS),
    (sdk.EndpointProviderError, _SETTINGS),
    (sdk.ParamValidationError, _SETTINGS),
)


def _answer(error: BaseException) -> Answer | None:
    """Return what the service said, if it said something."""
    if not isinstance(error, sdk.ClientError):
        return None
    said: dict[str, Any] = error.response.get("Error", {})
    about: dict[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(said.get("Code", ""))
    return Answer(
        code="" if code.isdigit() else code,  # an answer without a body has its status there
        status=int(about.get("HTTPStatusCode", 0)),
        message=str(said.get("Message", "")),
        request_id=str(about.get("RequestId", "")),
        right_region=str(said.get("Region") or about.get("HTTPHeaders", {}).get("x-amz-bucket-region") or ""),
    )


DIALECT: Final = Dialect(
    answer=_answer,
    codes=_CODES,
    classes=_CLASSES,
)
