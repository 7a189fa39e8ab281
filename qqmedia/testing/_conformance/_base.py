"""What the author of a driver gives to the kit, and what all its tests use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

import aiohttp
import pytest

from qqmedia._context import Clock
from qqmedia.driver import Driver, DriverContext, DriverSpec
from qqmedia.hookspecs import hookimpl
from qqmedia.host import HostPolicy, MediaHost
from qqmedia.media import Upload
from qqmedia.testing._fetching import Answer, expiry_in, fetch, new_client
from qqmedia.testing._proxy import FaultyProxy, faulty_proxy

__all__ = ("ConformanceBase", "DriverAt")

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DriverAt:
    """How the driver is opened at another address of its server.

    Attributes:
        url: Where the server really is, ``http://HOST:PORT``. The kit puts its proxy before it.
        open: Called with the address of the proxy; opens the driver there.
    """

    url: str
    open: Callable[[str], AbstractAsyncContextManager[Driver]]


class ConformanceBase:
    """Back doors and helpers; `DriverConformance` says what to write.

    Attributes:
        memory_limit_bytes: What a put of 64 MiB may add to the memory of this process, the store's share included
            where it lives in this process too. `None`: it keeps its objects in this very memory, and large bodies are
            not measured.
        types_by_extension: The store derives the type from the extension of a name, as web servers over a folder do,
            and takes none from the driver. The keys that a host makes have the extension that fits.
        patience_seconds: How long is waited for what must come about by itself: a put that was given up ends, its
            leftovers are removed, tasks end. Time passes only where something is wrong, or slow.
    """

    memory_limit_bytes: ClassVar[int | None] = 40 * _MIB
    types_by_extension: ClassVar[bool] = False
    patience_seconds: ClassVar[float] = 5.0

    # --- back doors

    async def read(self, key: str) -> bytes | None:
        """Read the object of this key from the store, without the driver; `None` where there is none."""
        raise NotImplementedError(f"{type(self).__name__} must have `async def read(self, key) -> bytes | None`")

    async def remove(self, key: str) -> None:
        """Remove the object of this key from the store, without the driver; do nothing where there is none."""
        raise NotImplementedError(f"{type(self).__name__} must have `async def remove(self, key) -> None`")

    async def leftovers(self) -> Collection[str]:
        """Name what half-done puts left in the store: multipart uploads, temporary objects. Nothing, by default."""
        return ()

    def client(self) -> aiohttp.ClientSession:
        """Return a new client that fetches URLs; override it for a certificate of your own or other host names."""
        return new_client()

    def url_expires_at(self, url: str) -> datetime | None:
        """Say until when a URL is good, by what stands in it; `None` where it names no end."""
        return expiry_in(url)

    # --- optional fixtures of the author's class, looked up before the event loop runs

    @pytest.fixture
    def given_faulty(self, request: pytest.FixtureRequest) -> DriverAt | None:
        """The author's `faulty`, if there is one."""
        found: DriverAt | None = self._optional(request, "faulty")
        return found

    @pytest.fixture
    def given_wrong_credentials(self, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Driver] | None:
        """The author's `wrong_credentials`, if there is one."""
        found: AbstractAsyncContextManager[Driver] | None = self._optional(request, "wrong_credentials")
        return found

    @pytest.fixture
    def given_secrets(self, request: pytest.FixtureRequest) -> Collection[str] | None:
        """The author's `secrets`, if there is one."""
        found: Collection[str] | None = self._optional(request, "secrets")
        return found

    @pytest.fixture
    def given_spec(self, request: pytest.FixtureRequest) -> DriverSpec | None:
        """The author's `spec`, if there is one."""
        found: DriverSpec | None = self._optional(request, "spec")
        return found

    @pytest.fixture
    def given_opener(
        self, request: pytest.FixtureRequest, given_faulty: DriverAt | None
    ) -> Callable[[], AbstractAsyncContextManager[Driver]] | None:
        """The author's `opener`; else `faulty` opens the driver at the very server."""
        opener: Callable[[], AbstractAsyncContextManager[Driver]] | None = self._optional(request, "opener")
        if opener is None and (faulty := given_faulty) is not None:
            return lambda: faulty.open(faulty.url)
        return opener

    def _optional(self, request: pytest.FixtureRequest, name: str) -> Any:
        return request.getfixturevalue(name) if hasattr(type(self), name) else None

    # --- helpers of the tests

    async def get(self, url: str | None) -> Answer:
        """Fetch the URL with a plain GET."""
        assert url is not None, "put returned no URL: this driver hosts nothing, and there is nothing to prove"
        async with self.client() as client:
            return await fetch(client, url)

    async def assert_served(self, url: str | None, upload: Upload) -> Answer:
        """Fetch the URL; it must answer with exactly these bytes."""
        answer = await self.get(url)
        assert answer.status == 200, f"{url} answered {answer.status}"
        assert answer.size == upload.size, f"{url} answered {answer.size} bytes, {upload.size} were put"
        assert answer.sha256 == upload.sha256, f"{url} answered other bytes than were put ({upload.size} of them)"
        return answer

    async def assert_whole_or_nothing(self, upload: Upload) -> bytes | None:
        """Look through the back door; half an object must not be there."""
        stored = await self.read(upload.key)
        if stored is not None:
            content = await asyncio.to_thread(upload.read)
            assert len(stored) == len(content), f"{len(stored)} of {len(content)} bytes are stored under {upload.key}"
            assert stored == content, f"other bytes than were put are stored under {upload.key}"
        return stored

    async def assert_no_leftovers(self) -> None:
        """Look for what half-done puts left; a thread that was told to stop may take a moment to clean up."""
        deadline = time.monotonic() + self.patience_seconds
        while (left := await self.leftovers()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert not left, f"puts that were ended left something half-done in the store: {', '.join(left)}"

    @asynccontextmanager
    async def behind_proxy(self, faulty: DriverAt | None) -> AsyncIterator[tuple[Driver, FaultyProxy]]:
        """Open the driver behind a proxy that is healthy yet; skip where the author gave no `faulty`."""
        if faulty is None:
            skip_without("faulty", "opens the driver at another address (`DriverAt`)")
        async with faulty_proxy(faulty.url) as proxy, faulty.open(proxy.url) as driver:
            yield driver, proxy

    @asynccontextmanager
    async def hosted(
        self, driver: Driver, folder: Path, *, policy: HostPolicy | None = None, clock: Clock | None = None
    ) -> AsyncIterator[MediaHost]:
        """Open a host over this very driver, which stays open."""
        async with MediaHost(
            "conformance", policy=policy or HostPolicy(retry_wait=0.0), plugins=[_Lent(driver)], clock=clock,
            platform_on_loopback=True, state_dir=folder, check=False,
        ) as host:  # fmt: skip
            yield host


class _Lent:
    """A plugin that brings a driver which is open already."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        """Bring it."""
        return DriverSpec(name="conformance", open=self._open)

    @asynccontextmanager
    async def _open(self, _settings: Any, _context: DriverContext) -> AsyncIterator[Driver]:
        yield self._driver


def skip_without(fixture: str, what: str) -> NoReturn:
    """Skip the test, and say which fixture of the author's class would let it run."""
    pytest.skip(f"there is no fixture `{fixture}` that {what}")


def skip_unless(driver: Driver, protocol: type[Any]) -> None:
    """Skip the test where the driver does not have this ability."""
    if not isinstance(driver, protocol):
        pytest.skip(f"{type(driver).__name__} is no {protocol.__name__}")
