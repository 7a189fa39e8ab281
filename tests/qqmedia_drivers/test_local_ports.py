"""Who shares a port, who gets none, and under which URL what is stored there is found."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qqmedia import ConfigurationError, Reach, StorageUnavailableError, SupportsReach
from tests.qqmedia_drivers.local_kit import free_port, status_of
from tests.waiting import until_in_thread


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

    port = await asyncio.to_thread(free_port)
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
    port = await asyncio.to_thread(free_port)
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
    port = await asyncio.to_thread(free_port)

    async def serve_for_a_moment(upload: Any) -> str:
        async with open_local(port=port) as driver, aiohttp.ClientSession() as session:
            url: str = await driver.put(upload)
            assert await status_of(session, url) == 200
            return url

    async with open_local(port=port) as driver:
        url = await asyncio.to_thread(asyncio.run, serve_for_a_moment(make_upload(b"of the other loop")))
        assert await status_of(http, url) == 404
        assert await status_of(http, await driver.put(make_upload())) == 200


@pytest.mark.asyncio
async def test_a_given_port_that_another_program_has_is_an_error_that_names_it(open_local: Any, tmp_path: Path) -> None:
    async with foreign_program() as port:
        with pytest.raises(StorageUnavailableError, match=rf"port {port} is taken.*QQMEDIA_LOCAL_PORT"):
            async with open_local(port=port):
                pass
    assert await asyncio.to_thread(lambda: list((tmp_path / "resource").iterdir())) == []


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
    *, open_local: Any, make_upload: Any, context: Any, public_url: str, url: str, reach: Reach,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "qqmedia_drivers.local")
    context.platform_on_loopback = False
    async with open_local(public_url=public_url) as driver:
        assert f"fetched from {url} (public_url)" in caplog.text  # a slip in it can be seen at the start
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
    if ":" in host and not await asyncio.to_thread(has_ipv6):
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
async def test_an_opening_that_is_cancelled_leaves_port_and_folder_as_they_were(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = await asyncio.to_thread(free_port)

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
    await until_in_thread(lambda: not list((tmp_path / "resource").iterdir()))
    async with open_local(port=port) as driver:
        assert await status_of(http, await driver.put(make_upload())) == 200
