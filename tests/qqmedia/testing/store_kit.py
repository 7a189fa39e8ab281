"""The kit over the driver for `Store`; not a test by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest
import pytest_asyncio

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverAt, DriverConformance, open_driver
from tests.qqmedia.testing.store import SPEC, TOKEN, WRONG_TOKEN, Store


class StoreConformance(DriverConformance):
    """Everything that an author can give, given."""

    memory_limit_bytes: ClassVar[int | None] = (64 + 40) * 1024 * 1024  # the store is in this process
    driver_spec: ClassVar[DriverSpec] = SPEC
    store: Store

    @pytest_asyncio.fixture
    async def driver(self) -> AsyncIterator[Driver]:
        async with Store().serve() as self.store, self.open_at(self.store.url) as driver:
            yield driver

    @pytest.fixture
    def faulty(self, driver: Driver) -> DriverAt:
        return DriverAt(self.store.url, self.open_at)

    @pytest.fixture
    def wrong_credentials(self, driver: Driver) -> AbstractAsyncContextManager[Driver]:
        return self.open_at(self.store.url, token=WRONG_TOKEN)

    @pytest.fixture
    def secrets(self) -> Collection[str]:
        return TOKEN, WRONG_TOKEN

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return self.driver_spec

    async def read(self, key: str) -> bytes | None:
        content, _ = self.store.objects.get(key, (None, ""))
        return None if content is None else bytes(content)

    async def remove(self, key: str) -> None:
        self.store.objects.pop(key, None)

    def open_at(self, url: str, token: str = TOKEN) -> AbstractAsyncContextManager[Driver]:
        return open_driver(self.driver_spec, url=url, token=token)
