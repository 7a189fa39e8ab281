"""A bucket of COS by the calls of its SDK, and how the driver over it is opened."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from qqmedia import Driver, DriverContext
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.driver import ObjectHeaders, open_bucket
from qqmedia_drivers._sdk.errors import ErrorTable
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.parts import KeywordCalls
from qqmedia_drivers.cos._client import Connected, connect
from qqmedia_drivers.cos._errors import DIALECT
from qqmedia_drivers.cos._settings import CosSettings

__all__ = ("open_cos",)

_DEFAULT_DOMAINS: Final = (".myqcloud.com", ".tencentcos.cn")

logger = logging.getLogger("qqmedia_drivers.cos")


class CosStore:
    """A `Store` over cos-python-sdk-v5."""

    def __init__(self, settings: CosSettings, connected: Connected) -> None:
        self.endpoint_url = connected.endpoint_url
        self.errors = ErrorTable(DIALECT, settings, region=settings.region, endpoint=connected.endpoint_url)
        self._bucket = settings.bucket
        self._client = connected.calls
        self._urls = connected.urls
        self._session = connected.session
        token = settings.token
        self._signed = {"x-cos-security-token": token.get_secret_value()} if token else {}

    def probe(self, name: str) -> None:
        """Ask for the object, and leave its body where it is."""
        self._client.get_object(**self._object(name))["Body"].get_raw_stream().close()

    def put(self, name: str, headers: ObjectHeaders, body: bytes | UploadBody) -> None:
        """Store it by one request."""
        self._client.put_object(**self._object(name), **headers.as_keywords(), Body=body)

    def parts(self, name: str, headers: ObjectHeaders) -> KeywordCalls:
        """Return the calls that store it in parts."""
        return KeywordCalls(self._client, self._object(name), headers.as_keywords(), listed_as="Part")

    def size(self, name: str) -> int:
        """Return how long the object is."""
        answer = self._client.head_object(**self._object(name))
        return int(next((value for header, value in answer.items() if header.lower() == "content-length"), -1))

    def delete(self, name: str) -> None:
        """Delete it."""
        self._client.delete_object(**self._object(name))

    def url(self, name: str) -> str:
        """Return its plain address."""
        return str(self._urls.get_object_url(**self._object(name)))

    def signed_url(self, name: str, seconds: int) -> str:
        """Return an address that answers for so long."""
        # Without these, the SDK signs the host without its port, and leaves out the token.
        host = {"Host": urlsplit(self.url(name)).netloc}
        return str(
            self._urls.get_presigned_url(
                **self._object(name), Method="GET", Expired=seconds, Params=self._signed, Headers=host
            )
        )

    def close(self) -> None:
        """Close connections that nobody uses."""
        self._session.close()

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": name}


@asynccontextmanager
async def open_cos(settings: CosSettings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `cos`; nothing is sent yet.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    _quieten_sdk()
    settings = settings.within_host(context)
    connected = await context.in_thread(connect, settings)
    if settings.public_base_url is None and connected.endpoint_url.endswith(_DEFAULT_DOMAINS):
        logger.info(
            "driver %r: URLs are of COS's own domain, which answers with Content-Disposition: attachment for buckets"
            " made since 2024; if media are not shown, bind a domain to the bucket and set public_base_url",
            context.name,
        )
    async with open_bucket(settings, context, CosStore(settings, connected)) as driver:
        yield driver


def _quieten_sdk() -> None:
    """Let the SDK tell us of errors by raising them only: it also logs each with a traceback, and with the answer."""
    sdk = logging.getLogger("qcloud_cos")
    if sdk.level == logging.NOTSET:
        sdk.setLevel(logging.CRITICAL)
    quieten("urllib3")
