"""Publishing: once for the same thing, within limits, tried again where it helps, and taken down in time."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qqmedia import (
    DriverBrokenError,
    DriverContext,
    DriverSpec,
    HostedMedia,
    HostPolicy,
    MediaKind,
    MediaSourceError,
    QQMediaError,
    Reach,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
    Upload,
    hookimpl,
    open_host,
)
from qqmedia.host import MediaHost
from qqmedia.testing import ManualClock, MemoryDriver, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG_PNG = PNG + b"\0" * 200_000
IMAGE = MediaKind.IMAGE
TTL = 3600.0


class PutOnly:
    """A driver with the one method that it must have, which a test hands in."""

    def __init__(self, put: Any, *, name: str = "tiny") -> None:
        self.put = put
        self.name = name

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        return DriverSpec(name=self.name, open=self._open)

    @asynccontextmanager
    async def _open(self, _settings: object, _context: DriverContext) -> AsyncIterator[PutOnly]:
        yield self


async def _publish(host: MediaHost, content: bytes = PNG) -> HostedMedia:
    async with host.prepare(IMAGE, content) as upload:
        return await host.publish(upload)


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - what is awaited is inside a driver
            await asyncio.sleep(0.002)


@pytest.mark.asyncio
async def test_the_url_answers_with_exactly_these_bytes() -> None:
    async with memory_host() as host, aiohttp.ClientSession() as http:
        hosted = await _publish(host)
        assert hosted.reach is Reach.PUBLIC
        assert hosted.driver == "memory"
        assert hosted.url is not None
        async with http.get(hosted.url) as response:
            assert response.content_type == "image/png"
            assert await response.read() == PNG


@pytest.mark.asyncio
async def test_the_same_thing_is_put_once_and_again_when_half_its_time_is_over() -> None:
    driver, clock = MemoryDriver(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        first = await _publish(host)
        driver.objects.clear()  # so that `find` cannot help
        clock.advance(TTL / 2 - 1)
        again = await _publish(host)
        assert (again.url, again.expires_at, len(driver.puts)) == (first.url, first.expires_at, 1)
        clock.advance(2)
        renewed = await _publish(host)
        assert len(driver.puts) == 2
        assert renewed.expires_at == datetime.fromtimestamp(clock.time(), UTC) + timedelta(seconds=TTL)


@pytest.mark.asyncio
async def test_what_a_driver_finds_is_not_put_again(tmp_path: Path) -> None:
    driver = MemoryDriver()
    async with memory_host(driver, state_dir=tmp_path) as host:
        first = await _publish(host)
    async with memory_host(driver, state_dir=tmp_path) as host:
        second = await _publish(host)
    assert len(driver.puts) == 1
    assert first.upload.key == second.upload.key


@pytest.mark.asyncio
async def test_identical_publishes_at_the_same_time_are_one_put() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        driver.stall()
        tasks = [asyncio.create_task(_publish(host)) for _ in range(20)]
        await _until(lambda: driver.puts)
        tasks[0].cancel()  # the one that began
        await _turns()
        driver.resume()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({one.url for one in results[1:] if isinstance(one, HostedMedia)}) == 1
    assert len(driver.puts) == 1


@pytest.mark.asyncio
async def test_a_put_that_nobody_waits_for_is_cancelled() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        driver.stall()
        task = asyncio.create_task(_publish(host))
        await _until(lambda: driver.running)
        task.cancel()
        await _until(lambda: not driver.running)
        driver.resume()
        assert (await _publish(host)).url


@pytest.mark.asyncio
async def test_no_more_than_concurrency_run_at_once() -> None:
    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(concurrency=3)) as host:
        driver.stall()
        tasks = [asyncio.create_task(_publish(host, PNG + bytes([n]))) for n in range(10)]
        await _until(lambda: driver.running == 3)
        await _turns(20)
        driver.resume()
        await asyncio.gather(*tasks)
    assert driver.most_running == 3


@pytest.mark.asyncio
async def test_only_what_may_pass_is_tried_again() -> None:
    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(retries=2, retry_wait=0)) as host:
        driver.fail(StorageUnavailableError("503"), StorageUnavailableError("503"))
        await _publish(host)
        assert len(driver.puts) == 3
        driver.fail(StoragePermissionError("403"))
        with pytest.raises(StoragePermissionError):
            await _publish(host, PNG + b"2")
        assert len(driver.puts) == 4


@pytest.mark.asyncio
async def test_an_error_keeps_its_class_and_names_driver_object_and_setting() -> None:
    class VendorError(StoragePermissionError):
        def __init__(self, code: int, request: str) -> None:
            super().__init__(f"{code} {request}")

    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(retries=0)) as host:
        for raised, kind, words in (
            (VendorError(403, "AccessDenied"), StoragePermissionError, ["403 AccessDenied", "QQMEDIA_MEMORY_"]),
            (StorageUnavailableError("cut"), StorageUnavailableError, ["cut", "QQMEDIA_HOST_RETRIES"]),
            (KeyError("Location"), StorageError, ["KeyError", "should raise a StorageError"]),
        ):
            driver.fail(raised)
            async with host.prepare(IMAGE, PNG) as upload:
                with pytest.raises(StorageError) as caught:
                    await host.publish(upload)
            assert type(caught.value) is kind
            text = str(caught.value)
            assert text.count("driver 'memory'") == 1
            assert all(word in text for word in [upload.key, *words]), text
            assert raised in (caught.value.__cause__, caught.value.__cause__ and caught.value.__cause__.__cause__)


@pytest.mark.asyncio
async def test_a_put_without_any_progress_ends_and_names_the_setting() -> None:
    async def never(_upload: Upload) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    policy = HostPolicy(put_timeout=0.05, retries=0)
    async with open_host("tiny", plugins=[PutOnly(never)], policy=policy) as host:
        with pytest.raises(StorageUnavailableError, match=r"did not store .*png within 0\.05\d* s; .*put_t"):
            await _publish(host)


@pytest.mark.asyncio
async def test_whoever_goes_on_reading_is_given_more_time() -> None:
    """Progress counts, not the whole: eight pauses that are together twice the limit."""

    async def slowly(upload: Upload) -> str:
        with upload.open() as file:
            for _ in range(8):
                file.read(upload.size // 8)
                await asyncio.sleep(0.05)
            return "https://example.org/ok"

    policy = HostPolicy(put_timeout=0.2, retries=0)
    async with open_host("tiny", plugins=[PutOnly(slowly)], policy=policy) as host:
        assert (await _publish(host, PNG + b"\0" * 4_000_000)).url == "https://example.org/ok"


@pytest.mark.asyncio
async def test_several_drivers_are_tried_in_order() -> None:
    first, second = MemoryDriver(name="first", reach=Reach.PRIVATE), MemoryDriver(name="second")
    async with open_host(["first", "second"], plugins=[first, second], policy=HostPolicy(retries=0)) as host:
        assert host.names == ("first", "second")
        assert host.reach is Reach.PUBLIC
        first.fail(StoragePermissionError("no"))
        assert (await _publish(host)).driver == "second"
        assert (await _publish(host, PNG + b"2")).driver == "first"
        first.fail(StoragePermissionError("no"))
        second.fail(StoragePermissionError("neither"))
        with pytest.raises(StoragePermissionError, match="neither"):
            await _publish(host, PNG + b"3")


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["/path", b"bytes", 7])
async def test_a_driver_that_returns_no_url_is_broken(answer: object) -> None:
    async def put(_upload: Upload) -> object:
        return answer

    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        with pytest.raises(DriverBrokenError, match="expected an absolute http"):
            await _publish(host)


@pytest.mark.asyncio
async def test_nothing_hosted_gives_the_bytes() -> None:
    async def put(_upload: Upload) -> None:
        return None

    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        hosted = await _publish(host)
        assert (hosted.url, hosted.reach, hosted.expires_at) == (None, Reach.PRIVATE, None)
        assert await host.get_image(PNG) == PNG


@pytest.mark.asyncio
async def test_an_object_is_taken_down_when_its_time_is_up_and_not_before() -> None:
    driver, clock, seen = MemoryDriver(), ManualClock(), []

    class Listener:
        @hookimpl
        def qqmedia_unpublished(self, media: HostedMedia) -> None:
            seen.append(media)

    async with memory_host(driver, clock=clock, plugins=[Listener()]) as host:
        hosted = await _publish(host)
        clock.advance(TTL / 2 + 1)
        await _publish(host)  # found again: its life is longer now
        clock.advance(TTL / 2 + 1)
        await _turns(20)
        assert driver.deleted == []
        clock.advance(TTL / 2)
        await _until(lambda: seen)
        assert driver.deleted == [hosted.upload.key]
        assert seen[0].url == hosted.url
        await _publish(host)  # and it can come back
        assert len(driver.puts) == 2


@pytest.mark.asyncio
async def test_closing_deletes_nothing_and_ends_what_runs() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        await _publish(host)
        driver.stall()
        task = asyncio.create_task(_publish(host, BIG_PNG))
        await _until(lambda: driver.running)
    with pytest.raises(QQMediaError, match="closed while"):
        await task
    assert driver.deleted == []
    assert driver.running == 0
    assert [one.get_name() for one in asyncio.all_tasks() if "qqmedia" in one.get_name()] == []


@pytest.mark.asyncio
async def test_a_follower_stores_its_own_content_when_the_leader_took_his_away() -> None:
    """The one that began leaves his block, and his temporary file goes with him."""
    tries: list[Upload] = []
    go = asyncio.Event()

    async def put(upload: Upload) -> str:
        tries.append(upload)
        if len(tries) == 1:
            await go.wait()
            raise MediaSourceError("the file is gone")
        return "https://example.org/ok"

    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        leader = asyncio.create_task(_publish(host))
        await _until(lambda: tries)
        follower = asyncio.create_task(_publish(host))
        await _turns()
        leader.cancel()
        await _turns()
        go.set()
        assert (await follower).url == "https://example.org/ok"


@pytest.mark.asyncio
async def test_listeners_hear_of_it_and_their_faults_fail_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[HostedMedia] = []

    class Careful:
        @hookimpl
        def qqmedia_published(self, media: HostedMedia) -> None:
            seen.append(media)

    class Careless:
        @hookimpl(tryfirst=True)
        def qqmedia_published(self) -> None:
            raise ValueError("what have I done")

    async with memory_host(plugins=[Careful(), Careless()]) as host:
        with caplog.at_level(logging.ERROR):
            hosted = await _publish(host)
    assert [one.url for one in seen] == [hosted.url]
    assert "Careless" in caplog.text
    assert "qqmedia_published" in caplog.text


class Own(MemoryDriver):
    async def get_image(self, _image: bytes) -> str:
        return f"https://{self.qqmedia_register_drivers().name}.example/"


@pytest.mark.asyncio
async def test_of_several_drivers_that_answer_themselves_the_first_is_asked_first() -> None:
    plugins = [Own(name="a"), Own(name="b")]
    for order in (["a", "b"], ["b", "a"]):
        async with open_host(order, plugins=plugins) as host:
            assert await host.get_image(PNG) == f"https://{order[0]}.example/"


@pytest.mark.asyncio
async def test_a_picture_takes_two_hops_into_threads_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    hops: list[Any] = []
    original = loop.call_soon_threadsafe  # what every thread comes back by
    async with memory_host() as host:
        await host.get_image(BIG_PNG)

        def counting(*arguments: Any) -> Any:
            hops.append(arguments)
            return original(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
        await host.get_image(BIG_PNG + bytes(256 * 1024))
        assert len(hops) == 1  # the hash; the memory driver itself needs none
        hops.clear()
        await host.get_image(BIG_PNG + b"another")
        assert hops == []


class Grudging(MemoryDriver):
    """Finds and deletes only as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.finding: Exception | None = None
        self.deleting: Exception | None = None
        self.may_delete = asyncio.Event()
        self.may_delete.set()

    async def find(self, upload: Upload, /) -> str | None:
        if self.finding:
            raise self.finding
        return await super().find(upload)

    async def delete(self, key: str, /) -> None:
        self.running_deletes = True
        await self.may_delete.wait()
        await super().delete(key)
        if self.deleting:
            raise self.deleting

    running_deletes = False


@pytest.mark.asyncio
async def test_what_is_being_deleted_is_stored_again_only_when_it_is_gone() -> None:
    driver, clock = Grudging(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        hosted = await _publish(host)
        driver.may_delete.clear()
        clock.advance(TTL + 1)
        await _until(lambda: driver.running_deletes)
        again = asyncio.create_task(_publish(host))
        await _turns(20)
        assert len(driver.puts) == 1
        driver.may_delete.set()
        assert (await again).url == hosted.url
        await _until(lambda: driver.deleted)
        assert hosted.upload.key in driver.objects


@pytest.mark.asyncio
async def test_a_driver_that_cannot_look_is_asked_to_put() -> None:
    driver = Grudging()
    async with memory_host(driver) as host:
        for error in (StorageUnavailableError("no answer"), StoragePermissionError("put only"), TimeoutError()):
            driver.finding = error
            assert (await _publish(host, PNG + repr(error).encode())).url
        driver.finding = KeyError("ETag")
        with pytest.raises(StorageError, match=r"could not look for .*ETag"):
            await _publish(host, PNG + b"bug")
    assert len(driver.puts) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [StoragePermissionError("put only"), KeyError("bug"), TimeoutError()])
async def test_an_object_that_cannot_be_deleted_is_a_line_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    driver, clock = Grudging(), ManualClock()
    driver.deleting = error
    async with memory_host(driver, clock=clock) as host:
        first = await _publish(host)
        second = await _publish(host, PNG + b"2")
        clock.advance(TTL + 1)
        await _until(lambda: len(driver.deleted) == 2)
        await _turns()
        assert set(driver.deleted) == {first.upload.key, second.upload.key}
        assert (await _publish(host)).url
    lines = [record.getMessage() for record in caplog.records if "stays there" in record.getMessage()]
    assert len(lines) == 2
    assert all("driver 'memory' could not delete" in line for line in lines)


@pytest.mark.asyncio
async def test_what_is_being_stored_again_when_its_time_is_up_is_not_deleted() -> None:
    driver, clock = MemoryDriver(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        hosted = await _publish(host)
        driver.objects.clear()
        clock.advance(TTL - 1)
        driver.stall()
        renewing = asyncio.create_task(_publish(host))
        await _until(lambda: driver.running)
        clock.advance(2)
        await _turns(20)
        assert driver.deleted == []
        driver.resume()
        await renewing
        clock.advance(TTL - 1)
        await _turns(20)
        assert driver.deleted == []
        clock.advance(2)
        await _until(lambda: driver.deleted == [hosted.upload.key])


@pytest.mark.asyncio
async def test_what_was_stored_again_while_it_waited_to_be_deleted_is_not_deleted() -> None:
    driver, clock = Grudging(), ManualClock()
    async with memory_host(driver, clock=clock) as host:
        contents = {
            (await _publish(host, content)).upload.key: content for content in (PNG + bytes([n]) for n in range(12))
        }
        driver.may_delete.clear()
        clock.advance(TTL + 1)
        await _until(lambda: driver.running_deletes)  # a few at once, and in the order of their keys
        renewed = await _publish(host, contents[max(contents)])
        driver.may_delete.set()
        await _until(lambda: len(driver.deleted) >= 11)
        await _turns(20)
        assert renewed.upload.key not in driver.deleted
        clock.advance(TTL + 1)
        await _until(lambda: renewed.upload.key in driver.deleted)


@pytest.mark.asyncio
async def test_a_large_upload_is_a_file_like_any_other_to_the_driver() -> None:
    """SDKs seek, tell and read odd sizes; what watches their progress must not be in the way."""
    seen: list[object] = []

    async def put(upload: Upload) -> str:
        with upload.open() as file:
            seen.extend([file.seekable(), file.seek(0, 2), file.tell(), file.seek(5), file.read(3)])
            file.seek(0)
            content = file.read()
        seen.append((len(content), content == upload.read(), isinstance(upload, Upload)))
        return "https://example.org/ok"

    content = PNG + b"0123456789" * 200_000
    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        await _publish(host, content)
    assert seen == [True, len(content), len(content), 5, content[5:8], (len(content), True, True)]


@pytest.mark.asyncio
async def test_every_retry_is_a_line_in_the_log_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        driver.fail(StorageUnavailableError("503 slow down"))
        await _publish(host)
    assert "driver 'memory': 503 slow down; trying again (1)" in caplog.text


@pytest.mark.asyncio
async def test_what_is_remembered_has_a_bound() -> None:
    """Of two hundred pictures of 200 KB only the last few are kept, to be compared with what comes next."""
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        await _publish(host)
        tracemalloc.start()
        try:
            for number in range(200):
                await _publish(host, BIG_PNG + bytes([number]))
            driver.objects.clear()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 4 * 1024 * 1024 + 2 * len(BIG_PNG)
        finally:
            tracemalloc.stop()
