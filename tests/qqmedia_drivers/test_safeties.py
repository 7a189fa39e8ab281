"""Each safety of the cloud drivers, taken out alone, makes a named test of the kit fail; with it, that test passes.

``pytest tests/qqmedia_drivers/test_safeties.py -v`` prints the table: driver, safety, and the test that fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from qqmedia import Driver, MediaKind, Upload
from qqmedia.testing import DriverAt, DriverConformance, driver_context
from qqmedia_drivers._sdk.driver import BucketDriver, ObjectHeaders
from qqmedia_drivers._sdk.threads import SdkThreads, Stop
from qqmedia_drivers.cos._client import connect as connect_cos
from qqmedia_drivers.cos._settings import CosSettings
from qqmedia_drivers.cos._store import CosStore
from qqmedia_drivers.oss._client import connect as connect_oss
from qqmedia_drivers.oss._settings import OssSettings
from qqmedia_drivers.oss._store import OssStore
from qqmedia_drivers.s3._client import connect as connect_s3
from qqmedia_drivers.s3._settings import S3Settings
from qqmedia_drivers.s3._store import S3Store
from tests.fakes.s3_server import door
from tests.fakes.seaweedfs import SeaweedFS
from tests.qqmedia_drivers.clouds import COS, KEYS, OSS, Cloud, refusal
from tests.qqmedia_drivers.test_clouds_conformance import PREFIX, CloudConformance
from tests.qqmedia_drivers.test_s3_conformance import S3Conformance

TOKEN = KEYS[1].token or ""


class Around:
    """Passes everything through; what derives from it lacks one thing."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class WithoutType(Around):
    def put(self, name: str, headers: ObjectHeaders, body: Any) -> None:
        self._inner.put(name, replace(headers, content_type="application/octet-stream"), body)


class WithoutAbort(Around):
    def parts(self, name: str, headers: ObjectHeaders) -> Any:
        return _ForgetfulParts(self._inner.parts(name, headers))


class _ForgetfulParts(Around):
    def abort(self, upload_id: str) -> None:
        del upload_id


class WithoutTranslation(Around):
    @property
    def errors(self) -> Any:
        return _RawErrors(self._inner.errors)


class WithoutRedaction(Around):
    @property
    def errors(self) -> Any:
        self._inner.errors._secrets.clear()
        return self._inner.errors


class _RawErrors(Around):
    def translated(self, opening: str = "") -> AbstractContextManager[None]:
        del opening
        return contextlib.nullcontext()


class WithoutThreads(BucketDriver):
    async def put(self, upload: Upload, /) -> str:
        return self._put(upload, Stop())


@contextlib.contextmanager
def sdks_logging_from(level: int) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("qcloud_cos", "oss2", "botocore", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)


@pytest.fixture(autouse=True)
def _quiet_sdks() -> Iterator[None]:
    """As the drivers' `open` functions leave them."""
    with sdks_logging_from(logging.CRITICAL):
        yield


@dataclass(frozen=True, kw_only=True)
class Target:
    """A driver with its store, and the kit's class for it."""

    kit: DriverConformance
    url: str
    settings: Any
    connect: Callable[[Any], Any]

    @asynccontextmanager
    async def open(self, safety: Safety | None, url: str | None = None) -> AsyncIterator[Driver]:
        """Open the driver without this safety, or whole."""
        settings = self.settings if url is None else self.settings.model_copy(update={"endpoint_url": url})
        store = await asyncio.to_thread(self.connect, settings)
        try:
            async with driver_context() as context, SdkThreads("test", settings.threads) as threads:
                if safety is None:
                    yield BucketDriver(settings, context, threads, store)
                else:
                    yield safety.driver(settings, context, threads, safety.store(store))
        finally:
            store.close()

    @asynccontextmanager
    async def told(self, safety: Safety | None) -> AsyncIterator[Driver]:
        """Open it where the next put is refused in words that hold the token."""
        self.kit.store.answer_next("PutObject", 403, refusal("AccessDenied", f"no, {TOKEN}"))  # type: ignore[attr-defined]  # of a double
        async with self.open(safety) as driver:
            yield driver


@dataclass(frozen=True, kw_only=True)
class Safety:
    """What is taken out, of which drivers, and how; which test of the kit must fail then, and how that is called."""

    name: str
    of: Collection[str] = ("cos", "oss", "s3")
    store: Callable[[Any], Any] = lambda store: store
    driver: type[BucketDriver] = BucketDriver
    around: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    fails: str
    arguments: Callable[[Calling], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Calling:
    """What the arguments of a test are made of."""

    folder: Path
    caplog: pytest.LogCaptureFixture
    faulty: DriverAt
    told: AbstractAsyncContextManager[Driver]  # at a service that repeats what it was sent


SAFETIES = (
    Safety(
        name="content type", store=WithoutType,
        fails="test_content_type_is_the_uploads", arguments=lambda _: (MediaKind.IMAGE, "image/jpeg"),
    ),
    Safety(
        name="abort", of=["cos"], store=WithoutAbort,  # six seconds
        fails="test_a_cancelled_put_leaves_the_whole_object_or_nothing",
        arguments=lambda calling: (calling.folder, "in the middle"),
    ),
    Safety(
        name="translation", store=WithoutTranslation,
        fails="test_a_store_that_refuses_is_unavailable_and_may_come_back",
        arguments=lambda calling: (calling.faulty,),
    ),
    Safety(
        name="thread pool", driver=WithoutThreads,
        fails="test_reading_the_upload_does_not_block_the_loop", arguments=lambda calling: (calling.folder,),
    ),
    Safety(
        name="secret filter of logs", of=["cos"],  # the others' logs hold signatures at most
        around=lambda: sdks_logging_from(logging.DEBUG),
        fails="test_no_secret_in_any_log_line", arguments=lambda calling: ([TOKEN], None, None, calling.caplog),
    ),
    Safety(
        name="secret filter of errors", of=["cos", "oss"], store=WithoutRedaction,  # whose doubles can be told to
        fails="test_no_secret_in_an_error", arguments=lambda calling: ([TOKEN], None, calling.told),
    ),
)  # fmt: skip


def _cloud(cloud: Cloud, folder: Path, model: Any, connect: Callable[[Any], Any]) -> Iterator[Target]:
    with cloud.running(folder) as service:
        kit = CloudConformance()
        kit.store = service
        settings = cloud.settings(service, prefix=PREFIX, **{cloud.key_id: "IDsts", cloud.token: TOKEN})
        yield Target(kit=kit, url=service.url, settings=model(**settings), connect=connect)


@pytest.fixture
def cos_target(tmp_path: Path) -> Iterator[Target]:
    connect_and_wrap = lambda settings: CosStore(settings, connect_cos(settings))  # noqa: E731 - one line beside two
    yield from _cloud(COS, tmp_path / "cos", CosSettings, connect_and_wrap)


@pytest.fixture
def oss_target(tmp_path: Path) -> Iterator[Target]:
    connect_and_wrap = lambda settings: OssStore(settings, connect_oss(settings))  # noqa: E731 - as above
    yield from _cloud(OSS, tmp_path / "oss", OssSettings, connect_and_wrap)


@pytest.fixture
def s3_target(seaweed: SeaweedFS) -> Target:
    kit = S3Conformance()
    kit.server, kit.door, kit.scheme = seaweed, door(seaweed), "http"
    settings = S3Settings(**seaweed.settings(prefix=PREFIX))
    return Target(
        kit=kit, url=seaweed.http_url, settings=settings, connect=lambda given: S3Store(given, connect_s3(given))
    )


def _rows() -> Iterator[Any]:
    for safety in SAFETIES:
        for driver in safety.of:
            # What has no threads blocks the loop, and the kit is to notice, not BlockBuster.
            marks = [pytest.mark.blocking] if safety.driver is WithoutThreads else []
            yield pytest.param(driver, safety, id=f"{driver} without {safety.name}: {safety.fails}", marks=marks)


@pytest.fixture
def target(request: pytest.FixtureRequest, driver: str) -> Target:
    found: Target = request.getfixturevalue(f"{driver}_target")
    return found


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # oss2, which is opened here by hand
@pytest.mark.parametrize(("driver", "safety"), list(_rows()))
async def test_without_it_the_kit_complains(
    target: Target, safety: Safety, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promise = getattr(target.kit, safety.fails)

    async def prove(without: Safety | None) -> None:
        calling = Calling(
            folder=tmp_path, caplog=caplog, told=target.told(without),
            faulty=DriverAt(url=target.url, open=lambda url: target.open(without, url)),
        )  # fmt: skip
        async with target.open(without) as driver:
            await promise(driver, *safety.arguments(calling))

    await prove(None)
    caplog.clear()
    with safety.around(), pytest.raises((Exception, pytest.fail.Exception)):
        await prove(safety)
