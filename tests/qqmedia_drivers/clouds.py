"""The two clouds that have a double, as a small table: what every test of both must know of each."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import qqmedia
from qqmedia import (
    MediaHost,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from tests.fakes.bucket_service import BucketService
from tests.fakes.bucket_values import Key
from tests.fakes.cos import FakeCos
from tests.fakes.oss import FakeOss

__all__ = ("CLOUDS", "COS", "KEYS", "OSS", "Cloud", "OpenHost", "refusal")

OpenHost: TypeAlias = Callable[..., MediaHost]
"""Takes changes of the settings."""

KEYS = (
    Key(key_id="IDdriver", secret="right-secret"),
    Key(key_id="IDsts", secret="right-secret", token="session-token-77"),
    Key(key_id="IDput", secret="right-secret", operations=frozenset({"PutObject"})),
)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """One of them.

    Attributes:
        name: Of the driver.
        service: Its double.
        bucket: A name that it takes.
        region: Where the bucket is.
        other_region: Where it is not.
        key_id: The setting that says whose key it is; so `secret` and `token`.
        variables: The vendor's, for key, secret and token.
        other_variables: More that the driver looks at.
        host: Of the bucket, by which the double knows it.
        token_parameter: In which a presigned URL carries the token.
        sdk: The module of the SDK.
        refusals: Codes of the service, and what becomes of them.
    """

    name: str
    service: type[BucketService]
    bucket: str
    region: str
    other_region: str
    key_id: str
    secret: str
    token: str
    variables: tuple[str, str, str]
    other_variables: tuple[str, ...]
    host: str
    token_parameter: str
    sdk: str
    refusals: tuple[tuple[int, str, type[StorageError], str], ...]

    @contextmanager
    def running(self, folder: Path, *, tls: ssl.SSLContext | None = None) -> Iterator[Any]:
        """Run the double."""
        with self.service.running(folder, tls=tls, bucket=self.bucket, region=self.region, keys=KEYS) as service:
            yield service

    def settings(self, service: BucketService, **changes: Any) -> dict[str, Any]:
        """Return what opens the driver at the double; `None` leaves a setting out."""
        settings = {
            "bucket": self.bucket, "region": self.region, "endpoint_url": service.url,
            self.key_id: "IDdriver", self.secret: "right-secret",
        }  # fmt: skip
        return {name: value for name, value in (settings | changes).items() if value is not None}

    def host_at(
        self,
        service: BucketService,
        *,
        check: bool = True,
        policy: qqmedia.HostPolicy | None = None,
        **changes: Any,
    ) -> MediaHost:
        """Return a host over the driver, not yet open."""
        policy = policy or qqmedia.HostPolicy(retry_wait=0)
        settings: Mapping[str, Any] = self.settings(service, **changes)
        return qqmedia.open_host(self.name, check=check, policy=policy, platform_on_loopback=True, **settings)


COS = Cloud(
    name="cos",
    service=FakeCos,
    bucket="pics-1250000000",
    region="ap-guangzhou",
    other_region="ap-beijing",
    key_id="secret_id",
    secret="secret_key",
    token="token",
    variables=("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SESSION_TOKEN"),
    other_variables=("COS_SECRET_ID", "COS_SECRET_KEY"),
    host="pics-1250000000.cos.ap-guangzhou.myqcloud.com",
    token_parameter="x-cos-security-token",
    sdk="qcloud_cos",
    refusals=(
        (403, "AccessDenied", StoragePermissionError, r"\(AccessDenied, HTTP 403, request NjQ\); allow the key"),
        (403, "ExpiredToken", StoragePermissionError, "renew token"),
        (400, "AttachmentFull", StorageQuotaError, "leave out acl"),
        (400, "UserNetworkTooSlow", StorageUnavailableError, "the line is slow"),
        (404, "NoSuchBucket", StorageNotFoundError, "no bucket 'pics-1250000000' in region ap-guangzhou"),
    ),
)
OSS = Cloud(
    name="oss",
    service=FakeOss,
    bucket="pics",
    region="cn-hangzhou",
    other_region="cn-beijing",
    key_id="access_key_id",
    secret="access_key_secret",
    token="security_token",
    variables=("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
    other_variables=("OSS_REGION",),
    host="pics.oss-cn-hangzhou.aliyuncs.com",
    token_parameter="x-oss-security-token",
    sdk="oss2",
    refusals=(
        (403, "AccessDenied", StoragePermissionError, r"\(AccessDenied, HTTP 403\); allow the key"),
        (403, "SecurityTokenExpired", StoragePermissionError, "renew security_token"),
        (403, "InDebt", StoragePermissionError, "suspended, unpaid perhaps"),
        (403, "SecondLevelDomainForbidden", StorageMisconfiguredError, "set is_cname if"),
        (400, "ConnectionTimeout", StorageUnavailableError, "the line is slow"),
        (404, "NoSuchBucket", StorageNotFoundError, "no bucket 'pics' at http"),
    ),
)
CLOUDS = (COS, OSS)


def refusal(code: str, message: str = "no") -> str:
    """Return an answer's XML, as both services write it."""
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>"
        "<Resource>x</Resource><RequestId>NjQ</RequestId></Error>"
    )
