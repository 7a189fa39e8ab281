"""``qqmedia new-driver``, and the page that leads from it to a published package: every block is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qqmedia.testing import make_content
from tests.examples.distributions import ROOT, Environment, build_wheel, closure

pytestmark = [pytest.mark.blocking, pytest.mark.timeout(180)]  # the tests start programs; two of these run the kit

PAGE = ROOT / "docs" / "write-a-driver.md"
BLOCK = re.compile(r"^<!-- (\w+): (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CUT_SHORT = "not 64_mib and not sequence and not slow and not stalls and not closing and not cancelled"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What an author has after ``pip install qqmedia[testing]``, and a build backend, for there is no index here."""
    linked = closure("qqmedia[testing]", "pip", "hatchling", without={"qqmedia"})
    return Environment.new(tmp_path_factory.mktemp("author") / "venv", [build_wheel(ROOT)], linked)


def shell(environment: Environment, script: str, folder: Path, *, fails: bool = False) -> str:
    path = str(environment.scripts) + os.pathsep + os.environ["PATH"]
    more = {"PATH": path, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=environment.variables(more | {"PYTEST_ADDOPTS": "-p no:cacheprovider"}),
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert fails == (done.returncode != 0), done.stdout
    return done.stdout


def passed(printed: str) -> int:
    found = re.search(r"(\d+) passed", printed)
    assert found, printed
    return int(found[1])


def test_every_block_of_the_page_is_run_by_these_tests() -> None:
    text = PAGE.read_text("utf-8")
    assert len(BLOCK.findall(text)) == len(re.findall(r"^```\w+$", text, re.MULTILINE)) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="the blocks are for a POSIX shell")
def test_the_page_leads_to_a_published_package(environment: Environment, tmp_path: Path) -> None:
    blocks = {(kind, name): text for kind, name, text in BLOCK.findall(PAGE.read_text("utf-8"))}
    printed = shell(environment, blocks["run", "begin"], tmp_path)
    assert passed(printed) > 55, printed
    assert re.search(r"^shelf\tqqmedia-shelf 0\.1\.0\tready\t$", printed, re.MULTILINE), printed
    project = tmp_path / "qqmedia-shelf"
    for (kind, name), text in blocks.items():
        if kind == "file":
            assert (project / name).exists()
            (project / name).write_text(text, "utf-8")
    assert passed(shell(environment, blocks["run", "prove"], project)) > 35
    (project / "cat.png").write_bytes(make_content(1000))
    printed = shell(environment, blocks["run", "use"], project)
    (stored,) = (project / "pics").iterdir()
    assert printed == f"https://pics.example.com/{stored.name}\n"
    printed = shell(environment, blocks["run", "publish"], project)
    assert "qqmedia_shelf/_driver.py" in printed
    assert "store.py" not in printed
    (wheel,) = (project / "dist").glob("*.whl")
    reader = Environment.new(tmp_path / "reader", [build_wheel(ROOT), wheel], closure("qqmedia", without={"qqmedia"}))
    assert "shelf\tqqmedia-shelf 0.1.0\tready\t\n" in reader.command("qqmedia", "drivers")


@pytest.mark.parametrize("name", ["my-cdn", "s3_2"])
def test_a_skeleton_of_any_name_passes_its_own_tests(environment: Environment, tmp_path: Path, name: str) -> None:
    environment.command("qqmedia", "new-driver", name, "--into", "somewhere/else", cwd=tmp_path)
    printed = environment.run("-m", "pytest", "-q", "-k", CUT_SHORT, cwd=tmp_path / "somewhere" / "else")
    assert passed(printed) > 35


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("local", "there is a driver 'local' already, of qqmedia"),
        ("silk", "a driver cannot be called 'silk'"),
        ("My Cloud", "a driver cannot be called 'My Cloud'"),
        ("../up", "a driver cannot be called '../up'"),
        ("qqmedia-cdn", "NAME is what bots will write, without the 'qqmedia-' of its distribution: cdn"),
        ("cdn-", "a distribution cannot be called qqmedia-cdn-: end NAME with a letter or digit"),
        ("drivers", "there is a package qqmedia_drivers already; choose another name than 'drivers'"),
        ("taken", "qqmedia-taken exists already; remove it, or name another folder with --into"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line(
    environment: Environment, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "qqmedia-taken").mkdir()
    printed = environment.command("qqmedia", "new-driver", name, cwd=tmp_path, fails=True)
    assert text in printed
    assert len(printed.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["qqmedia-taken"]
