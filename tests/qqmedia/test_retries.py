"""A retry is told once, in our words; what a driver tells of retries of its own is left alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stamina

from qqmedia import Driver, DriverContext, DriverSpec, HostPolicy, StorageUnavailableError, Upload, hookimpl, open_host
from qqmedia.testing import MemoryDriver, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
AT_ONCE = HostPolicy(retries=2, retry_wait=0)


class Retrying:
    """Somebody's driver, which tries again by itself before it gives up."""

    def __init__(self) -> None:
        self.tries = 0

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        return DriverSpec(name="retrying", open=self._open)

    @asynccontextmanager
    async def _open(self, _settings: Any, _context: DriverContext) -> AsyncIterator[Driver]:
        yield self

    async def put(self, upload: Upload, /) -> str:
        try:
            async for attempt in stamina.retry_context(on=OSError, attempts=2, wait_initial=0, wait_jitter=0):
                with attempt:
                    self._send()
        except OSError as error:
            raise StorageUnavailableError("reset") from error
        return f"https://pics.example/{upload.key}"

    def _send(self) -> None:
        self.tries += 1
        if self.tries < 4:
            raise OSError("reset")


async def _put_twice_in_vain(caplog: pytest.LogCaptureFixture) -> list[str]:
    driver = MemoryDriver()
    async with memory_host(driver, policy=AT_ONCE) as host:
        driver.fail(StorageUnavailableError("503 slow down"))
        driver.fail(StorageUnavailableError("503 slow down"))
        await host.get_image(PNG)
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.asyncio
async def test_a_retry_is_one_line_where_the_root_logger_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    said = await _put_twice_in_vain(caplog)
    assert said == [f"driver 'memory': 503 slow down; trying again ({number})" for number in (1, 2)]


@pytest.mark.asyncio
async def test_retries_of_others_are_told_as_before(caplog: pytest.LogCaptureFixture) -> None:
    """Within a driver, between our own tries, and when a put is over."""
    driver = Retrying()
    async with open_host("retrying", plugins=[driver], policy=AT_ONCE) as host:
        assert str(await host.get_image(PNG)).startswith("https://pics.example/")
    told = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["stamina", "qqmedia.host", "stamina"]
    await _put_twice_in_vain(caplog)
    async for attempt in stamina.retry_context(on=OSError, attempts=2, wait_initial=0, wait_jitter=0):
        with attempt:
            if attempt.num == 1:
                raise OSError("ours")
    assert [record.name for record in caplog.records].count("stamina") == 3
