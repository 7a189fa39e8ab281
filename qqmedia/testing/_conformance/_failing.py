"""Promises about a store that is not well, behind a proxy of the kit; and about credentials that are wrong."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest

from qqmedia.driver import Driver, SupportsCheck
from qqmedia.errors import StorageError, StoragePermissionError, StorageUnavailableError
from qqmedia.host import HostPolicy
from qqmedia.media import MediaKind
from qqmedia.testing._conformance._base import ConformanceBase, DriverAt, skip_without
from qqmedia.testing._uploads import make_content, make_upload

__all__ = ("Failing",)

_MIB: Final = 1024 * 1024
_LONGEST_FAILURE_SECONDS: Final = 20.0  # an SDK may have tries of its own
_IDLE_SECONDS: Final = 0.3
_SERVER_ERROR: Final = 500
_BUSY: Final = 503


class Failing(ConformanceBase):
    """What a driver says, and what it leaves, when the store fails."""

    @pytest.mark.asyncio
    async def test_a_store_that_refuses_is_unavailable_and_may_come_back(
        self, driver: Driver, given_faulty: DriverAt | None
    ) -> None:
        """`StorageUnavailableError`; and the next put works when the store does."""
        upload = make_upload()
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            await proxy.refuse()
            async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
                with pytest.raises(StorageError) as caught:
                    await faulty.put(upload)
            assert isinstance(caught.value, StorageUnavailableError), f"not {caught.value!r}"
            await proxy.heal()
            await self.assert_served(await faulty.put(upload), upload)

    @pytest.mark.asyncio
    async def test_an_error_has_the_sdks_as_its_cause(self, driver: Driver, given_faulty: DriverAt | None) -> None:
        """Whoever looks for the reason needs it: raise yours `from` it."""
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            await proxy.refuse()
            async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
                with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is another test's matter
                    await faulty.put(make_upload())
        if isinstance(caught.value, StorageError):
            assert caught.value.__cause__ is not None, f"{caught.value!r} has no cause"

    @pytest.mark.asyncio
    async def test_a_check_of_a_store_that_refuses_says_unavailable(
        self, driver: Driver, given_faulty: DriverAt | None
    ) -> None:
        """A bot starts all the same then, with a warning."""
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            if not isinstance(faulty, SupportsCheck):
                pytest.skip(f"{type(faulty).__name__} is no SupportsCheck")
            await proxy.refuse()
            async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
                with pytest.raises(StorageUnavailableError):
                    await faulty.check()

    @pytest.mark.asyncio
    async def test_a_store_that_stalls_is_given_up_in_time(
        self, driver: Driver, given_faulty: DriverAt | None, tmp_path: Path
    ) -> None:
        """The host's limit holds: a driver lets go when it is cancelled. Then the next put works."""
        content = make_content(100_000)
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            await proxy.stall()
            policy = HostPolicy(put_timeout=_IDLE_SECONDS, retries=0)
            async with (
                self.hosted(faulty, tmp_path, policy=policy) as host,
                host.prepare(MediaKind.IMAGE, content) as upload,
            ):
                publishing = asyncio.create_task(host.publish(upload), name="publish")
                # Find, and put; then a thread of a synchronous SDK may be waited for, for a while.
                await asyncio.wait([publishing], timeout=2 * _IDLE_SECONDS + self.patience_seconds)
                in_time = publishing.done()
                await proxy.heal()  # whatever hangs in there comes free
                await asyncio.wait([publishing], timeout=_LONGEST_FAILURE_SECONDS)
            assert in_time, f"the put goes on although it was cancelled {self.patience_seconds:g} s ago"
            assert isinstance(publishing.exception(), StorageUnavailableError), f"not {publishing.exception()!r}"
            await self.assert_served(await faulty.put(upload), upload)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("after_bytes", [0, 2 * _MIB], ids=["at once", "in the body"])
    async def test_a_cut_connection_is_unavailable_and_leaves_nothing_half(
        self, driver: Driver, given_faulty: DriverAt | None, after_bytes: int
    ) -> None:
        """However often it is cut; and the next put works."""
        upload = make_upload(make_content(6 * _MIB, kind=MediaKind.VIDEO), kind=MediaKind.VIDEO)
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            await proxy.cut(after_bytes=after_bytes)
            async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
                with pytest.raises(StorageError) as caught:
                    await faulty.put(upload)
            assert isinstance(caught.value, StorageUnavailableError), f"not {caught.value!r}"
            await self.assert_whole_or_nothing(upload)
            await proxy.heal()
            await self.assert_served(await faulty.put(upload), upload)

    @pytest.mark.asyncio
    async def test_500_then_200_is_stored(self, driver: Driver, given_faulty: DriverAt | None, tmp_path: Path) -> None:
        """By the host's tries, which need the right class: a fault that passes by itself, and nothing to be seen."""
        content = make_content(300_000)
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            _skip_with_tls(given_faulty)
            async with (
                self.hosted(faulty, tmp_path) as host,
                host.prepare(MediaKind.IMAGE, content) as upload,
            ):
                await proxy.answer(_SERVER_ERROR, times=2)
                hosted = await host.publish(upload)
            await self.assert_served(hosted.url, upload)

    @pytest.mark.asyncio
    async def test_503_for_good_is_unavailable(self, driver: Driver, given_faulty: DriverAt | None) -> None:
        """After a bounded number of tries."""
        upload = make_upload()
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            _skip_with_tls(given_faulty)
            await proxy.answer(_BUSY)
            async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
                with pytest.raises(StorageError) as caught:
                    await faulty.put(upload)
        assert isinstance(caught.value, StorageUnavailableError), f"not {caught.value!r}"

    @pytest.mark.asyncio
    async def test_a_slow_store_is_waited_for(self, driver: Driver, given_faulty: DriverAt | None) -> None:
        """Slow is not broken."""
        upload = make_upload(make_content(50_000))
        async with self.behind_proxy(given_faulty) as (faulty, proxy):
            await proxy.delay(0.05)
            url = await faulty.put(upload)
            await proxy.heal()
            await self.assert_served(url, upload)

    @pytest.mark.asyncio
    async def test_wrong_credentials_are_a_matter_of_permission(
        self, driver: Driver, given_wrong_credentials: AbstractAsyncContextManager[Driver] | None
    ) -> None:
        """`StoragePermissionError`, which nobody tries again, in one line that a person can act on."""
        if given_wrong_credentials is None:
            skip_without("wrong_credentials", "opens the driver with credentials that the store refuses")
        upload = make_upload(make_content(321, seed="wrong credentials"))
        async with asyncio.timeout(_LONGEST_FAILURE_SECONDS):
            with pytest.raises(StorageError) as caught:
                async with given_wrong_credentials as wrong:
                    await wrong.put(upload)
        assert isinstance(caught.value, StoragePermissionError), f"not {caught.value!r}"
        assert "\n" not in str(caught.value), f"more than one line: {caught.value}"
        assert await self.read(upload.key) is None, "it was stored all the same"


def _skip_with_tls(faulty: DriverAt | None) -> None:
    if faulty is not None and faulty.url.startswith("https:"):
        pytest.skip("the kit's proxy cannot answer in the place of a TLS server")
