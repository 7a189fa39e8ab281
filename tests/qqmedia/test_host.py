"""The life of a host, how its driver is chosen, and its narrow face."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pydantic
import pytest

import qqmedia
from qqmedia import (
    ChainBuilder,
    ConfigurationError,
    DriverBrokenError,
    DriverContext,
    DriverNotFoundError,
    DriverSpec,
    DriverUnavailableError,
    HostPolicy,
    MediaFormatError,
    MediaKind,
    MediaSource,
    MediaTooLargeError,
    QQMediaError,
    Reach,
    StorageMisconfiguredError,
    StorageUnavailableError,
    SupportsPublish,
    Upload,
    hookimpl,
    open_host,
)
from qqmedia.testing import ManualClock, MemoryDriver, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
SILK = b"\x02#!SILK_V3" + b"\x01\x00a" * 30


class Settings(pydantic.BaseModel):
    bucket: str
    size: int = 1


class Recording:
    """A driver whose opening, check and closing are seen."""

    def __init__(self, *, fails: Exception | None = None, check: Exception | None = None) -> None:
        self.fails, self._check = fails, check
        self.life: list[str] = []
        self.settings: Settings | None = None
        self.context: DriverContext | None = None
        self.task: asyncio.Task[Any] | None = None

    @hookimpl
    def qqmedia_register_drivers(self) -> list[DriverSpec]:
        return [DriverSpec(name="recording", settings=lambda: Settings, open=self._open, extra="recording")]

    @asynccontextmanager
    async def _open(self, settings: Settings, context: DriverContext) -> AsyncIterator[Recording]:
        self.settings, self.context, self.task = settings, context, asyncio.current_task()
        self.life.append("open")
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        yield self
        assert asyncio.current_task() is self.task, "left in another task than entered"
        self.life.append("close")

    async def check(self) -> None:
        self.life.append("check")
        if self._check:
            raise self._check

    async def put(self, upload: Upload, /) -> str:
        return f"https://pics.example/{upload.key}"


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
async def test_the_driver_comes_from_the_variable_and_settings_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toml = tmp_path / "qqmedia.toml"
    await asyncio.to_thread(
        toml.write_text,
        '[qqmedia.recording]\nbucket = "file"\nsize = 2\n[qqmedia.recording.backup]\nbucket = "other"\n',
    )
    monkeypatch.setenv("QQMEDIA_DRIVER", "recording")
    driver = Recording()
    async with open_host(plugins=[driver]) as host:
        assert host.names == ("recording",)
    assert driver.settings == Settings(bucket="file", size=2)
    monkeypatch.setenv("QQMEDIA_RECORDING_SIZE", "3")
    async with open_host("recording:backup", plugins=[driver]) as host:
        assert host.names == ("recording:backup",)
    assert driver.settings == Settings(bucket="other", size=3)
    async with open_host("recording:backup", plugins=[driver], size=4):
        assert driver.settings == Settings(bucket="other", size=4)


@pytest.mark.asyncio
async def test_each_of_several_drivers_may_be_given_settings_of_its_own() -> None:
    driver = Recording()
    async with open_host(["memory", "recording"], plugins=[driver, MemoryDriver()], recording={"bucket": "b"}):
        assert driver.settings == Settings(bucket="b")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("driver", "settings", "error", "text"),
    [
        ("", {}, ConfigurationError, "a name like"),
        ([], {}, ConfigurationError, "a name like"),
        (7, {}, ConfigurationError, "a name like"),
        ("memory,memory", {}, ConfigurationError, "twice"),
        ("memory:", {}, ConfigurationError, "names no section"),
        ("memory:x", {}, ConfigurationError, r"no table \[qqmedia.memory.x\]"),
        (["memory", "recording"], {"bucket": 1}, ConfigurationError, "as keywords to more than one driver.*toml"),
        (["memory", "recording"], {"memory": 1}, ConfigurationError, "give each driver its own, memory={...}"),
        ("memory", {"bucket": 1}, ConfigurationError, "'bucket' is not a setting of 'memory'"),
        ("recording", {"bukket": "b"}, ConfigurationError, "did you mean 'bucket'"),
        ("recordin", {}, DriverNotFoundError, "did you mean 'recording'"),
        ("s3x", {}, DriverNotFoundError, "installed are: .*local"),
    ],
)
async def test_a_wrong_selection_is_an_error_at_opening(
    driver: Any, settings: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        async with open_host(driver, plugins=[Recording(), MemoryDriver()], **settings):
            raise AssertionError


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "wrong",
    [{"put_timeout": 0}, {"ttl": -1}, {"max_bytes": 1.5}, {"concurrency": 0}, {"retries": -1}, {"ttl": float("nan")}],
)
async def test_the_policy_refuses_nonsense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"host policy {next(iter(wrong))} must be"):
        HostPolicy(**wrong)


@pytest.mark.asyncio
async def test_the_policy_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_HOST_MAX_BYTES", "20")
    async with open_host("memory", plugins=[MemoryDriver()]) as host:
        with pytest.raises(MediaTooLargeError, match="20 are allowed"):
            await host.get_image(PNG)
    monkeypatch.setenv("QQMEDIA_HOST_MAX_BYTE", "20")
    with pytest.raises(
        ConfigurationError, match=r"QQMEDIA_HOST_MAX_BYTE is not .*did you mean 'QQMEDIA_HOST_MAX_BYTES'"
    ):
        async with open_host("memory", plugins=[MemoryDriver()]):
            raise AssertionError


@pytest.mark.asyncio
async def test_the_voice_settings_are_decided_at_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, text in (
        ("QQMEDIA_SILK_BITRATE", "many", "variable QQMEDIA_SILK_BITRATE is wrong"),
        ("QQMEDIA_SILK_BITRATE", "1", "silk bitrate must be"),
        ("QQMEDIA_SILK_BITRAT", "24000", "did you mean 'QQMEDIA_SILK_BITRATE'"),
    ):
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            with pytest.raises(ConfigurationError, match=text):
                async with memory_host():
                    raise AssertionError


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


class Answering(MemoryDriver):
    """A driver that answers for pictures itself, whatever it calls the argument."""

    async def get_image(self, data: bytes) -> str | None:
        return "https://own.example/cat" if data.endswith(b"mine") else None


class First:
    @hookimpl(trylast=True)
    def get_image(self, image: bytes) -> str | bytes | None:
        answers: dict[bytes, str | bytes] = {
            b"u": "https://hook.example/", b"b": PNG + b"watermark", b"x": "no url"
        }  # fmt: skip
        return answers.get(image[-1:])


@pytest.mark.asyncio
async def test_hooks_answer_one_at_a_time_and_the_driver_is_last() -> None:
    driver = Answering()
    async with memory_host(driver, plugins=[First()]) as host:
        assert await host.get_image(PNG + b"mine") == "https://own.example/cat"
        assert await host.get_image(PNG + b"u") == "https://hook.example/"
        assert await host.get_image(PNG + b"b") == PNG + b"watermark"
        assert driver.puts == []
        assert str(await host.get_image(PNG)).startswith("http://127.0.0.1")
        async with host.prepare(MediaKind.IMAGE, PNG + b"b") as upload:
            hosted = await host.publish(upload)
            assert (hosted.url, hosted.upload.read()) == (None, PNG + b"watermark")
            assert hosted.upload.sha256 != upload.sha256
            assert hosted.driver.startswith("First")
        with pytest.raises(DriverBrokenError, match="'First#2' answered get_image with 'no url'"):
            await host.get_image(PNG + b"x")


class Bad:
    @hookimpl
    def get_image(self, image: bytes) -> bytes:
        return b"text" if image.endswith(b"1") else PNG + b"0" * 300


@pytest.mark.asyncio
async def test_bytes_of_a_hook_are_judged_like_any_others(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    await asyncio.to_thread(path.write_bytes, PNG + b"1")
    async with memory_host(plugins=[Bad()], policy=HostPolicy(max_bytes=200)) as host:
        with pytest.raises(MediaFormatError, match=r"is application/octet-stream .*answered by Bad"):
            await host.get_image(path)
        with pytest.raises(MediaTooLargeError, match="answered by Bad"):
            await host.get_image(PNG)


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    async def get_image(self, image: bytes) -> None:
        raise self.error


@pytest.mark.asyncio
async def test_what_a_hook_raises_is_told_with_its_name_and_errors_of_ours_stay_as_they_are() -> None:
    with pytest.raises(DriverBrokenError, match=r"plugin 'Failing#2' failed in get_image: KeyError: 'id'") as caught:
        async with memory_host(plugins=[Failing(KeyError("id"))]) as host:
            await host.get_image(PNG)
    assert isinstance(caught.value.__cause__, KeyError)
    ours = StorageUnavailableError("down")
    with pytest.raises(StorageUnavailableError) as other:
        async with memory_host(plugins=[Failing(ours)]) as host:
            await host.get_image(PNG)
    assert other.value is ours


class Paths:
    """A plugin that only looks."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    async def get_video(self, video_file: str) -> None:
        self.seen.append(video_file)


@pytest.mark.asyncio
async def test_a_hook_gets_a_video_as_a_path_that_is_gone_afterwards() -> None:
    plugin = Paths()
    async with memory_host(plugins=[plugin]) as host:
        await host.get_video(b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 200)
    (path,) = plugin.seen
    assert path.endswith(".mp4")
    assert not await asyncio.to_thread(Path(path).exists)


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["../up", "a//b", "/a", "sp ace", "x" * 201, "", 7, "chinesisch/图"])
async def test_a_key_of_a_plugin_must_keep_to_the_rule(key: Any) -> None:
    class Naming:
        @hookimpl
        def qqmedia_object_key(self, upload: Upload) -> Any:
            assert upload.key == ""
            return key

    async with memory_host(plugins=[Naming()]) as host:
        with pytest.raises(DriverBrokenError, match="qqmedia_object_key gave"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_a_key_of_a_plugin_is_used() -> None:
    class Naming:
        @hookimpl
        def qqmedia_object_key(self, upload: Upload) -> str:
            return f"pics/{upload.sha256}"

    async with memory_host(plugins=[Naming()]) as host, host.prepare(MediaKind.IMAGE, PNG) as upload:
        assert upload.key == f"pics/{upload.sha256}"


@pytest.mark.asyncio
async def test_a_broken_plugin_of_the_program_is_an_error() -> None:
    class Misspelt:
        @hookimpl
        def qqmedia_publishd(self) -> None: ...

    with pytest.raises(DriverBrokenError, match="a hook that does not exist"):
        async with memory_host(plugins=[Misspelt()]):
            raise AssertionError


@pytest.mark.asyncio
async def test_no_warning_where_nothing_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with memory_host() as host:
            await host.get_image(PNG)
    assert [record for record in caplog.records if record.name.startswith("qqmedia")] == []


def test_the_source_type_is_public() -> None:
    def accepts(source: MediaSource) -> MediaSource:
        return source

    assert accepts(PNG) is PNG


class NoModel:
    def __init__(self, settings: Any, opened: object = None) -> None:
        self.settings, self.opened = settings, opened

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        return DriverSpec(name="odd", settings=self.settings, open=self._open, extra="odd")

    @asynccontextmanager
    async def _open(self, _settings: object, _context: DriverContext) -> AsyncIterator[Any]:
        yield self.opened


def _needs_a_package() -> type[pydantic.BaseModel]:
    raise ModuleNotFoundError(name="no_such_sdk")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("plugin", "error", "text"),
    [
        (NoModel(dict), DriverBrokenError, "expected a pydantic model"),
        (NoModel(lambda: 7), DriverBrokenError, "gives 7 as its settings"),
        (NoModel(_needs_a_package), DriverUnavailableError, "it needs no_such_sdk, not installed$"),
        (NoModel(None), DriverBrokenError, "has no method put"),
    ],
)
async def test_a_driver_must_bring_settings_and_a_put(plugin: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        async with open_host("odd", plugins=[plugin]):
            raise AssertionError


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
