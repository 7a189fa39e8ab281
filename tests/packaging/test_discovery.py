"""Plugins as they are really installed: distributions with entry points, good ones beside broken ones."""

from __future__ import annotations

import asyncio
import logging
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qqmedia import (
    DriverBrokenError,
    DriverNotFoundError,
    DriverUnavailableError,
    DuplicateDriverError,
    HostedMedia,
    MediaKind,
    open_host,
)
from qqmedia.plugins import discover
from qqmedia.testing import MemoryDriver

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
Install = Callable[..., None]

GOOD = """
    import contextlib
    from qqmedia import DriverSpec, hookimpl

    class Driver:
        async def put(self, upload):
            return "https://{name}.example/" + upload.key

    @contextlib.asynccontextmanager
    async def open_driver(settings, context):
        yield Driver()

    @hookimpl
    def qqmedia_register_drivers():
        return DriverSpec(name="{name}", open=open_driver, {more})

    @hookimpl
    async def get_image(image):
        return "https://answer.example/" if image.endswith(b"{name}") else None
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution into a folder of its own."""

    def install(name: str, source: str, *, distribution: str | None = None, entry_point: str | None = None) -> None:
        distribution = distribution or f"qqmedia-{name}"
        folder = tmp_path / distribution
        module = f"{distribution}_plugin".replace("-", "_")
        info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[qqmedia]\n{entry_point or name} = {module}\n")
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(folder))
        # What is imported here must not be found by the next test, whose folder is another.
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def _good(name: str, more: str = "") -> str:
    return GOOD.format(name=name, more=more)


def test_a_broken_plugin_and_a_duplicate_never_stop_the_others(install: Install) -> None:
    install("webdav", _good("webdav"))
    install("broken", "import something_that_is_not_there")
    install("twice", _good("twice"))
    install("twice", _good("twice"), distribution="qqmedia-again")
    found = discover()
    rows = {(one.name, one.distribution, one.version, one.status) for one in found.drivers}
    assert {
        ("webdav", "qqmedia-webdav", "1.2", "ready"),
        ("broken", "qqmedia-broken", "1.2", "broken"),
        ("twice", "qqmedia-twice", "1.2", "duplicate"),
        ("twice", "qqmedia-again", "1.2", "duplicate"),
    } <= rows
    assert ("local", "ready") in {(one.name, one.status) for one in found.drivers}
    assert found.driver("webdav").spec is not None
    with pytest.raises(DriverBrokenError, match=r"'broken' of qqmedia-broken 1\.2 is broken: ModuleNotFound") as caught:
        found.driver("broken")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(DuplicateDriverError, match=r"by qqmedia-again 1\.2 and qqmedia-twice 1\.2; uninstall one"):
        found.driver("twice")


def test_a_name_that_is_not_there_says_what_is(install: Install) -> None:
    install("webdav", _good("webdav"))
    found = discover()
    with pytest.raises(DriverNotFoundError, match=r"installed are: .*local.*webdav; did you mean 'webdav'\?"):
        found.driver("webdaw")
    for slip, meant in (("s4", "s3"), ("LOCAL", "local"), ("coss", "cos"), ("osss", "oss")):
        with pytest.raises(DriverNotFoundError, match=rf"did you mean '{meant}'\?"):
            found.driver(slip)
    for name in ("cos", "oss", "s3"):
        if name not in {one.name for one in found.drivers}:
            with pytest.raises(DriverNotFoundError, match=rf'run: pip install "qqmedia\[{name}\]"'):
                found.driver(name)


def test_a_plugin_without_a_driver_is_named_when_a_driver_is_wanted(install: Install) -> None:
    install("mark", "from qqmedia import hookimpl\n@hookimpl\ndef get_image(image): return None\n")
    with pytest.raises(DriverNotFoundError, match=r"plugin 'mark' of qqmedia-mark 1\.2 brings no driver"):
        discover().driver("mark")


def test_a_driver_whose_package_is_missing_is_listed_so(install: Install) -> None:
    install("webdav", _good("webdav", "requires=('json', 'no_such_sdk', 'no_such.sub'), extra='webdav'"))
    found = discover()
    (row,) = [one for one in found.drivers if one.name == "webdav"]
    assert row.status == "missing"
    assert row.reason == 'it needs no_such_sdk, no_such.sub, not installed; run: pip install "qqmedia-webdav[webdav]"'
    with pytest.raises(DriverUnavailableError, match=r"it needs no_such_sdk, .*\[webdav\]") as caught:
        found.driver("webdav")
    assert (caught.value.extra, caught.value.requirement) == ("webdav", "qqmedia-webdav[webdav]")
    assert str(caught.value).count("run:") == 1


@pytest.mark.parametrize(
    ("source", "entry_point", "text"),
    [
        (_good("other"), None, "its driver is called 'other', its entry point 'webdav'"),
        (_good("webdav", "contract=2"), None, r"driver contract 2, qqmedia [\d.]+ has 1; upgrade qqmedia"),
        (_good("webdav", "contract='2'"), None, "contract of its driver is '2'; expected a whole number from 1"),
        (_good("webdav", "contract=0"), None, "contract of its driver is 0; expected a whole number from 1"),
        (_good("silk"), "silk", "cannot be called 'silk'"),
        (_good("Web Dav"), "Web Dav", "cannot be called 'Web Dav'"),
        (_good("webdav").replace("async def get_image(image)", "def get_image(picture)"), None, "other arguments"),
        (_good("webdav").replace("get_image(image)", "get_image(image, size=3)"), None, "no defaults: size"),
        (
            _good("webdav").replace("def qqmedia_reg", "async def qqmedia_reg"),
            None,
            "is a coroutine function; only get",
        ),
        (_good("webdav").replace("return DriverSpec(", "return dict("), None, "returned 'name'; expected DriverSpec"),
        (_good("webdav").replace("return DriverSpec(", "raise KeyError("), None, "TypeError|KeyError"),
        (_good("webdav") + "\n    @hookimpl\n    def qqmedia_publishd(media): ...", None, "a hook that does not exist"),
        (
            _good("webdav").replace("qqmedia_reg", "qqmedia_rag"),
            None,
            r"plugin 'webdav' of qqmedia-webdav 1\.2 is broken",
        ),
        (_good("webdav").replace("@hookimpl\n    def", "def"), None, "drivers is not marked with @qqmedia.hookimpl"),
        (_good("webdav").replace("return DriverSpec(", "DriverSpec("), None, "returned None; expected DriverSpec"),
        (_good("webdav", "requires='json'"), None, "'json'; expected a tuple of import names"),
        (_good("webdav", "settings='Settings'"), None, "'Settings'; expected a pydantic model, or a function"),
        (_good("webdav").replace("open=open_driver", "open=None"), None, "open of its driver is None; expected an"),
        ("raise SystemExit('run me as a program')", None, "SystemExit: run me as a program"),
        (_good("webdav").replace("return DriverSpec(", "raise SystemExit("), None, "SystemExit|TypeError"),
    ],
)
def test_whoever_breaks_the_contract_is_told_how(
    source: str, entry_point: str | None, text: str, install: Install
) -> None:
    install("webdav", source, entry_point=entry_point)
    found = discover()
    with pytest.raises(DriverBrokenError, match=text):
        found.driver(entry_point or "webdav")
    assert found.driver("local").status == "ready"


def test_a_function_that_is_called_like_its_module_is_told_when_the_module_has_taken_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python binds an imported submodule to its name in the package, over the function that was there."""
    package = tmp_path / "qqmedia_shadow"
    package.mkdir()
    (package / "_settings.py").write_text("Model = dict\n")
    (package / "__init__.py").write_text(
        "from qqmedia import DriverSpec, hookimpl\n"
        "def _settings():\n    from qqmedia_shadow._settings import Model\n    return Model\n"
        "@hookimpl\ndef qqmedia_register_drivers(): return DriverSpec(name='shadow', open=print, settings=_settings)\n"
    )
    info = tmp_path / "qqmedia_shadow-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: qqmedia-shadow\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[qqmedia]\nshadow = qqmedia_shadow\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = discover().driver("shadow").spec
    load: Any = spec and spec.settings
    assert load() is dict
    with pytest.raises(DriverBrokenError, match=r"is the module qqmedia_shadow\._settings, .* another name than"):
        discover().driver("shadow")


@pytest.mark.asyncio
async def test_a_plugin_of_the_program_itself_is_told_by_its_name() -> None:
    host = open_host("memory", plugins=[MemoryDriver])  # the class, and no object of it
    with pytest.raises(
        DriverBrokenError, match=r"plugin MemoryDriver#1 of this program is broken: TypeError: .*'self'"
    ):
        await host.__aenter__()


def test_a_blocked_plugin_is_not_even_imported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("webdav", "raise AssertionError('imported')")
    install("other", _good("other"))
    monkeypatch.setenv("QQMEDIA_BLOCK", "webdav, nonsense")
    found = discover()
    assert "other" in {one.name for one in found.drivers}
    assert "webdav" not in {one.name for one in found.drivers} | {one.name for one in found.plugins}
    with pytest.raises(DriverNotFoundError, match="kept out by QQMEDIA_BLOCK"):
        found.driver("webdav")
    assert "webdav" in {one.name for one in discover(block=()).drivers}


@pytest.mark.asyncio
async def test_only_the_chosen_driver_takes_part(install: Install) -> None:
    await asyncio.to_thread(install, "webdav", _good("webdav"))
    await asyncio.to_thread(install, "ftp", _good("ftp"))
    async with open_host("webdav") as host:
        assert await host.get_image(PNG + b"webdav") == "https://answer.example/"
        assert str(await host.get_image(PNG + b"ftp")).startswith("https://webdav.example/")


@pytest.mark.asyncio
async def test_a_plugin_without_a_driver_takes_part_and_a_broken_one_is_a_warning(
    install: Install, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = "from qqmedia import hookimpl\n@hookimpl\ndef get_image(image): return 'https://{}.example/'\n"
    await asyncio.to_thread(install, "webdav", _good("webdav"))
    await asyncio.to_thread(install, "broken", hook.format("broken").replace("def", "asinc def"))
    await asyncio.to_thread(install, "spoilt", hook.format("spoilt").replace("get_image(image)", "qqmedia_no_hook()"))
    await asyncio.to_thread(install, "silent", _good("silent", "contract=9"))
    await asyncio.to_thread(install, "answers", hook.format("answers"))
    with caplog.at_level(logging.WARNING):
        async with open_host("webdav") as host, host.prepare(MediaKind.IMAGE, PNG) as upload:
            media: HostedMedia = await host.publish(upload)
    assert (media.url, media.driver) == ("https://answers.example/", "answers")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2, warnings
    assert "plugin 'broken' of qqmedia-broken 1.2 takes no part: SyntaxError" in warnings[0]
    assert "plugin 'spoilt' of qqmedia-spoilt 1.2 takes no part" in warnings[1]
    monkeypatch.setenv("QQMEDIA_BLOCK", "broken spoilt answers")
    caplog.clear()
    async with open_host("webdav") as host:
        assert str(await host.get_image(PNG)).startswith("https://webdav.example/")
    assert caplog.records == []
