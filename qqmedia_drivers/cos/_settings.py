"""Settings of the driver `cos`."""

from __future__ import annotations

import os
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from qqmedia_drivers._sdk.settings import BucketSettings, Secret, VendorVariables, also

__all__ = ("CosSettings",)


class CosSettings(BucketSettings):
    """Settings of the driver `cos`, beside those of every bucket.

    Attributes:
        bucket: Name of the bucket with the APPID: ``pics-1250000000``.
        region: Where the bucket is: ``ap-guangzhou``.
        secret_id: Whose key.
        secret_key: The secret that belongs to it.
        token: Of temporary credentials.
    """

    region: str = Field(pattern=r"^[a-z0-9-]+$", validation_alias=also("region", "area"))
    secret_id: Annotated[Secret, VendorVariables("TENCENTCLOUD_SECRET_ID", "COS_SECRET_ID")]
    secret_key: Annotated[Secret, VendorVariables("TENCENTCLOUD_SECRET_KEY", "COS_SECRET_KEY")]
    token: Annotated[Secret | None, VendorVariables("TENCENTCLOUD_SESSION_TOKEN")] = None

    @model_validator(mode="before")
    @classmethod
    def _own_token(cls, given: Any) -> Any:
        """Keep the vendor's session token away from any key but the one beside it: it belongs to that one."""
        others = not os.environ.get("TENCENTCLOUD_SECRET_ID")
        if isinstance(given, dict) and (others or "secret_id" in given or "secret_key" in given):
            return {"token": None, **given}
        return given

    @field_validator("bucket")
    @classmethod
    def _with_appid(cls, bucket: str) -> str:
        name, dash, appid = bucket.rpartition("-")
        if not (dash and name and appid.isdigit()):
            raise ValueError("must end with the APPID, as the console shows it: pics-1250000000")
        return bucket

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.endpoint_url is not None and urlsplit(self.endpoint_url).path:
            raise ValueError("endpoint_url must have no path; the bucket comes before the host, the key after it")
        if self.presigned and self.public_base_url is not None and urlsplit(self.public_base_url).path:
            raise ValueError("url=presigned signs for the bucket's own domain; public_base_url must have no path then")
        return self
