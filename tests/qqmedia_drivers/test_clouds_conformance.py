"""The drivers `cos` and `oss` keep every promise, with doubles of the services that check signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverAt, DriverConformance, open_driver
from qqmedia_drivers import cos, oss
from tests.fakes.bucket_service import BucketService
from tests.qqmedia_drivers.clouds import COS, KEYS, OSS, Cloud

PREFIX = "kit/"
WRONG_SECRET = "another-secret-0f0f"
Opener = Callable[..., AbstractAsyncContextManager[Driver]]


class CloudConformance(DriverConformance):
    """What differs is the cloud."""

    cloud: ClassVar[Cloud]
    driver_spec: ClassVar[DriverSpec]

    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[BucketService]:
        with self.cloud.running(tmp_path / self.cloud.name) as service:
            self.store = service
            yield service

    @pytest.fixture
    def opener(self, service: BucketService) -> Opener:
        def open_it(**changes: Any) -> AbstractAsyncContextManager[Driver]:
            # A thread that hangs in a dead connection is given up sooner than in production.
            limits = {"connect_timeout": 1, "read_timeout": 3}
            settings = self.cloud.settings(service, prefix=PREFIX)
            return open_driver(self.driver_spec, **settings | limits | changes)

        return open_it

    @pytest_asyncio.fixture
    async def driver(self, opener: Opener) -> AsyncIterator[Driver]:
        async with opener() as driver:
            yield driver

    @pytest.fixture
    def faulty(self, opener: Opener, service: BucketService) -> DriverAt:
        return DriverAt(url=service.url, open=lambda url: opener(endpoint_url=url))

    @pytest.fixture
    def wrong_credentials(self, opener: Opener) -> AbstractAsyncContextManager[Driver]:
        return opener(**{self.cloud.secret: WRONG_SECRET})

    @pytest.fixture
    def secrets(self) -> Collection[str]:
        return [KEYS[0].secret, WRONG_SECRET]

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return self.driver_spec

    async def read(self, key: str) -> bytes | None:
        stored = self.store.objects.get(PREFIX + key)
        return None if stored is None else await asyncio.to_thread(stored.read)

    async def remove(self, key: str) -> None:
        self.store.objects.pop(PREFIX + key, None)

    async def leftovers(self) -> Collection[str]:
        return list(self.store.uploads)


class TestCosDriver(CloudConformance):
    cloud = COS
    driver_spec = cos.qqmedia_register_drivers()


class TestOssDriver(CloudConformance):
    cloud = OSS
    driver_spec = oss.qqmedia_register_drivers()
