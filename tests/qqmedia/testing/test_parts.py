"""The parts of the kit that are of use by themselves: proxy, uploads, strategies, opening."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given

from qqmedia import ConfigurationError, DriverSpec, HostPolicy, MediaKind, Upload
from qqmedia._keys import valid_key
from qqmedia.sniff import sniff
from qqmedia.testing import (
    DriverConformance,
    FaultyProxy,
    ManualClock,
    MemoryDriver,
    driver_context,
    faulty_proxy,
    make_content,
    make_upload,
    media_of,
    object_keys,
    open_driver,
    uploads,
)
from qqmedia.testing._fetching import expiry_in
from qqmedia.voice import inspect_silk
from tests.qqmedia.testing.store import SPEC, TOKEN, Store
from tests.waiting import until


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[FaultyProxy]:
    async with Store().serve() as store:
        store.objects["there"] = bytearray(b"x" * 100_000), "image/png"
        async with faulty_proxy(store.url) as proxy:
            yield proxy


async def get(proxy: FaultyProxy, limit_seconds: float = 5.0) -> tuple[int, int]:
    limits = aiohttp.ClientTimeout(total=limit_seconds)
    async with aiohttp.ClientSession(timeout=limits) as client, client.get(f"{proxy.url}/there") as answer:
        return answer.status, len(await answer.read())


@pytest.mark.asyncio
async def test_a_healthy_proxy_passes_everything_on(proxy: FaultyProxy) -> None:
    assert await get(proxy) == (200, 100_000)


@pytest.mark.asyncio
async def test_a_proxy_refuses_and_comes_back_at_the_same_address(proxy: FaultyProxy) -> None:
    url = proxy.url
    await proxy.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(proxy)
    await proxy.heal()
    assert proxy.url == url
    assert await get(proxy) == (200, 100_000)


@pytest.mark.asyncio
async def test_a_proxy_stalls(proxy: FaultyProxy) -> None:
    await proxy.stall()
    with pytest.raises(TimeoutError):
        await get(proxy, 0.1)
    assert proxy.connections == 1


@pytest.mark.asyncio
async def test_a_proxy_cuts_what_is_sent(proxy: FaultyProxy) -> None:
    await proxy.cut(after_bytes=50_000)
    assert await get(proxy) == (200, 100_000)  # this one sends little
    async with aiohttp.ClientSession() as client:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.put(f"{proxy.url}/new", data=b"x" * 900_000)


@pytest.mark.asyncio
async def test_a_proxy_answers_so_often_itself(proxy: FaultyProxy) -> None:
    await proxy.answer(503, times=2)
    assert [(await get(proxy))[0] for _ in range(3)] == [503, 503, 200]


@pytest.mark.asyncio
async def test_a_proxy_answers_who_is_still_sending(proxy: FaultyProxy) -> None:
    await proxy.answer(500)
    async with aiohttp.ClientSession() as client, client.put(f"{proxy.url}/new", data=b"x" * 900_000) as answer:
        assert answer.status == 500


@pytest.mark.asyncio
async def test_a_proxy_delays(proxy: FaultyProxy) -> None:
    await proxy.delay(0.05)
    began = time.monotonic()
    assert await get(proxy) == (200, 100_000)
    assert time.monotonic() - began >= 0.1  # there, and back


@pytest.mark.asyncio
async def test_a_proxy_holds_back_until_it_is_told_to_let_go(proxy: FaultyProxy) -> None:
    await proxy.hold(most_seconds=5)
    asking = asyncio.create_task(get(proxy), name="request that is held")
    await until(lambda: proxy.holding)
    assert not asking.done()
    assert await proxy.let_go()
    assert await asking == (200, 100_000)
    assert not proxy.holding


@pytest.mark.asyncio
async def test_a_proxy_that_was_not_told_in_time_lets_go_and_says_so(proxy: FaultyProxy) -> None:
    await proxy.hold(most_seconds=0.02)
    assert await get(proxy) == (200, 100_000)
    assert not await proxy.let_go()


@pytest.mark.asyncio
async def test_connections_that_are_open_are_closed_when_a_fault_is_set(proxy: FaultyProxy) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{proxy.url}/there") as answer:
            await answer.read()
        await proxy.answer(500)
        async with client.get(f"{proxy.url}/there") as answer:
            assert answer.status == 500


@pytest.mark.parametrize("host", ["localhost", "bucket.localhost"])
def test_a_proxy_keeps_names_of_loopback(host: str) -> None:
    proxy = FaultyProxy(f"http://{host}:1234/base")
    try:
        assert proxy.url == f"http://{host}:0/base"
    finally:
        proxy._loop.close()


@given(media_of(MediaKind.IMAGE))
def test_media_are_what_they_are_said_to_be(content: bytes) -> None:
    assert sniff(content).kind is MediaKind.IMAGE


@given(object_keys())
def test_keys_are_those_that_a_host_lets_through(key: str) -> None:
    assert valid_key(key) == key


@given(uploads())
def test_uploads_are_as_a_host_makes_them(upload: Upload) -> None:
    assert upload == make_upload(upload.read(), kind=upload.kind, ttl=upload.ttl)
    assert upload.kind is MediaKind.FILE or sniff(upload.read()).kind is upload.kind
    assert upload.key.endswith(f".{sniff(upload.read()).extension}")


@pytest.mark.parametrize("kind", list(MediaKind))
@pytest.mark.parametrize("size", [1, 8, 1000])
def test_content_has_its_size_and_is_the_same_for_the_same_seed(kind: MediaKind, size: int) -> None:
    content = make_content(size, kind=kind, seed="a")
    assert len(content) == size
    assert content == make_content(size, kind=kind, seed="a")
    assert make_content(1000, kind=kind, seed="a") != make_content(1000, kind=kind, seed="b")
    assert kind is MediaKind.FILE or sniff(make_content(1000, kind=kind)).kind is kind


@pytest.mark.parametrize("size", [13, 500, 1012, 1013, 1014, 1015, 1016, 2017, 100_000])
def test_a_voice_is_silk_that_a_host_takes_as_it_is(size: int) -> None:
    info = inspect_silk(make_content(size, kind=MediaKind.VOICE))
    assert (info.size, info.tencent) == (size, True)
    assert info.packets <= 1 + size // 1000


def test_an_upload_of_a_file_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(make_content(5000, kind=MediaKind.VIDEO))
    upload = make_upload(path, kind=MediaKind.VIDEO, key="own/key.mp4")
    assert (upload.size, upload.key, upload.content_type) == (5000, "own/key.mp4", "video/mp4")
    assert upload.read() == path.read_bytes()


@pytest.mark.parametrize(
    ("query", "until"),
    [
        ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=60", datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)),
        ("x-oss-date=20260102T030405Z&x-oss-expires=60", datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)),
        ("q-sign-algorithm=sha1&q-sign-time=1767322000;1767323105", datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)),
        ("OSSAccessKeyId=a&Expires=1767323105&Signature=b", datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)),
        ("v=2", None),
    ],
)
def test_the_end_of_a_presigned_url_is_read(query: str, until: datetime | None) -> None:
    assert expiry_in(f"https://example.com/a.png?{query}") == until


@pytest.mark.asyncio
async def test_a_context_lends_what_a_host_lends() -> None:
    clock = ManualClock()
    async with driver_context(name="mine", clock=clock) as context, driver_context(put_timeout=3) as hasty:
        assert (context.name, context.platform_on_loopback, context.time()) == ("mine", True, clock.time())
        assert (context.put_timeout, hasty.put_timeout) == (HostPolicy().put_timeout, 3)
        assert await context.in_thread(context.state_dir.is_dir)
        assert not context.http.closed
        http, folder = context.http, context.state_dir
    assert http.closed
    assert not await asyncio.to_thread(folder.exists)


@pytest.mark.asyncio
async def test_a_driver_is_opened_with_settings_as_a_host_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Store().serve() as store:
        monkeypatch.setenv("QQMEDIA_STORE_TOKEN", TOKEN)
        async with open_driver(SPEC, url=store.url) as driver:
            assert await driver.put(make_upload(key="a")) == f"{store.url}/a"
        with pytest.raises(ConfigurationError, match=r"'ulr' is not a setting of 'store'; did you mean 'url'\?"):
            async with open_driver(SPEC, ulr=store.url):
                pass


@pytest.mark.asyncio
async def test_a_driver_without_settings_takes_none() -> None:
    spec: DriverSpec = MemoryDriver().qqmedia_register_drivers()
    async with open_driver(spec) as driver:
        assert await driver.put(make_upload())
    with pytest.raises(ConfigurationError, match="driver 'memory' has no settings; got port"):
        async with open_driver(spec, port=1):
            pass


class Guessing(MemoryDriver):
    """Goes by the extension of a name, as a web server over a folder does, and has not heard of silk."""

    async def put(self, upload: Upload, /) -> str:
        known = {"png": "image/png", "jpg": "image/jpeg"}
        guessed = known.get(upload.key.rpartition(".")[2], "application/octet-stream")
        return await super().put(replace(upload, content_type=guessed))


class ByExtension(DriverConformance):
    types_by_extension: ClassVar[bool] = True


@pytest.mark.asyncio
async def test_a_store_that_goes_by_the_extension_says_so_and_passes() -> None:
    async with Guessing().serve() as driver:
        await ByExtension().test_content_type_is_the_uploads(driver, MediaKind.IMAGE, "image/jpeg")
        with pytest.raises(pytest.skip.Exception, match=r"does not know hint\.silk; where it can be taught"):
            await ByExtension().test_content_type_is_the_uploads(driver, MediaKind.VOICE, "audio/silk")
        with pytest.raises(AssertionError):
            await ByExtension().test_content_type_is_the_uploads(driver, MediaKind.VIDEO, "video/mp4")
        with pytest.raises(AssertionError, match="Then set `types_by_extension = True`"):
            await DriverConformance().test_content_type_is_the_uploads(driver, MediaKind.IMAGE, "image/png")


def test_the_url_of_an_upload_may_be_asked_for_a_week() -> None:
    assert make_upload(ttl=timedelta(days=7)).ttl == timedelta(days=7)


def test_the_host_in_memory_needs_neither_pytest_nor_hypothesis() -> None:
    program = """
import sys
sys.modules.update(dict.fromkeys(("pytest", "pytest_asyncio", "hypothesis")))  # as if they were not installed
import qqmedia.testing
print(qqmedia.testing.memory_host.__name__)
try:
    qqmedia.testing.DriverConformance
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "memory_host",
        'qqmedia.testing.DriverConformance needs pytest; run: pip install "qqmedia[testing]"',
    ]
