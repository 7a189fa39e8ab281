"""Settings of the driver `oss`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from qqmedia_drivers._sdk.settings import BucketSettings, Secret, VendorVariables, WebAddress, also

__all__ = ("OssSettings",)

# Where a region stands in an address of OSS. The accelerated addresses name none.
_REGION_IN_HOST: Final = re.compile(r"(?:^|\.)oss-(?!accelerate)(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$")


def _without_product(region: Any) -> Any:
    """Take ``oss-cn-hangzhou`` too: the console shows it so."""
    return region.strip().removeprefix("oss-") if isinstance(region, str) else region


Region = Annotated[str, BeforeValidator(_without_product), Field(pattern=r"^[a-z0-9-]+$")]


class OssSettings(BucketSettings):
    """Settings of the driver `oss`, beside those of every bucket.

    Attributes:
        bucket: Name of the bucket.
        region: Where the bucket is: ``cn-hangzhou``. By default the one that `endpoint_url` names.
        internal_endpoint_url: Address for the upload, where it is another one than for URLs: within Aliyun, traffic to
            ``https://oss-cn-hangzhou-internal.aliyuncs.com`` costs nothing.
        access_key_id: Whose key.
        access_key_secret: The secret that belongs to it.
        security_token: Of temporary credentials (STS).
        is_cname: `endpoint_url` is a domain that is bound to the bucket.
    """

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")
    region: Annotated[Region | None, VendorVariables("OSS_REGION")] = Field(
        None, validation_alias=also("region", "area")
    )
    internal_endpoint_url: WebAddress | None = None
    access_key_id: Annotated[Secret, VendorVariables("OSS_ACCESS_KEY_ID")]
    access_key_secret: Annotated[Secret, VendorVariables("OSS_ACCESS_KEY_SECRET")]
    security_token: Annotated[Secret | None, VendorVariables("OSS_SESSION_TOKEN")] = None
    is_cname: bool = False

    @model_validator(mode="before")
    @classmethod
    def _own_values(cls, given: Any) -> Any:
        """Keep the vendor's variables away from what was given here and does not go with them."""
        if not isinstance(given, dict):
            return given
        found = dict(given)
        if "access_key_id" in given or "access_key_secret" in given:  # the session token belongs to another key
            found.setdefault("security_token", None)
        return found

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("endpoint_url", "internal_endpoint_url"):
            if (url := getattr(self, name)) is not None and urlsplit(url).path:
                raise ValueError(f"{name} must have no path; the bucket comes before the host, the key after it")
        if self.presigned and self.public_base_url is not None and urlsplit(self.public_base_url).path:
            raise ValueError("url=presigned signs for the bucket's own domain; public_base_url must have no path then")
        if self.is_cname and self.endpoint_url is None:
            raise ValueError("is_cname says that endpoint_url is a domain bound to the bucket; give endpoint_url")
        if self.resolved_region is None:
            raise ValueError(
                "region is not known: give region, or an endpoint_url such as"
                " https://oss-cn-hangzhou.aliyuncs.com that names it"
            )
        return self

    @property
    def resolved_region(self) -> str | None:
        """The region that was given, or the one that an address names."""
        if self.region:
            return self.region
        for url in (self.endpoint_url, self.internal_endpoint_url):
            if url and (found := _REGION_IN_HOST.search(urlsplit(url).hostname or "")):
                return found["region"]
        return None
