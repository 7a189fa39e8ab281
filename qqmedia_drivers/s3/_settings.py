"""Settings of the driver `s3`."""

from __future__ import annotations

import os
import re
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from qqmedia_drivers._sdk.settings import BucketSettings, KeyId, Secret, VendorVariables, WebAddress, also
from qqmedia_drivers._sdk.urls import has_no_names
from qqmedia_drivers.s3._presets import PRESETS, AddressingStyle, Preset, Provider, provider_of

__all__ = ("S3Settings",)

_DEFAULT_REGION: Final = "us-east-1"
# Where a region stands in the address of a service that puts it there.
_REGION_IN_HOST: Final = re.compile(r"^(?:s3\.oss|s3|cos|oss)[.-](?P<region>[a-z]+(?:-[a-z0-9]+)+)\.")


def _small(provider: object) -> object:
    """Take ``R2`` and ``MinIO`` too: people write names as they read them."""
    return provider.strip().lower() if isinstance(provider, str) else provider


class S3Settings(BucketSettings):
    """Settings of the driver `s3`, beside those of every bucket.

    Attributes:
        bucket: Name of the bucket, or the ARN of an access point.
        region: Where the bucket is.
        access_key_id: Whose key; without it the SDK looks where it always does (``AWS_*``, profile, role).
        secret_access_key: The secret that belongs to it.
        session_token: Of temporary credentials.
        profile: Section of ``~/.aws/config`` and ``~/.aws/credentials``.
        provider: Which service; by default the one that `endpoint_url` belongs to.
        addressing_style: Whether the bucket is named in the host or in the path; by default as the service has it.
    """

    bucket: str = Field(pattern=r"^(arn:.+|[A-Za-z0-9._-]{3,255})$")
    endpoint_url: Annotated[WebAddress | None, VendorVariables("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")] = Field(
        None, validation_alias=also("endpoint_url", "endpoint")
    )
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$", validation_alias=also("region", "region_name"))
    access_key_id: KeyId | None = Field(None, repr=False, validation_alias=also("access_key_id", "aws_access_key_id"))
    secret_access_key: Secret | None = Field(None, validation_alias=also("secret_access_key", "aws_secret_access_key"))
    session_token: Secret | None = Field(None, validation_alias=also("session_token", "aws_session_token"))
    profile: str | None = Field(None, validation_alias=also("profile", "profile_name"))
    provider: Annotated[Provider | None, BeforeValidator(_small)] = None
    addressing_style: AddressingStyle | None = None
    part_size_mib: int = Field(5, ge=5, le=1024)  # S3 takes no smaller part but the last

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together; give both, or neither")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token belongs to access_key_id and secret_access_key; give all three")
        if self.url == "presigned" and self.public_base_url is not None and self.signed_base is None:
            raise ValueError(
                "url=presigned signs for the address of public_base_url, which must name the bucket then:"
                f" https://HOST/{self.bucket} or https://{self.bucket}.HOST; or leave out public_base_url, or url"
            )
        if self.preset.needs_endpoint and self.endpoint_url is None:
            raise ValueError(f"provider={self.provider} has no address of its own; give endpoint_url")
        return self

    @property
    def preset(self) -> Preset:
        """The defaults of the service."""
        return PRESETS[self.provider or provider_of(self.endpoint_url)]

    @property
    def signed_base(self) -> tuple[str, AddressingStyle] | None:
        """What `public_base_url` is to the SDK: the service's address, and how the bucket is named there."""
        parts = urlsplit(self.public_base_url or "")
        if parts.path == f"/{self.bucket}":
            return parts._replace(path="").geturl(), "path"
        if not parts.path and parts.netloc.startswith(f"{self.bucket}."):
            return parts._replace(netloc=parts.netloc.removeprefix(f"{self.bucket}.")).geturl(), "virtual"
        return None

    def resolved_region(self, of_profile: str | None) -> str:
        """Return the region that was given, or the best that can be known.

        Args:
            of_profile: The region that the user's AWS profile names.
        """
        named_in_host = _REGION_IN_HOST.match(urlsplit(self.endpoint_url or "").hostname or "")
        return (
            self.region
            or self.preset.region
            or (named_in_host["region"].removesuffix("-internal") if named_in_host else None)
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or of_profile
            or _DEFAULT_REGION
        )

    def resolved_endpoint(self, region: str) -> str | None:
        """Return the address of the service, or `None` where the SDK knows it."""
        if self.endpoint_url or self.preset.endpoint_url is None:
            return self.endpoint_url
        return self.preset.endpoint_url.format(region=region.removeprefix("oss-"))

    def resolved_addressing(self, endpoint_url: str | None) -> AddressingStyle:
        """Return how the bucket is named; an address, or a name such as ``localhost``, has no names below it."""
        if self.addressing_style is not None:
            return self.addressing_style
        nameless = endpoint_url is not None and has_no_names(urlsplit(endpoint_url).hostname)
        return "path" if nameless else self.preset.addressing_style
