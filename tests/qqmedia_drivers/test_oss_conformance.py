"""The driver `oss` keeps every promise, with a double of the service that checks signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverAt, DriverConformance, open_driver
from qqmedia_drivers.oss import qqmedia_register_drivers
from tests.fakes.bucket_service import Key
from tests.fakes.oss import FakeOss

PREFIX = "kit/"
SPEC = qqmedia_register_drivers()
SECRET = "driver-secret-93b7"
WRONG_SECRET = "another-secret-0f0f"


class TestOssDriver(DriverConformance):
    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[FakeOss]:
        key = Key(key_id="LTAIdriver", secret=SECRET)
        with FakeOss.running(tmp_path / "oss", bucket="pics", region="cn-hangzhou", keys=[key]) as service:
            self.store = service
            yield service

    @pytest.fixture
    def opener(self, service: FakeOss) -> Callable[..., AbstractAsyncContextManager[Driver]]:
        def open_it(**changes: Any) -> AbstractAsyncContextManager[Driver]:
            settings: dict[str, Any] = {
                "bucket": service.bucket, "region": service.region, "endpoint_url": service.url, "prefix": PREFIX,
                "access_key_id": "LTAIdriver", "access_key_secret": SECRET,
            }  # fmt: skip
            # A thread that hangs in a dead connection is given up sooner than in production.
            limits = {"connect_timeout": 1, "read_timeout": 3}
            return open_driver(SPEC, **settings | limits | changes)

        return open_it

    @pytest_asyncio.fixture
    async def driver(self, opener: Callable[..., AbstractAsyncContextManager[Driver]]) -> AsyncIterator[Driver]:
        async with opener() as driver:
            yield driver

    @pytest.fixture
    def faulty(self, opener: Callable[..., AbstractAsyncContextManager[Driver]], service: FakeOss) -> DriverAt:
        return DriverAt(url=service.url, open=lambda url: opener(endpoint_url=url))

    @pytest.fixture
    def wrong_credentials(
        self, opener: Callable[..., AbstractAsyncContextManager[Driver]]
    ) -> AbstractAsyncContextManager[Driver]:
        return opener(access_key_secret=WRONG_SECRET)

    @pytest.fixture
    def secrets(self) -> Collection[str]:
        return [SECRET, WRONG_SECRET]

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return SPEC

    async def read(self, key: str) -> bytes | None:
        stored = self.store.objects.get(PREFIX + key)
        return None if stored is None else await asyncio.to_thread(stored.read)

    async def remove(self, key: str) -> None:
        self.store.objects.pop(PREFIX + key, None)

    async def leftovers(self) -> Collection[str]:
        return list(self.store.uploads)
