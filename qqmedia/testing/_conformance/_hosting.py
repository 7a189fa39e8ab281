"""Promises that a host keeps over the driver: proved with this driver, so that the two fit."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from qqmedia.driver import Driver, SupportsDelete
from qqmedia.errors import MediaSourceError
from qqmedia.host import HostPolicy
from qqmedia.media import MediaKind
from qqmedia.testing._clock import ManualClock
from qqmedia.testing._conformance._base import ConformanceBase, skip_unless
from qqmedia.testing._uploads import make_content

__all__ = ("Hosting",)


class Hosting(ConformanceBase):
    """The driver under a `MediaHost`."""

    @pytest.mark.asyncio
    async def test_nothing_is_refused_before_it_is_stored(self, driver: Driver, tmp_path: Path) -> None:
        """No bytes are no medium."""
        async with self.hosted(driver, tmp_path) as host:
            with pytest.raises(MediaSourceError):
                async with host.prepare(MediaKind.FILE, b""):
                    pass

    @pytest.mark.asyncio
    async def test_what_a_host_publishes_is_served(self, driver: Driver, tmp_path: Path) -> None:
        """Under the key that the host gives."""
        async with (
            self.hosted(driver, tmp_path) as host,
            host.prepare(MediaKind.IMAGE, make_content(4000)) as upload,
        ):
            hosted = await host.publish(upload)
            await self.assert_served(hosted.url, hosted.upload)

    @pytest.mark.asyncio
    async def test_a_large_file_goes_through_a_host(self, driver: Driver, tmp_path: Path) -> None:
        """From a file, with the host's own eye on its progress."""
        path = tmp_path / "video.mp4"
        await asyncio.to_thread(path.write_bytes, make_content(3_000_000, kind=MediaKind.VIDEO))
        async with self.hosted(driver, tmp_path / "state") as host, host.prepare(MediaKind.VIDEO, path) as upload:
            hosted = await host.publish(upload)
            await self.assert_served(hosted.url, hosted.upload)

    @pytest.mark.asyncio
    async def test_a_host_takes_it_down_when_its_time_is_up(self, driver: Driver, tmp_path: Path) -> None:
        """And not before."""
        skip_unless(driver, SupportsDelete)
        clock = ManualClock()
        async with (
            self.hosted(driver, tmp_path, policy=HostPolicy(ttl=60.0), clock=clock) as host,
            host.prepare(MediaKind.IMAGE, make_content(4000)) as upload,
        ):
            hosted = await host.publish(upload)
            clock.advance(59)
            await self.assert_served(hosted.url, hosted.upload)
            clock.advance(2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.patience_seconds):
                    while await self.read(upload.key) is not None:
                        await asyncio.sleep(0.01)
            late = f"it is still there, {self.patience_seconds:g} s after its time was up"
            assert await self.read(upload.key) is None, late
