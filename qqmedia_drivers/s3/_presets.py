"""What is different about each well-known service that speaks S3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

__all__ = ("PRESETS", "AddressingStyle", "Preset", "Provider", "provider_of")

AddressingStyle: TypeAlias = Literal["path", "virtual", "auto"]


class Provider(StrEnum):
    """A service that speaks S3."""

    AWS = "aws"
    R2 = "r2"
    MINIO = "minio"
    SEAWEEDFS = "seaweedfs"
    B2 = "b2"
    COS = "cos"
    OSS = "oss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The right defaults for one service.

    Attributes:
        addressing_style: ``virtual`` is ``https://BUCKET.HOST/KEY``, ``path`` is ``https://HOST/BUCKET/KEY``.
        endpoint_url: With ``{region}``; `None` where the SDK knows it, or where nobody can.
        needs_endpoint: There is no such service without an address.
        region: What the service calls its only region; it goes before ``AWS_REGION``, which is meant for AWS.
    """

    addressing_style: AddressingStyle
    endpoint_url: str | None = None
    needs_endpoint: bool = False
    region: str | None = None


PRESETS: Final[dict[Provider, Preset]] = {
    # With `auto` botocore presigns for the address of no region, which newer regions do not answer to.
    Provider.AWS: Preset(addressing_style="virtual"),
    Provider.R2: Preset(addressing_style="path", needs_endpoint=True, region="auto"),
    Provider.MINIO: Preset(addressing_style="path", needs_endpoint=True),
    Provider.SEAWEEDFS: Preset(addressing_style="path", needs_endpoint=True),
    Provider.B2: Preset(addressing_style="path", endpoint_url="https://s3.{region}.backblazeb2.com"),
    # Both refuse path style.
    Provider.COS: Preset(addressing_style="virtual", endpoint_url="https://cos.{region}.myqcloud.com"),
    Provider.OSS: Preset(addressing_style="virtual", endpoint_url="https://s3.oss-{region}.aliyuncs.com"),
}

_DOMAINS: Final = {
    ".amazonaws.com": Provider.AWS,
    ".amazonaws.com.cn": Provider.AWS,
    ".r2.cloudflarestorage.com": Provider.R2,
    ".backblazeb2.com": Provider.B2,
    ".myqcloud.com": Provider.COS,
    ".tencentcos.cn": Provider.COS,
    ".aliyuncs.com": Provider.OSS,
}


def provider_of(endpoint_url: str | None) -> Provider:
    """Say whose address this is; whatever is not well known is taken for a server of one's own, as MinIO is."""
    if endpoint_url is None:
        return Provider.AWS
    host = urlsplit(endpoint_url).hostname or ""
    return next((provider for domain, provider in _DOMAINS.items() if host.endswith(domain)), Provider.MINIO)
