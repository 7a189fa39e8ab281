"""Promises about what must never show, and about settings."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel

from qqmedia.driver import Driver, DriverContext, DriverSpec, SupportsDelete, SupportsFind
from qqmedia.errors import ConfigurationError, DriverBrokenError
from qqmedia.hookspecs import hookimpl
from qqmedia.host import MediaHost
from qqmedia.testing._conformance._base import ConformanceBase, DriverAt, skip_without
from qqmedia.testing._uploads import make_upload

__all__ = ("Secrecy", "Settings")

_WITHOUT = ("secrets", "names the values that must never show")


class Secrecy(ConformanceBase):
    """The author's `secrets` show nowhere."""

    @pytest.mark.asyncio
    async def test_no_secret_in_a_repr(self, driver: Driver, given_secrets: Collection[str] | None) -> None:
        """Of the driver and of what it holds."""
        if given_secrets is None:
            skip_without(*_WITHOUT)
        _assert_clean(repr(driver), given_secrets, "the driver's repr")
        _assert_clean(str(driver), given_secrets, "the driver's text")
        for name, value in vars(driver).items() if hasattr(driver, "__dict__") else ():
            if not isinstance(value, str | bytes):
                _assert_clean(repr(value), given_secrets, f"the repr of the driver's {name}")

    @pytest.mark.asyncio
    async def test_no_secret_in_a_url(self, driver: Driver, given_secrets: Collection[str] | None) -> None:
        """It is sent to the platform, and ends up in logs there."""
        if given_secrets is None:
            skip_without(*_WITHOUT)
        _assert_clean(await driver.put(make_upload()) or "", given_secrets, "a URL")

    @pytest.mark.asyncio
    async def test_no_secret_in_any_log_line(
        self,
        driver: Driver,
        given_secrets: Collection[str] | None,
        given_opener: Callable[[], AbstractAsyncContextManager[Driver]] | None,
        given_wrong_credentials: AbstractAsyncContextManager[Driver] | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """At any level, of any logger: opening, storing, finding, deleting, failing."""
        if given_secrets is None:
            skip_without(*_WITHOUT)
        with caplog.at_level(logging.DEBUG):
            await _use(driver)
            if given_opener is not None:
                async with given_opener() as opened:
                    await _use(opened)
            if given_wrong_credentials is not None:
                await _caught(given_wrong_credentials)
        formatter = logging.Formatter("%(name)s %(message)s")
        for record in caplog.records:
            _assert_clean(formatter.format(record), given_secrets, f"a line of the logger {record.name!r}")

    @pytest.mark.asyncio
    async def test_no_secret_in_an_error(
        self,
        driver: Driver,
        given_secrets: Collection[str] | None,
        given_faulty: DriverAt | None,
        given_wrong_credentials: AbstractAsyncContextManager[Driver] | None,
    ) -> None:
        """Neither in its text nor in the traceback with its causes."""
        if given_secrets is None:
            skip_without(*_WITHOUT)
        if given_faulty is None and given_wrong_credentials is None:
            skip_without("faulty` or `wrong_credentials", "makes the driver fail")
        errors = []
        if given_wrong_credentials is not None:
            errors.append(await _caught(given_wrong_credentials))
        if given_faulty is not None:
            async with self.behind_proxy(given_faulty) as (faulty, proxy):
                await proxy.refuse()
                with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it shows no secret
                    await faulty.put(make_upload())
                errors.append(caught.value)
        for error in errors:
            _assert_clean(repr(error), given_secrets, "an error")
            _assert_clean("".join(traceback.format_exception(error)), given_secrets, "the traceback of an error")


class Settings(ConformanceBase):
    """What the author's `spec` promises; a host does the work."""

    @pytest.mark.asyncio
    async def test_an_unknown_setting_is_refused_by_name(
        self, driver: Driver, given_spec: DriverSpec | None, tmp_path: Path
    ) -> None:
        """A misspelt setting is an error, and not the default."""
        if given_spec is None:
            skip_without("spec", "returns the driver's DriverSpec")
        error = await _refusal(given_spec, tmp_path, {"no_such_setting": "x"})
        assert error is not None, "the driver was opened in spite of a setting that it does not have"
        assert "no_such_setting" in error

    @pytest.mark.asyncio
    async def test_a_wrong_setting_is_refused_by_name(
        self, driver: Driver, given_spec: DriverSpec | None, tmp_path: Path
    ) -> None:
        """Whichever it is; before anything is opened."""
        if given_spec is None:
            skip_without("spec", "returns the driver's DriverSpec")
        names = _setting_names(given_spec)
        if not names:
            pytest.skip("this driver has no settings")
        for name in names:
            error = await _refusal(given_spec, tmp_path, {name: object()})
            # A setting that takes anything cannot be wrong.
            assert error is None or repr(name) in error, f"the error for a wrong {name!r} does not name it: {error}"

    @pytest.mark.asyncio
    async def test_a_wrong_setting_shows_no_value(
        self, driver: Driver, given_spec: DriverSpec | None, tmp_path: Path
    ) -> None:
        """What was given for a key, token, secret or password may be one."""
        if given_spec is None:
            skip_without("spec", "returns the driver's DriverSpec")
        names = [name for name in _setting_names(given_spec) if any(word in name for word in _SECRET_WORDS)]
        if not names:
            pytest.skip("no setting of this driver is called a secret")
        for name in names:
            error = await _refusal(given_spec, tmp_path, {name: ["hunter2"]})
            assert "hunter2" not in (error or ""), f"the error for a wrong {name!r} shows what was given"


_SECRET_WORDS = ("secret", "password", "token", "key")


def _setting_names(spec: DriverSpec) -> list[str]:
    if spec.settings is None:
        return []
    model: type[BaseModel] = spec.settings if isinstance(spec.settings, type) else spec.settings()
    return list(model.model_fields)


async def _refusal(spec: DriverSpec, folder: Path, settings: dict[str, Any]) -> str | None:
    """Open a host with these settings alone, and return why it refuses them, or `None` where it takes them."""
    with pytest.raises((ConfigurationError, DriverBrokenError)) as caught:
        async with MediaHost(
            spec.name, plugins=[_Unopened(spec)], settings=settings, state_dir=folder, platform_on_loopback=True
        ):  # fmt: skip
            pass
    return str(caught.value) if isinstance(caught.value, ConfigurationError) else None


class _Unopened:
    """Brings the driver's settings, and never the driver."""

    def __init__(self, spec: DriverSpec) -> None:
        self._spec = spec

    @hookimpl
    def qqmedia_register_drivers(self) -> DriverSpec:
        """Bring them."""
        return replace(self._spec, open=_open_nothing)


def _open_nothing(_settings: Any, _context: DriverContext) -> NoReturn:
    raise AssertionError("the settings were taken")  # a host makes a DriverBrokenError of it


async def _use(driver: Driver) -> None:
    upload = make_upload()
    await driver.put(upload)
    if isinstance(driver, SupportsFind):
        await driver.find(upload)
    if isinstance(driver, SupportsDelete):
        await driver.delete(upload.key)


async def _caught(opening: AbstractAsyncContextManager[Driver]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it shows no secret
        async with opening as driver:
            await driver.put(make_upload())
    return caught.value


def _assert_clean(text: str, secrets: Collection[str], what: str) -> None:
    # The failure must not print the text either.
    shown = [number for number, secret in enumerate(secrets) if secret and secret in text]
    if shown:
        pytest.fail(f"secret number {shown[0]} (of the fixture `secrets`) stands in {what}", pytrace=False)
