"""The driver in memory keeps every promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest
import pytest_asyncio

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverConformance, MemoryDriver


class TestMemoryDriver(DriverConformance):
    memory_limit_bytes: ClassVar[int | None] = None  # it is the memory

    @pytest_asyncio.fixture
    async def driver(self) -> AsyncIterator[Driver]:
        async with MemoryDriver().serve() as driver:
            self.objects = driver.objects
            yield driver

    @pytest.fixture
    def opener(self) -> Callable[[], AbstractAsyncContextManager[Driver]]:
        return lambda: MemoryDriver().serve()

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return MemoryDriver().qqmedia_register_drivers()

    async def read(self, key: str) -> bytes | None:
        stored = self.objects.get(key)
        return stored.content if stored else None

    async def remove(self, key: str) -> None:
        self.objects.pop(key, None)
