"""Publishing: once for the same thing, within limits, tried again where that helps."""

from __future__ import annotations

import asyncio
import gc
import weakref
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
    MediaSourceError,
    Reach,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
    Upload,
    hookimpl,
    open_host,
)
from qqmedia.testing import ManualClock, MemoryDriver, memory_host
from tests.qqmedia.publishing import BIG_PNG, IMAGE, PNG, TTL, Grudging, published, turns
from tests.waiting import until


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


@pytest.mark.asyncio
async def test_the_url_answers_with_exactly_these_bytes() -> None:
    async with memory_host() as host, aiohttp.ClientSession() as http:
        hosted = await published(host)
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
        first = await published(host)
        driver.objects.clear()  # so that `find` cannot help
        clock.advance(TTL / 2 - 1)
        again = await published(host)
        assert (again.url, again.expires_at, len(driver.puts)) == (first.url, first.expires_at, 1)
        clock.advance(2)
        renewed = await published(host)
        assert len(driver.puts) == 2
        assert renewed.expires_at == datetime.fromtimestamp(clock.time(), UTC) + timedelta(seconds=TTL)


@pytest.mark.asyncio
async def test_what_a_driver_finds_is_not_put_again(tmp_path: Path) -> None:
    driver = MemoryDriver()
    async with memory_host(driver, state_dir=tmp_path) as host:
        first = await published(host)
    async with memory_host(driver, state_dir=tmp_path) as host:
        second = await published(host)
    assert len(driver.puts) == 1
    assert first.upload.key == second.upload.key


@pytest.mark.asyncio
async def test_identical_publishes_at_the_same_time_are_one_put() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        driver.stall()
        tasks = [asyncio.create_task(published(host)) for _ in range(20)]
        await until(lambda: driver.puts)
        tasks[0].cancel()  # the one that began
        await turns()
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
        task = asyncio.create_task(published(host))
        await until(lambda: driver.running)
        task.cancel()
        await until(lambda: not driver.running)
        driver.resume()
        assert (await published(host)).url


@pytest.mark.asyncio
@pytest.mark.parametrize("who", [0, 1, 2])
@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_in_the_moment_in_which_it_is_over_keeps_nobody_from_hearing_of_it(
    *, who: int, fails: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[str] = loop.create_future()
    asked = asyncio.Event()

    async def put(_upload: Upload) -> str:
        asked.set()
        return await over

    async with open_host("tiny", plugins=[PutOnly(put)], state_dir=tmp_path) as host:
        tasks = [asyncio.create_task(published(host)) for _ in range(3)]
        await asked.wait()
        await turns()
        if fails:
            over.set_exception(StoragePermissionError("no"))
        else:
            over.set_result("http://192.0.2.1/x")
        loop.call_soon(tasks[who].cancel)  # the put has ended by then, and has told nobody yet
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends.pop(who), asyncio.CancelledError)
    assert {type(end) for end in ends} == {StoragePermissionError if fails else HostedMedia}
    assert not caplog.records


@pytest.mark.asyncio
async def test_who_comes_while_a_put_that_was_given_up_is_tidied_up_begins_another(tmp_path: Path) -> None:
    tidied, puts = asyncio.Event(), []

    async def put(upload: Upload) -> str:
        puts.append(upload)
        if len(puts) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await tidied.wait()
        return "http://192.0.2.1/x"

    async with open_host("tiny", plugins=[PutOnly(put)], state_dir=tmp_path) as host:
        given_up = asyncio.create_task(published(host))
        await until(lambda: puts)
        given_up.cancel()
        await asyncio.wait([given_up])
        async with asyncio.timeout(5):
            assert (await published(host)).url
        tidied.set()


@pytest.mark.asyncio
async def test_no_more_than_concurrency_run_at_once() -> None:
    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(concurrency=3)) as host:
        driver.stall()
        tasks = [asyncio.create_task(published(host, PNG + bytes([n]))) for n in range(10)]
        await until(lambda: driver.running == 3)
        await turns(20)
        driver.resume()
        await asyncio.gather(*tasks)
    assert driver.most_running == 3


@pytest.mark.asyncio
async def test_only_what_may_pass_is_tried_again() -> None:
    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(retries=2, retry_wait=0)) as host:
        driver.fail(StorageUnavailableError("503"), StorageUnavailableError("503"))
        await published(host)
        assert len(driver.puts) == 3
        driver.fail(StoragePermissionError("403"))
        with pytest.raises(StoragePermissionError):
            await published(host, PNG + b"2")
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
@pytest.mark.parametrize("size", [0, 1_100_000])
async def test_a_put_that_failed_is_kept_by_nobody_until_the_next_collection(size: int, tmp_path: Path) -> None:
    """Its error would keep the content alive, and those are made rarer."""
    raised: list[weakref.ref[Exception]] = []

    async def put(upload: Upload) -> str:
        await asyncio.sleep(0)
        error = StoragePermissionError("no")
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    driver = PutOnly(put)
    async with open_host("tiny", plugins=[driver], state_dir=tmp_path) as host:
        gc.disable()
        try:
            with pytest.raises(StoragePermissionError) as caught:
                await published(host, PNG + bytes(size))
            del caught
            await until(lambda: [error() for error in raised] == [None])
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_a_put_without_any_progress_ends_and_names_the_setting() -> None:
    async def never(_upload: Upload) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    policy = HostPolicy(put_timeout=0.05, retries=0)
    async with open_host("tiny", plugins=[PutOnly(never)], policy=policy) as host:
        with pytest.raises(StorageUnavailableError, match=r"did not store .*png within 0\.05\d* s; .*put_t"):
            await published(host)


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
        assert (await published(host, PNG + b"\0" * 4_000_000)).url == "https://example.org/ok"


@pytest.mark.asyncio
async def test_several_drivers_are_tried_in_order() -> None:
    first, second = MemoryDriver(name="first", reach=Reach.PRIVATE), MemoryDriver(name="second")
    async with open_host(["first", "second"], plugins=[first, second], policy=HostPolicy(retries=0)) as host:
        assert host.names == ("first", "second")
        assert host.reach is Reach.PUBLIC
        first.fail(StoragePermissionError("no"))
        assert (await published(host)).driver == "second"
        assert (await published(host, PNG + b"2")).driver == "first"
        first.fail(StoragePermissionError("no"))
        second.fail(StoragePermissionError("neither"))
        with pytest.raises(StoragePermissionError, match="neither"):
            await published(host, PNG + b"3")


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["/path", b"bytes", 7])
async def test_a_driver_that_returns_no_url_is_broken(answer: object) -> None:
    async def put(_upload: Upload) -> object:
        return answer

    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        with pytest.raises(DriverBrokenError, match="expected an absolute http"):
            await published(host)


@pytest.mark.asyncio
async def test_nothing_hosted_gives_the_bytes() -> None:
    async def put(_upload: Upload) -> None:
        return None

    async with open_host("tiny", plugins=[PutOnly(put)]) as host:
        hosted = await published(host)
        assert (hosted.url, hosted.reach, hosted.expires_at) == (None, Reach.PRIVATE, None)
        assert await host.get_image(PNG) == PNG


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
        leader = asyncio.create_task(published(host))
        await until(lambda: tries)
        follower = asyncio.create_task(published(host))
        await turns()
        leader.cancel()
        await turns()
        go.set()
        assert (await follower).url == "https://example.org/ok"


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


@pytest.mark.asyncio
async def test_a_driver_that_cannot_look_is_asked_to_put() -> None:
    driver = Grudging()
    async with memory_host(driver) as host:
        for error in (StorageUnavailableError("no answer"), StoragePermissionError("put only"), TimeoutError()):
            driver.finding = error
            assert (await published(host, PNG + repr(error).encode())).url
        driver.finding = KeyError("ETag")
        with pytest.raises(StorageError, match=r"could not look for .*ETag"):
            await published(host, PNG + b"bug")
    assert len(driver.puts) == 3


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
        await published(host, content)
    assert seen == [True, len(content), len(content), 5, content[5:8], (len(content), True, True)]


@pytest.mark.asyncio
async def test_every_retry_is_a_line_in_the_log_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        driver.fail(StorageUnavailableError("503 slow down"))
        await published(host)
    assert "driver 'memory': 503 slow down; trying again (1)" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("reach", [Reach.PRIVATE, Reach.UNKNOWN])
async def test_urls_of_a_private_address_are_told_once(reach: Reach, caplog: pytest.LogCaptureFixture) -> None:
    """Who calls `get_image` sees the URL only, and would send it."""
    async with memory_host(MemoryDriver(reach=reach)) as host:
        for shade in range(2):
            assert str(await host.get_image(PNG + bytes([shade]))).startswith("http")
    told = [one.getMessage() for one in caplog.records if "their address is private" in one.getMessage()]
    assert len(told) == (reach is Reach.PRIVATE)
