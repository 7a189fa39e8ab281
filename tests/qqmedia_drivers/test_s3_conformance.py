"""The driver `s3` keeps every promise, with two servers that check signatures, over http and over https."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverAt, DriverConformance, open_driver
from qqmedia_drivers.s3 import qqmedia_register_drivers
from tests.fakes.s3_server import S3Server, door

PREFIX = "kit/"
SPEC = qqmedia_register_drivers()
WRONG_SECRET = "another-secret-0f0f"


# CPython loses a TLS socket whose connection is reset before the handshake begins (`SSLSocket._create`), which is what
# the kit's proxy does when it cuts at once.
loses_sockets = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


class S3Conformance(DriverConformance):
    """What differs is the server and the scheme."""

    scheme: str
    server: S3Server

    @pytest.fixture
    def opener(self, server_under_test: S3Server) -> Callable[..., AbstractAsyncContextManager[Driver]]:
        self.server = server_under_test
        self.door = door(server_under_test)

        def open_it(**changes: Any) -> AbstractAsyncContextManager[Driver]:
            # A thread that hangs in a dead connection is given up sooner than in production.
            limits = {"connect_timeout": 1, "read_timeout": 3}
            return open_driver(SPEC, **self.server.settings(self.scheme, prefix=PREFIX, **limits) | changes)

        return open_it

    @pytest_asyncio.fixture
    async def driver(self, opener: Callable[..., AbstractAsyncContextManager[Driver]]) -> AsyncIterator[Driver]:
        async with opener() as driver:
            yield driver

    @pytest.fixture
    def faulty(self, opener: Callable[..., AbstractAsyncContextManager[Driver]]) -> DriverAt:
        return DriverAt(url=self.server.url(self.scheme), open=lambda url: opener(endpoint_url=url))

    @pytest.fixture
    def wrong_credentials(
        self, opener: Callable[..., AbstractAsyncContextManager[Driver]]
    ) -> AbstractAsyncContextManager[Driver]:
        return opener(secret_access_key=WRONG_SECRET)

    @pytest.fixture
    def secrets(self, server_under_test: S3Server) -> Collection[str]:
        return [server_under_test.secret_key, WRONG_SECRET]

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return SPEC

    async def read(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._read, key)

    async def remove(self, key: str) -> None:
        await asyncio.to_thread(self.door.delete_object, Bucket=self.server.bucket, Key=PREFIX + key)

    async def leftovers(self) -> Collection[str]:
        found = await asyncio.to_thread(self.door.list_multipart_uploads, Bucket=self.server.bucket)
        return [upload["Key"] for upload in found.get("Uploads", [])]

    def client(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=self.server.ca_file)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), auto_decompress=False)

    def _read(self, key: str) -> bytes | None:
        for attempt in range(2):
            try:
                answer = self.door.get_object(Bucket=self.server.bucket, Key=PREFIX + key)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "NoSuchKey":
                    return None
                # JuiceFS says so of an object that is being deleted at this moment.
                if code != "InternalError" or attempt:
                    raise
            else:
                content: bytes = answer["Body"].read()
                return content
        raise AssertionError("unreachable: the last attempt returns or raises")


class OverSeaweedFS(S3Conformance):
    @pytest.fixture
    def server_under_test(self, seaweed: S3Server) -> S3Server:
        return seaweed


class OverJuiceFS(S3Conformance):
    @pytest.fixture
    def server_under_test(self, juice: S3Server) -> S3Server:
        # JuiceFS removes a folder with its last object; whoever puts one there at that moment is told NoSuchKey.
        door(juice).put_object(Bucket=juice.bucket, Key=f"{PREFIX}stays", Body=b"here")
        return juice


class TestSeaweedFS(OverSeaweedFS):
    scheme = "http"


@loses_sockets
class TestSeaweedFSOverTLS(OverSeaweedFS):
    scheme = "https"


class TestJuiceFS(OverJuiceFS):
    scheme = "http"


@loses_sockets
class TestJuiceFSOverTLS(OverJuiceFS):
    scheme = "https"
