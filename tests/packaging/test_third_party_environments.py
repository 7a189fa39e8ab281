"""What there is in bare environments: ours alone, each extra alone, all of them, a broken plugin beside good ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.distributions import ROOT, Environment, build_wheel, closure

pytestmark = [pytest.mark.blocking]  # the tests themselves start programs and write small files

VERSION = "qqmedia 0.1.0"
ALWAYS = {"direct": "ready", "local": "ready"}
CLOUDS = ("cos", "oss", "s3")
OPENED = """
import asyncio, qqmedia
async def use():
    async with qqmedia.open_host("local", port=0, resource_path="files", platform_on_loopback=True) as host:
        print(str(await host.get_image(open("cat.png", "rb").read())).rpartition(".")[2])
    async with qqmedia.open_host("DRIVER", check=False) as host: pass
try:
    asyncio.run(use())
except qqmedia.QQMediaError as error:
    print(type(error).__name__, error)
"""


def bare(folder: Path, extras: str = "", *more: Path) -> Environment:
    linked = closure(f"qqmedia{extras}", without={"qqmedia"})
    return Environment.new(folder / "venv", [build_wheel(ROOT), *more], linked)


def drivers(environment: Environment) -> dict[str, tuple[str, str, str]]:
    """What ``qqmedia drivers`` prints: name to origin, status and reason."""
    rows = [line.split("\t") for line in environment.command("qqmedia", "drivers").splitlines()]
    return {name: (origin, status, reason) for name, origin, status, reason in rows}


def plugin(folder: Path, name: str, source: str, distribution: str) -> Path:
    """Write a distribution with one module and build its wheel."""
    project, module = folder / distribution, distribution.replace("-", "_")
    project.mkdir(parents=True)
    (project / f"{module}.py").write_text(source, "utf-8")
    (project / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{distribution}"\nversion = "1.2"\n'
        f'[project.entry-points.qqmedia]\n{name} = "{module}"\n'
        f'[tool.hatch.build.targets.wheel]\ninclude = ["{module}.py"]\n',
        "utf-8",
    )
    return build_wheel(project)


@pytest.mark.parametrize("extras", ["", "[cos]", "[oss]", "[s3]", "[all]"])
def test_what_is_ready_and_what_is_missing_with_which_extra(tmp_path: Path, extras: str) -> None:
    environment = bare(tmp_path, extras)
    ready = set(CLOUDS) if extras == "[all]" else {extras.strip("[]")} & set(CLOUDS)
    rows = drivers(environment)
    assert {name: status for name, (_, status, _) in rows.items()} == ALWAYS | {
        name: "ready" if name in ready else "missing" for name in CLOUDS
    }
    assert {origin for origin, _, _ in rows.values()} == {VERSION}
    for name in set(CLOUDS) - ready:
        assert rows[name][2].endswith(f'not installed; run: pip install "qqmedia[{name}]"')


def test_ours_alone_works_and_names_the_extra(tmp_path: Path) -> None:
    """Nothing is needed that is not declared, and a cloud's driver says what to install."""
    from qqmedia.testing import make_content

    environment = bare(tmp_path)
    (tmp_path / "cat.png").write_bytes(make_content(1000))
    printed = environment.run("-c", OPENED.replace("DRIVER", "s3"), cwd=tmp_path)
    assert printed.splitlines()[0] == "png"
    assert printed.splitlines()[1].startswith("DriverUnavailableError driver 's3' cannot be used")
    assert printed.rstrip().endswith('pip install "qqmedia[s3]"')
    assert environment.command("qqbot", "--help")
    assert environment.run("-c", "import bot_core, bot_core.sandbox, qqmedia.voice") == ""


def test_a_broken_plugin_and_a_doubled_name_stand_beside_good_ones(tmp_path: Path) -> None:
    from qqmedia.testing import make_content

    good = (
        "from qqmedia import DriverSpec, hookimpl\n@hookimpl\ndef qqmedia_register_drivers():\n"
        "    return DriverSpec(name='twice', open=None)\n"
    )
    environment = bare(
        tmp_path, "", plugin(tmp_path, "broken", "import no_such_thing\n", "qqmedia-broken"),
        plugin(tmp_path, "twice", good, "qqmedia-twice"), plugin(tmp_path, "twice", good, "qqmedia-again"),
        build_wheel(ROOT / "examples" / "qqmedia-webdav"), build_wheel(ROOT / "examples" / "qqmedia-watermark"),
    )  # fmt: skip
    rows = {(name, status) for name, (_, status, _) in drivers(environment).items()}
    assert {("broken", "broken"), ("twice", "duplicate"), ("webdav", "ready"), ("watermark", "plugin")} <= rows
    assert {("local", "ready"), ("direct", "ready"), ("s3", "missing")} <= rows
    assert drivers(environment)["broken"][::2] == (
        "qqmedia-broken 1.2",
        "ModuleNotFoundError: No module named 'no_such_thing'",
    )
    (tmp_path / "cat.png").write_bytes(make_content(1000))
    printed = ""
    for driver, error in (
        ("broken", "DriverBrokenError driver 'broken' of qqmedia-broken 1.2 is broken: ModuleNotFoundError"),
        ("twice", "DuplicateDriverError driver 'twice' is brought by qqmedia-again 1.2 and qqmedia-twice 1.2"),
        ("webdaw", "DriverNotFoundError no driver 'webdaw' is installed; installed are: "),
    ):
        shutil.rmtree(tmp_path / "files", ignore_errors=True)
        printed = environment.run("-c", OPENED.replace("DRIVER", driver), cwd=tmp_path)
        assert "\npng\n" in f"\n{printed}"  # the good ones go on
        assert error in printed
    assert "did you mean 'webdav'?" in printed
