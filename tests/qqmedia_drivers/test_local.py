"""What is stored, for how long, under which URL, and who shares it."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from qqmedia import (
    ConfigurationError,
    MediaSourceError,
    Reach,
    StorageError,
    StorageQuotaError,
    StorageUnavailableError,
    SupportsDelete,
    SupportsReach,
)


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1, 64 * 1024 + 1, 3 * 1024 * 1024 + 1])
@pytest.mark.parametrize("from_file", [False, True])
async def test_what_was_put_is_served(
    *, open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path, size: int, from_file: bool
) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    if from_file:
        await in_thread((tmp_path / "source").write_bytes, content)
    upload = await in_thread(make_upload, tmp_path / "source" if from_file else content)
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
    await in_thread(lambda: (mine.parent.mkdir(), mine.write_bytes(b"cat")))
    async with open_local() as driver:
        await driver.put(make_upload())
        assert len(await in_thread(files_in, mine.parent)) == 4
    assert [path.name for path in await in_thread(lambda: list(mine.parent.iterdir()))] == ["cat.png"]


@pytest.mark.asyncio
async def test_an_object_is_gone_when_its_time_is_up_and_the_same_key_again_extends_it(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    upload = make_upload(ttl=timedelta(seconds=60))
    async with open_local() as driver:
        url = await driver.put(upload)
        path = await in_thread(lambda: next(tmp_path.rglob(upload.key)))
        inode = (await in_thread(path.stat)).st_ino
        clock.now += 59
        assert await status_of(http, url) == 200
        assert await driver.put(upload) == url
        clock.now += 59
        assert await status_of(http, url) == 200
        assert (await in_thread(path.stat)).st_ino == inode  # not written again
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
        assert upload.key not in await in_thread(files_in, tmp_path)
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
        assert await in_thread(source.reached.wait, 5)
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
        assert await in_thread(source.reached.wait, 5)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        source.go_on.set()
        async with asyncio.timeout(5):
            while any(name.endswith(".part") for name in await in_thread(files_in, tmp_path)):  # noqa: ASYNC110 - a thread of the driver ends
                await asyncio.sleep(0.01)
        assert await status_of(http, f"{base}/{upload.key}") == 404
        assert upload.key not in await in_thread(files_in, tmp_path)


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
    await in_thread(file.write_bytes, b"mine")
    if what == "state":
        context.state_dir = file
    with pytest.raises(StorageError, match=f"{file} cannot be used: .*; set another"):
        async with open_local(port=await in_thread(free_port), **({"resource_path": file} if what != "state" else {})):
            pass
    assert await in_thread(file.read_bytes) == b"mine"


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
        await in_thread(shutil.rmtree, tmp_path / "resource")
        assert await driver.put(make_upload()) == url
        assert await status_of(http, url) == 200
    assert await in_thread(files_in, tmp_path / "resource") == []


@pytest.mark.asyncio
async def test_two_bots_share_a_port_and_one_may_leave(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession
) -> None:
    common, own = make_upload(b"both have this"), make_upload(b"only the first has this")
    async with open_local() as second_to_leave:
        port = int((url := await second_to_leave.put(common)).split(":")[2].split("/")[0])
        async with open_local(port=port) as first_to_leave:
            assert await first_to_leave.put(common) == url
            gone = await first_to_leave.put(own)
            await second_to_leave.delete(common.key)
            assert await status_of(http, url) == 200  # the other one counts on it
            assert await second_to_leave.put(common) == url
        assert await status_of(http, url) == 200
        assert await status_of(http, gone) == 404
    with pytest.raises(aiohttp.ClientConnectorError):
        await status_of(http, url)


@pytest.mark.asyncio
async def test_many_open_and_close_at_once(open_local: Any, make_upload: Any, http: aiohttp.ClientSession) -> None:
    async def one(number: int) -> None:
        async with open_local(port=port) as driver:
            url = await driver.put(make_upload(bytes([number + 1])))
            assert await status_of(http, url) == 200

    port = await in_thread(free_port)
    for _ in range(3):
        await asyncio.gather(*(one(number) for number in range(8)))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "named"),
    [({"resource_path": "elsewhere"}, "resource_path"), ({"host": "127.0.0.2"}, "host='127.0.0.2' here")],
)
async def test_the_same_port_with_other_options_is_an_error_that_says_which(
    open_local: Any, make_upload: Any, changes: dict[str, Any], named: str
) -> None:
    port = await in_thread(free_port)
    async with open_local(port=port) as driver:
        with pytest.raises(ConfigurationError, match=named):
            async with open_local(port=port, **changes):
                pass
        async with open_local(port=port, resource_path="./nothing/../resource"):  # the same folder, said otherwise
            assert await driver.put(make_upload())


@pytest.mark.asyncio
async def test_another_event_loop_has_a_server_of_its_own_on_the_same_port(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, context: Any
) -> None:
    port = await in_thread(free_port)

    async def serve_for_a_moment(upload: Any) -> str:
        async with open_local(port=port) as driver, aiohttp.ClientSession() as session:
            url: str = await driver.put(upload)
            assert await status_of(session, url) == 200
            return url

    async with open_local(port=port) as driver:
        url = await in_thread(asyncio.run, serve_for_a_moment(make_upload(b"of the other loop")))
        assert await status_of(http, url) == 404
        assert await status_of(http, await driver.put(make_upload())) == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.asyncio
async def test_a_given_port_that_another_program_has_is_an_error_that_names_it(open_local: Any, tmp_path: Path) -> None:
    async with foreign_program() as port:
        with pytest.raises(StorageUnavailableError, match=rf"port {port} is taken.*QQMEDIA_LOCAL_PORT"):
            async with open_local(port=port):
                pass
    assert await in_thread(lambda: list((tmp_path / "resource").iterdir())) == []


@pytest.mark.asyncio
async def test_the_default_port_that_another_program_has_is_one_warning(
    open_local: Any, make_upload: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        foreign_program() as port,
        open_local(port=port, as_default="port") as driver,
        open_local(port=port, as_default="port") as second,
    ):
        assert await driver.put(make_upload()) is None
        assert await second.put(make_upload()) is None
        assert isinstance(driver, SupportsReach)
        assert driver.reach is Reach.PRIVATE
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"port {port} is taken" in warning
    assert "media go up as bytes" in warning


def foreign_program() -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def run() -> Any:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, reuse_port=True)
        async with server:
            yield server.sockets[0].getsockname()[1]

    return run()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("public_url", "url", "reach"),
    [
        ("https://cdn.example.com/qq", "https://cdn.example.com/qq/resource/", Reach.PUBLIC),
        ("https://cdn.example.com/", "https://cdn.example.com/resource/", Reach.PUBLIC),
        ("http://example.com:81/resource/", "http://example.com:81/resource/", Reach.PUBLIC),
        ("http://192.168.1.5", "http://192.168.1.5/resource/", Reach.PUBLIC),
        ("http://localhost:1", "http://localhost:1/resource/", Reach.PRIVATE),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/resource/", Reach.PRIVATE),
    ],
)
async def test_public_url_is_what_the_outside_sees(
    *, open_local: Any, make_upload: Any, context: Any, public_url: str, url: str, reach: Reach
) -> None:
    context.platform_on_loopback = False
    async with open_local(public_url=public_url) as driver:
        assert await driver.put(make_upload()) == url + make_upload().key
        assert driver.reach is reach


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("host", "on_loopback", "begin", "reach"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:", Reach.PRIVATE),
        ("127.0.0.1", True, "http://127.0.0.1:", Reach.PUBLIC),
        ("0.0.0.0", True, "http://127.0.0.1:", Reach.PUBLIC),
        ("", True, "http://127.0.0.1:", Reach.PUBLIC),
        ("::1", True, "http://[::1]:", Reach.PUBLIC),
        ("::", True, "http://127.0.0.1:", Reach.PUBLIC),
        ("0.0.0.0", False, "http://", None),
    ],
)
async def test_without_public_url_the_url_is_where_it_listens(
    *, open_local: Any, make_upload: Any, http: aiohttp.ClientSession, context: Any,
    host: str, on_loopback: bool, begin: str, reach: Reach | None,
) -> None:  # fmt: skip
    if ":" in host and not await in_thread(has_ipv6):
        pytest.skip("this machine has no IPv6")
    context.platform_on_loopback = on_loopback
    async with open_local(host=host) as driver:
        url = await driver.put(make_upload())
        assert url.startswith(begin)
        assert "0.0.0.0" not in url
        assert driver.reach is reach or reach is None
        assert await status_of(http, url) == 200


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
async def test_a_host_that_is_not_of_this_machine_is_an_error_that_names_it(open_local: Any, host: str) -> None:
    with pytest.raises(ConfigurationError, match=host):
        async with open_local(host=host):
            pass


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
async def test_an_opening_that_is_cancelled_leaves_port_and_folder_as_they_were(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = await in_thread(free_port)

    async def open_and_wait() -> None:
        async with open_local(port=port):
            await asyncio.Event().wait()

    for turns in range(1, 40, 3):
        opening = asyncio.create_task(open_and_wait())
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    async with asyncio.timeout(5):
        while await in_thread(lambda: list((tmp_path / "resource").iterdir())):  # noqa: ASYNC110 - a thread ends
            await asyncio.sleep(0.01)
    async with open_local(port=port) as driver:
        assert await status_of(http, await driver.put(make_upload())) == 200


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
        names = await in_thread(files_in, tmp_path / "resource")
        assert big.key not in names
        assert not [name for name in names if name.endswith(".part")]
        assert await status_of(http, url) == 200
        assert await driver.put(big)
