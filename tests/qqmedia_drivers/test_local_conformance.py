"""The driver `local` keeps every promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from qqmedia import Driver, DriverSpec
from qqmedia.testing import DriverConformance, open_driver
from qqmedia_drivers.local import qqmedia_register_drivers


class TestLocalDriver(DriverConformance):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        self.path = tmp_path / "served"
        return self.path

    @pytest.fixture
    def opener(self, folder: Path) -> Callable[[], AbstractAsyncContextManager[Driver]]:
        return lambda: open_driver(self.made_spec(), host="127.0.0.1", port=0, resource_path=folder)

    @pytest_asyncio.fixture
    async def driver(self, opener: Callable[[], AbstractAsyncContextManager[Driver]]) -> AsyncIterator[Driver]:
        async with opener() as driver:
            yield driver

    @pytest.fixture
    def spec(self) -> DriverSpec:
        return self.made_spec()

    async def read(self, key: str) -> bytes | None:
        path = await asyncio.to_thread(self._find, key)
        try:
            return None if path is None else await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:  # taken down between the two
            return None

    async def remove(self, key: str) -> None:
        path = await asyncio.to_thread(self._find, key)
        if path is not None:
            await asyncio.to_thread(path.unlink)

    async def leftovers(self) -> Collection[str]:
        return await asyncio.to_thread(lambda: [str(path) for path in self.path.rglob("*.part")])

    @staticmethod
    def made_spec() -> DriverSpec:
        return qqmedia_register_drivers()

    def _find(self, key: str) -> Path | None:
        return next((path for path in self.path.rglob(key) if path.is_file()), None)
