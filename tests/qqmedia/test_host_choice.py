"""How a host finds its driver and its settings, and what it says of wrong ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pydantic
import pytest

from qqmedia import (
    ConfigurationError,
    DriverBrokenError,
    DriverContext,
    DriverNotFoundError,
    DriverSpec,
    DriverUnavailableError,
    HostPolicy,
    MediaTooLargeError,
    hookimpl,
    open_host,
)
from qqmedia.testing import MemoryDriver, memory_host
from tests.qqmedia.recording import Recording, Settings

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


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
