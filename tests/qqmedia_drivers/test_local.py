"""What is stored, for how long, and that it is there in whole."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from qqmedia import MediaSourceError, StorageError, StorageQuotaError, SupportsDelete
from qqmedia_drivers.local._box import joining
from tests.qqmedia_drivers.local_kit import files_in, free_port, status_of
from tests.waiting import until_in_thread


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1, 64 * 1024 + 1, 3 * 1024 * 1024 + 1])
@pytest.mark.parametrize("from_file", [False, True])
async def test_what_was_put_is_served(
    *, open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path, size: int, from_file: bool
) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    if from_file:
        await asyncio.to_thread((tmp_path / "source").write_bytes, content)
    upload = await asyncio.to_thread(make_upload, tmp_path / "source" if from_file else content)
    async with open_local() as driver:
        url = await driver.put(upload)
        assert url.endswith(f"/resource/{upload.key}")
        async with http.get(url) as answer:
            assert await answer.read() == content
            assert answer.headers["Content-Type"] == "image/png"


@pytest.mark.asyncio
async def test_nothing_is_left_when_it_closes_and_files_of_the_user_stay(
    open_local: Any, make_upload: Any, tmp_path: Path
) -> None:
    mine = tmp_path / "resource" / "cat.png"
    await asyncio.to_thread(lambda: (mine.parent.mkdir(), mine.write_bytes(b"cat")))
    async with open_local() as driver:
        await driver.put(make_upload())
        assert len(await asyncio.to_thread(files_in, mine.parent)) == 4
    assert [path.name for path in await asyncio.to_thread(lambda: list(mine.parent.iterdir()))] == ["cat.png"]


@pytest.mark.asyncio
async def test_an_object_is_gone_when_its_time_is_up_and_the_same_key_again_extends_it(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    upload = make_upload(ttl=timedelta(seconds=60))
    async with open_local() as driver:
        url = await driver.put(upload)
        path = await asyncio.to_thread(lambda: next(tmp_path.rglob(upload.key)))
        inode = (await asyncio.to_thread(path.stat)).st_ino
        clock.now += 59
        assert await status_of(http, url) == 200
        assert await driver.put(upload) == url
        clock.now += 59
        assert await status_of(http, url) == 200
        assert (await asyncio.to_thread(path.stat)).st_ino == inode  # not written again
        clock.now += 1.1
        assert await status_of(http, url) == 404


@pytest.mark.asyncio
async def test_delete_takes_it_down_and_deleting_nothing_is_silent(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    upload = make_upload()
    async with open_local() as driver:
        assert isinstance(driver, SupportsDelete)
        url = await driver.put(upload)
        await driver.delete(upload.key)
        assert await status_of(http, url) == 404
        assert upload.key not in await asyncio.to_thread(files_in, tmp_path)
        await driver.delete(upload.key)
        await driver.delete("never/there")
        assert await driver.put(upload) == url
        assert await status_of(http, url) == 200


@pytest.mark.asyncio
async def test_a_download_that_runs_when_the_object_is_deleted_is_finished(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession
) -> None:
    content = bytes(24 * 1024 * 1024)  # more than the sockets' buffers hold
    upload = make_upload(content)
    async with open_local() as driver, asyncio.timeout(20):
        url = await driver.put(upload)
        async with http.get(url) as answer:
            first = await answer.content.readexactly(1024)
            await driver.delete(upload.key)
            assert await status_of(http, url) == 404
            assert len(first) + len(await answer.content.read()) == len(content)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("key", "content_type", "extension"),
    [
        ("pictures/2026/Cat.PNG", "image/png", "png"),
        ("a-b_c", "audio/silk", "silk"),
        ("odd.bin", "application/x-nobody-knows", "bin"),
        (f"{'a' * 64}.png", "image/webp", "webp"),
    ],
)
async def test_a_plugins_key_becomes_a_name_of_the_same_shape(
    *, open_local: Any, make_upload: Any, http: aiohttp.ClientSession, key: str, content_type: str, extension: str
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload(key=key, content_type=content_type))
        name = url.rpartition("/resource/")[2]
        assert len(name) == 65 + len(extension)
        assert name.endswith(f".{extension}")
        async with http.get(url) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
        await driver.delete(key)
        assert await status_of(http, url) == 404


class Stalling:
    """A source that gives one piece, then waits to be told to go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.pieces = [b"first half ", b"second half"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def read(self, _size: int) -> bytes:
        if len(self.pieces) == 1:
            self.reached.set()
            self.go_on.wait(5)
        return self.pieces.pop(0) if self.pieces else b""


def stalling_upload(make_upload: Any, source: Stalling) -> Any:
    plain = make_upload(b"first half second half")

    class StallingUpload(type(plain)):  # type: ignore[misc]
        __slots__ = ()

        def open(self) -> Any:
            return source

    fields = {name: getattr(plain, name) for name in type(plain).__dataclass_fields__}
    return StallingUpload(**fields | {"content": Path("unused")})


@pytest.mark.asyncio
async def test_half_of_an_object_is_never_served(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession
) -> None:
    source = Stalling()
    upload = stalling_upload(make_upload, source)
    async with open_local() as driver:
        url = (await driver.put(make_upload())).rpartition("/")[0] + f"/{upload.key}"
        putting = asyncio.create_task(driver.put(upload))
        assert await asyncio.to_thread(source.reached.wait, 5)
        assert await status_of(http, url) == 404
        source.go_on.set()
        assert await putting == url
        async with http.get(url) as answer:
            assert await answer.read() == b"first half second half"


@pytest.mark.asyncio
async def test_a_cancelled_put_leaves_nothing(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    source = Stalling()
    upload = stalling_upload(make_upload, source)
    async with open_local() as driver:
        base = (await driver.put(make_upload())).rpartition("/")[0]
        putting = asyncio.create_task(driver.put(upload))
        assert await asyncio.to_thread(source.reached.wait, 5)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        source.go_on.set()
        await until_in_thread(lambda: not any(name.endswith(".part") for name in files_in(tmp_path)))
        assert await status_of(http, f"{base}/{upload.key}") == 404
        assert upload.key not in await asyncio.to_thread(files_in, tmp_path)


@pytest.mark.asyncio
async def test_a_stop_that_is_given_up_while_the_disk_hangs_clears_the_folder_when_that_answers(
    open_local: Any, make_upload: Any, tmp_path: Path
) -> None:
    sources = [Stalling() for _ in range(6)]  # as many calls as a server has at once
    uploads = [replace(stalling_upload(make_upload, source), size=2_000_000) for source in sources]

    async def use() -> None:
        async with open_local() as driver, asyncio.TaskGroup() as puts:
            for upload in uploads:
                puts.create_task(driver.put(upload))

    using = asyncio.create_task(use())
    for source in sources:
        assert await asyncio.to_thread(source.reached.wait, 5)
    while not using.done():
        using.cancel()
        await asyncio.wait([using], timeout=0.02)
    assert using.cancelled()
    for source in sources:
        source.go_on.set()
    await until_in_thread(lambda: not files_in(tmp_path))


@pytest.mark.asyncio
async def test_an_opening_that_is_given_up_leaves_nothing(open_local: Any, tmp_path: Path) -> None:
    folder = tmp_path / "resource"
    held = ExitStack()
    await asyncio.to_thread(held.enter_context, joining(str(folder)))  # as another process that starts
    opening = asyncio.create_task(open_local(resource_path=folder).__aenter__())
    await asyncio.wait([opening], timeout=0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.to_thread(held.close)
    await asyncio.sleep(0.05)  # in which it goes on, and has a place in the folder that nobody wants any more
    await until_in_thread(lambda: not files_in(folder))


@pytest.mark.asyncio
async def test_a_file_that_shrinks_while_it_is_stored_is_an_error(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    upload = make_upload(size=1000)
    async with open_local() as driver:
        base = (await driver.put(make_upload(b"other"))).rpartition("/")[0]
        with pytest.raises(MediaSourceError, match="changed while it was being stored"):
            await driver.put(upload)
        assert await status_of(http, f"{base}/{upload.key}") == 404


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["resource_path", "state"])
async def test_a_file_where_the_folder_should_be_is_an_error_that_names_it(
    open_local: Any, context: Any, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "file"
    await asyncio.to_thread(file.write_bytes, b"mine")
    if what == "state":
        context.state_dir = file
    with pytest.raises(StorageError, match=f"{file} cannot be used: .*; set another"):
        async with open_local(
            port=await asyncio.to_thread(free_port), **({"resource_path": file} if what != "state" else {})
        ):
            pass
    assert await asyncio.to_thread(file.read_bytes) == b"mine"


@pytest.mark.asyncio
async def test_eight_puts_at_once_do_not_mix(open_local: Any, make_upload: Any, http: aiohttp.ClientSession) -> None:
    async with open_local() as driver:
        contents = [bytes([number]) * 100_000 for number in range(4)] * 2
        urls = await asyncio.gather(*(driver.put(make_upload(content)) for content in contents))
        for url, content in zip(urls, contents, strict=True):
            async with http.get(url) as answer:
                assert await answer.read() == content


@pytest.mark.asyncio
async def test_it_goes_on_when_somebody_empties_the_folder(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    import shutil

    async with open_local() as driver:
        url = await driver.put(make_upload())
        await asyncio.to_thread(shutil.rmtree, tmp_path / "resource")
        assert await driver.put(make_upload()) == url
        assert await status_of(http, url) == 200
    assert await asyncio.to_thread(files_in, tmp_path / "resource") == []


@pytest.mark.asyncio
async def test_a_put_costs_the_same_beside_many_objects(open_local: Any, make_upload: Any, tmp_path: Path) -> None:
    import time

    async def seconds_of_a_hundred(driver: Any, start: int) -> float:
        begin = time.perf_counter()
        for number in range(start, start + 100):
            await driver.put(make_upload(b"%d" % number))
        return time.perf_counter() - begin

    async with open_local() as driver:
        await seconds_of_a_hundred(driver, 0)
        few = min([await seconds_of_a_hundred(driver, 1000 * turn) for turn in range(1, 4)])
        for start in range(10_000, 13_000, 1000):
            await asyncio.gather(*(driver.put(make_upload(b"%d" % number)) for number in range(start, start + 1000)))
        many = min([await seconds_of_a_hundred(driver, 1000 * turn) for turn in range(100, 103)])
        assert many < 3 * few + 0.1


@pytest.mark.asyncio
async def test_a_full_disk_is_an_error_that_says_so(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="limits of a file's size are POSIX")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = make_upload(bytes(3 * 1024 * 1024))
    async with open_local() as driver:
        url = await driver.put(make_upload())
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 1024 * 1024, old[1]))
        try:
            with pytest.raises(StorageQuotaError, match="the disk is full"):
                await driver.put(big)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        names = await asyncio.to_thread(files_in, tmp_path / "resource")
        assert big.key not in names
        assert not [name for name in names if name.endswith(".part")]
        assert await status_of(http, url) == 200
        assert await driver.put(big)
