"""A bucket of an S3 service by the calls of botocore, and how the driver over it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qqmedia import Driver, DriverContext
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.driver import ObjectHeaders, open_bucket
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.parts import KeywordCalls
from qqmedia_drivers._sdk.urls import without_query
from qqmedia_drivers.s3._client import Connected, connect
from qqmedia_drivers.s3._errors import DIALECT
from qqmedia_drivers.s3._settings import S3Settings

__all__ = ("open_s3",)


class S3Store:
    """A `Store` over botocore."""

    def __init__(self, settings: S3Settings, connected: Connected) -> None:
        self.endpoint_url = connected.endpoint_url
        self.errors = ErrorTable(DIALECT, settings, region=connected.region, endpoint=connected.endpoint_url)
        self._bucket = settings.bucket
        self._client = connected.client
        self._urls = connected.urls

    def probe(self, name: str) -> None:
        """Ask for the object, and leave its body where it is."""
        self._client.get_object(**self._object(name))["Body"].close()

    def put(self, name: str, headers: ObjectHeaders, body: bytes | UploadBody) -> None:
        """Store it by one request."""
        self._client.put_object(**self._object(name), **headers.as_keywords(), Body=body)

    def parts(self, name: str, headers: ObjectHeaders) -> KeywordCalls:
        """Return the calls that store it in parts."""
        return KeywordCalls(self._client, self._object(name), headers.as_keywords(), listed_as="Parts")

    def size(self, name: str) -> int:
        """Return how long the object is."""
        return int(self._client.head_object(**self._object(name))["ContentLength"])

    def delete(self, name: str) -> None:
        """Delete it."""
        self._client.delete_object(**self._object(name))

    def url(self, name: str) -> str:
        """Return its plain address."""
        return without_query(self.signed_url(name, 1))

    def signed_url(self, name: str, seconds: int) -> str:
        """Return an address that answers for so long."""
        return str(self._urls.generate_presigned_url("get_object", Params=self._object(name), ExpiresIn=seconds))

    def close(self) -> None:
        """Close connections that nobody uses."""
        self._client.close()
        self._urls.close()

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": name}


@asynccontextmanager
async def open_s3(settings: S3Settings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `s3`; nothing is sent yet.

    Raises:
        ConfigurationError: boto3 refuses a setting.
    """
    quieten("boto3", "botocore", "urllib3", "s3transfer")
    settings = settings.within_host(context)
    connected = await context.in_thread(connect, settings)
    async with open_bucket(settings, context, S3Store(settings, connected)) as driver:
        yield driver
