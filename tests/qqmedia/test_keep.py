"""What is kept lasts: after its host's `ttl`, after a restart, and it says so where it cannot."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import qqmedia
from qqmedia import DriverSpec, HostedMedia, HostPolicy, MediaKind, StorageError, StorageQuotaError, Upload, hookimpl
from qqmedia.host import MediaHost
from qqmedia.media import LASTING
from qqmedia.testing import ManualClock, MemoryDriver, memory_host
from tests.fakes.bucket_values import Key
from tests.fakes.cos import FakeCos

WEEK = timedelta(days=7)


async def kept(host: MediaHost, content: bytes = b"content") -> HostedMedia:
    async with host.prepare(MediaKind.FILE, content, filename="a.txt") as upload:
        return await host.keep(upload)


async def published(host: MediaHost, content: bytes = b"content") -> HostedMedia:
    async with host.prepare(MediaKind.FILE, content, filename="a.txt") as upload:
        return await host.publish(upload)


async def fetched(url: str | None) -> bytes | int:
    assert url is not None
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.read() if answer.status == 200 else answer.status


@pytest.mark.asyncio
async def test_it_outlives_what_is_published_and_is_stored_once() -> None:
    driver, clock = MemoryDriver(), ManualClock()
    async with memory_host(driver, clock=clock, policy=HostPolicy(ttl=60.0)) as host:
        [one, again], other = await asyncio.gather(asyncio.gather(kept(host), kept(host)), published(host))
        assert one.url == again.url != other.url
        assert one.expires_at is None
        assert len(driver.puts) == 2
        clock.advance(3600.0)
        async with asyncio.timeout(5):
            while await fetched(other.url) != 404:
                pass
        assert await fetched(one.url) == b"content"
        assert (await kept(host)).url == one.url
        assert len(driver.puts) == 2


@pytest.mark.asyncio
async def test_the_local_server_has_it_after_a_restart(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def opened() -> MediaHost:
        return qqmedia.open_host(
            "local", host="127.0.0.1", port=port, resource_path=tmp_path / "resource", state_dir=tmp_path / "state"
        )

    large = bytes(range(256)) * 8192
    async with opened() as host:
        one, two, gone = await kept(host), await kept(host, large), await published(host)
        assert host.own_addresses == (f"http://127.0.0.1:{port}",)
    async with opened() as host:
        assert await fetched(one.url) == b"content"
        assert await fetched(two.url) == large
        assert await fetched(gone.url) == 404
        assert (await kept(host)).url == one.url
    files = await asyncio.to_thread(lambda: [path.name for path in tmp_path.rglob("kept/*")])
    assert len(files) == 2  # and nothing half-written


@pytest.mark.asyncio
@pytest.mark.parametrize(("url", "lasts"), [("public", True), ("presigned", False)])
async def test_a_cloud_keeps_it_where_its_urls_do_not_end(url: str, lasts: bool, tmp_path: Path) -> None:
    bucket: dict[str, Any] = {"bucket": "pics-1250000000", "region": "ap-guangzhou"}
    keys = {"secret_id": "AKID", "secret_key": "right-secret"}
    service = FakeCos.running(tmp_path / "cos", **bucket, keys=[Key(key_id="AKID", secret="right-secret")])
    cos = await asyncio.to_thread(service.__enter__)
    cos.public_read = True
    try:
        settings = bucket | keys | {"endpoint_url": cos.url, "url": url}
        async with qqmedia.open_host(
            "cos", state_dir=tmp_path / "state", platform_on_loopback=True, **settings
        ) as host:
            one = await kept(host)
            assert (one.expires_at is None) is lasts
            assert "/qqmedia/kept/" in (one.url or "")
            assert ("sign" in (one.url or "")) is not lasts
            assert await fetched(one.url) == b"content"
    finally:
        await asyncio.to_thread(service.__exit__, None, None, None)


class Weekly:
    """A driver as presigned URLs make it."""

    def __init__(self, error: StorageError | None = None) -> None:
        self.ttls: list[timedelta] = []
        self.error = error

    async def put(self, upload: Upload, /) -> str:
        self.ttls.append(upload.ttl)
        if self.error is not None:
            raise self.error
        return f"https://bucket.example/{upload.key}?sign=secret"

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        @asynccontextmanager
        async def opened(_settings: Any, _context: Any) -> AsyncIterator[Weekly]:
            yield self

        return DriverSpec(name="weekly", open=opened)


@pytest.mark.asyncio
async def test_a_driver_that_cannot_is_asked_for_a_week_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.WARNING)
    driver = Weekly()
    async with qqmedia.open_host("weekly", plugins=[driver], state_dir=tmp_path) as host:
        one, two = await kept(host), await kept(host, b"other")
    assert driver.ttls == [WEEK, WEEK]
    assert None not in (one.expires_at, two.expires_at)
    [line] = [record.getMessage() for record in caplog.records]
    assert "'weekly' does not keep media for good" in line
    assert "7 days only" in line
    assert "secret" not in line


@pytest.mark.asyncio
async def test_of_several_drivers_the_first_that_stores_it_keeps_it(tmp_path: Path) -> None:
    full, memory = Weekly(StorageQuotaError("full")), MemoryDriver()
    async with qqmedia.open_host(["direct", "weekly", "memory"], plugins=[full, memory], state_dir=tmp_path) as host:
        assert (await kept(host)).driver == "memory"
    async with qqmedia.open_host(["weekly", "direct"], plugins=[full], state_dir=tmp_path) as host:
        with pytest.raises(StorageQuotaError, match="full"):
            await kept(host)
    async with qqmedia.open_host("direct", state_dir=tmp_path) as host:
        assert (await kept(host)).url is None


def test_what_lasts_fits_into_31_bits_of_seconds() -> None:
    assert LASTING.total_seconds() < 2**31


@pytest.mark.asyncio
async def test_nobody_waits_for_the_end_of_what_has_none() -> None:
    async with memory_host() as host:
        await kept(host)
        assert "qqmedia expiry" not in {task.get_name() for task in asyncio.all_tasks()}
        await published(host)
        assert "qqmedia expiry" in {task.get_name() for task in asyncio.all_tasks()}
