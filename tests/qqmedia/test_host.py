"""The life of a host: opening, checking, closing, and what it says of misuse."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from qqmedia import (
    ChainBuilder,
    ConfigurationError,
    DriverBrokenError,
    DriverContext,
    DriverUnavailableError,
    HostPolicy,
    MediaKind,
    MediaSource,
    QQMediaError,
    Reach,
    StorageMisconfiguredError,
    StorageUnavailableError,
    SupportsPublish,
    open_host,
)
from qqmedia.testing import ManualClock, MemoryDriver, memory_host
from tests.qqmedia.recording import Recording, Settings

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
SILK = b"\x02#!SILK_V3" + b"\x01\x00a" * 30


@pytest.mark.asyncio
async def test_entering_opens_and_checks_and_leaving_closes() -> None:
    driver = Recording()
    async with open_host("recording", plugins=[driver], bucket="b") as host:
        assert driver.life == ["open", "check"]
        assert driver.settings == Settings(bucket="b")
        assert isinstance(host, ChainBuilder)
        assert isinstance(host, SupportsPublish)
    assert driver.life == ["open", "check", "close"]


@pytest.mark.asyncio
async def test_making_one_does_nothing(tmp_path: Path) -> None:
    host = open_host("no such driver", state_dir=tmp_path / "state")
    assert (host.names, host.reach) == ((), Reach.UNKNOWN)
    assert not await asyncio.to_thread((tmp_path / "state").exists)


@pytest.mark.asyncio
async def test_the_first_use_opens_and_whoever_came_first_may_be_cancelled() -> None:
    driver = Recording()
    host = open_host("recording", plugins=[driver], bucket="b")
    impatient = asyncio.create_task(host.get_image(PNG))
    await asyncio.sleep(0)
    impatient.cancel()
    url = await host.get_image(PNG)
    assert str(url).startswith("https://pics.example/")
    assert driver.life == ["open", "check"]
    await host.aclose()
    assert driver.life == ["open", "check", "close"]


@pytest.mark.asyncio
async def test_start_opens_in_the_background_and_may_be_called_again() -> None:
    driver = Recording()
    host = open_host("recording", plugins=[driver], bucket="b")
    host.start()
    host.start()
    await host.get_image(PNG)
    host.start()
    assert driver.life == ["open", "check"]
    await host.aclose()


@pytest.mark.asyncio
async def test_a_failure_of_start_is_logged_and_raised_at_every_use(caplog: pytest.LogCaptureFixture) -> None:
    host = open_host("recording", plugins=[Recording()])
    host.start()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"'bucket' of 'recording' is not set: give .*QQMEDIA_RECORDING_B"):
            await host.get_image(PNG)
    assert caplog.text.count("the media host cannot be opened: 'bucket'") == 1
    await host.aclose()


@pytest.mark.asyncio
async def test_each_misuse_has_a_sentence_of_its_own() -> None:
    host = open_host("recording", plugins=[Recording()], bucket="b")
    async with host:
        with pytest.raises(QQMediaError, match="is open already; enter it once"):
            await host.__aenter__()
        assert await host.get_image(PNG)
    with pytest.raises(QQMediaError, match="was closed before; close it once"):
        await host.aclose()
    for use in (host.get_image(PNG), host.__aenter__()):
        with pytest.raises(QQMediaError, match="is closed; open another one"):
            await use
    with pytest.raises(QQMediaError, match="is closed; open another one"):
        host.start()


@pytest.mark.asyncio
async def test_closing_inside_the_block_is_enough() -> None:
    driver = Recording()
    async with open_host("recording", plugins=[driver], bucket="b") as host:
        await host.aclose()
    assert driver.life == ["open", "check", "close"]


@pytest.mark.asyncio
async def test_closing_while_it_opens_ends_the_opening() -> None:
    driver = Recording()
    host = open_host("recording", plugins=[driver], bucket="b")
    host.start()
    await asyncio.sleep(0)
    await host.aclose()
    assert "check" not in driver.life
    with pytest.raises(QQMediaError, match="is closed"):
        await host.get_image(PNG)


@pytest.mark.asyncio
async def test_a_driver_that_does_not_open_says_why() -> None:
    for error, expected, text in (
        (OSError("port taken"), DriverBrokenError, r"of \(this program\) - does not open: OSError: port taken"),
        (StorageMisconfiguredError("wrong region"), StorageMisconfiguredError, "^wrong region$"),
        (ModuleNotFoundError(name="boto9"), DriverUnavailableError, "it needs boto9, not installed$"),
    ):
        with pytest.raises(expected, match=text):
            async with open_host("recording", plugins=[Recording(fails=error)], bucket="b"):
                raise AssertionError


@pytest.mark.asyncio
async def test_a_check_that_fails_for_good_stops_the_opening_and_a_passing_one_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = Recording(check=StorageMisconfiguredError("no such bucket"))
    with pytest.raises(StorageMisconfiguredError, match="no such bucket"):
        await open_host("recording", plugins=[driver], bucket="b").__aenter__()
    assert driver.life[:2] == ["open", "check"]
    async with open_host("recording", plugins=[driver], check=False, bucket="b"):
        pass
    driver = Recording(check=StorageUnavailableError("no answer"))
    async with open_host("recording", plugins=[driver], bucket="b") as host:
        assert await host.get_image(PNG)
    assert "may work later: no answer" in caplog.text


@pytest.mark.asyncio
async def test_public_urls_pass_through_and_private_ones_do_not() -> None:
    async with memory_host(platform_on_loopback=False) as host:
        for url in ("https://example.org/cat.png", "http://93.184.216.34/a.mp3?x=1", "HTTPS://Example.org/"):
            assert await host.get_image(url) == url
            assert await host.get_voice(url) == url
        with pytest.raises(qqmedia.MediaSourceError, match=r"nothing is fetched from 192\.168\.1\.5"):
            await host.get_video("http://192.168.1.5/cat.mp4")
    async with memory_host() as host:
        assert await host.get_image("http://127.0.0.1:9/cat.png") == "http://127.0.0.1:9/cat.png"
        await host.on_page_rendered(object())


@pytest.mark.asyncio
async def test_a_silk_voice_goes_all_the_way() -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        await host.get_voice(SILK)
    (key,) = driver.puts
    assert key.endswith(".silk")
    assert driver.objects[key].content_type == "audio/silk"


@pytest.mark.asyncio
async def test_drivers_are_lent_what_they_need() -> None:
    driver = Recording()
    policy, clock = HostPolicy(put_timeout=7), ManualClock(5.0)
    async with qqmedia.MediaHost("recording", policy=policy, plugins=[driver], settings={"bucket": "b"}, clock=clock):
        context = driver.context
        assert context is not None
        assert context.http is context.http
        assert not context.http.closed
        assert context.time() == 5.0
        assert await context.in_thread(divmod, 7, 4) == (1, 3)
        assert await asyncio.to_thread(context.state_dir.is_dir)
        assert (context.name, context.platform_on_loopback, context.put_timeout) == ("recording", False, 7)
    assert context.http.closed


def test_the_source_type_is_public() -> None:
    def accepts(source: MediaSource) -> MediaSource:
        return source

    assert accepts(PNG) is PNG


@pytest.mark.asyncio
async def test_a_driver_that_does_not_open_in_time_names_the_setting() -> None:
    class Hanging(Recording):
        @asynccontextmanager
        async def _open(self, settings: Settings, context: DriverContext) -> AsyncIterator[Recording]:
            await asyncio.Event().wait()
            yield self

    policy = HostPolicy(put_timeout=0.02)
    with pytest.raises(StorageUnavailableError, match=r"did not open within 0\.02 s; raise put_timeout"):
        async with open_host("recording", plugins=[Hanging()], policy=policy, bucket="b"):
            raise AssertionError


@pytest.mark.asyncio
async def test_entering_may_be_cancelled_and_leaves_nothing_open() -> None:
    driver = Recording()
    host = open_host("recording", plugins=[driver], bucket="b")
    entering = asyncio.create_task(host.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert driver.life.count("open") == driver.life.count("close")
    assert [task.get_name() for task in asyncio.all_tasks() if "qqmedia" in task.get_name()] == []
    with pytest.raises(QQMediaError, match="is closed"):
        await host.get_image(PNG)


@pytest.mark.asyncio
async def test_a_narrow_builder_gives_back_what_it_was_given() -> None:
    builder = ChainBuilder()
    assert await builder.get_image(PNG) == PNG
    assert await builder.get_voice("a.mp3") == "a.mp3"
    assert await builder.get_video("a.mp4") == "a.mp4"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"policy": {"ttl": 5}}, r"policy must be HostPolicy\(...\), got {'ttl': 5}"),
        ({"http": 5}, "http must be an aiohttp.ClientSession, got 5"),
        ({"state_dir": 5}, "state_dir must be a path, got 5"),
        ({"plugins": ["my_plugin"]}, "plugins are objects with hooks, not their names; got .*'my_plugin'"),
    ],
)
async def test_a_wrong_argument_is_named_at_opening(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        async with open_host("direct", **given):
            pass


@pytest.mark.asyncio
async def test_what_is_no_kind_no_name_and_no_upload_is_refused_by_its_name() -> None:
    async with memory_host() as host:
        ours: Any = host
        for kind in ("imag", None):
            with pytest.raises(TypeError, match=f"kind is one of image, video, voice, file; got {kind!r}"):
                ours.prepare(kind, PNG)
        with pytest.raises(TypeError, match="filename is a str; got 5"):
            ours.prepare("file", PNG, filename=5)
        async with ours.prepare("image", PNG) as upload:  # its value serves too
            assert upload.kind is MediaKind.IMAGE
        for publish in (ours.publish, ours.keep):
            with pytest.raises(TypeError, match=r"comes from prepare: .*; got b'PNG'"):
                await publish(b"PNG")


@pytest.mark.asyncio
async def test_what_a_host_reads_does_not_wait_for_the_pool_of_asyncio(tmp_path: Path) -> None:
    path, content, gate = tmp_path / "a.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(100), threading.Event()
    await asyncio.to_thread(path.write_bytes, content)
    loop = asyncio.get_running_loop()
    async with open_host("direct") as host:
        loop.set_default_executor(ThreadPoolExecutor(1))
        hanging = loop.run_in_executor(None, gate.wait)
        try:
            async with asyncio.timeout(5):
                assert await host.get_video(str(path)) == content
        finally:
            gate.set()
            await hanging
