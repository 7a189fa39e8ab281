"""Removing one safety at a time makes a named test of the kit fail, and no other.

The broken drivers run in a pytest of their own, once in each mode of pytest-asyncio, with strict settings and without
any of this project's plugins and fixtures: as in somebody else's project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.qqmedia.testing import broken

ROOT = Path(__file__).parents[3]
VARIANTS = {name: value for name, value in vars(broken).items() if name.startswith("Test")}
# Left out where they are not what must fail: half of the time goes into them.
SLOW = {
    broken.CANCELLED,
    broken.DICT,
    "test_64_mib_stream_with_bounded_memory",
    "test_a_slow_store_is_waited_for",
    "test_a_store_that_stalls_is_given_up_in_time",
    "test_reading_the_upload_does_not_block_the_loop",
}
SETTINGS = """
[pytest]
asyncio_mode = {mode}
asyncio_default_fixture_loop_scope = function
strict = true
filterwarnings = error
python_files = broken.py
"""
PLUGIN = """
import hypothesis, json, os, pytest

hypothesis.settings.register_profile("quick", phases=[hypothesis.Phase.generate])  # the shortest failure is not sought
hypothesis.settings.load_profile("quick")
outcomes = {{}}

def group(function):
    return function.__qualname__.partition(".")[0]

def wanted(item):
    if item.originalname in item.cls.fails or os.environ.get("KIT_IN_FULL"):
        return True
    groups = {{group(getattr(item.cls, name)) for name in item.cls.fails}}
    return group(item.function) in groups and item.originalname not in {slow!r}

def pytest_collection_modifyitems(items):
    items[:] = filter(wanted, items)

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome == "failed":
        kind, _, name = report.nodeid.rpartition("::")
        variant = outcomes.setdefault(kind.rpartition("::")[2], {{"passed": [], "failed": {{}}, "skipped": []}})
        name = name.partition("[")[0]
        if report.failed:
            variant["failed"][name if report.when == "call" else report.nodeid] = report.longreprtext[-2000:]
        else:
            variant[report.outcome].append(name)

def pytest_sessionfinish():
    with open(os.environ["OUTCOMES"], "w") as file:
        json.dump(outcomes, file)
"""


def start(folder: Path, mode: str, names: list[str]) -> subprocess.Popen[str]:
    folder.mkdir()
    (folder / "pytest.ini").write_text(SETTINGS.format(mode=mode))
    (folder / "noting.py").write_text(PLUGIN.format(slow=SLOW))
    tests = [f"{broken.__file__}::{name}" for name in names]
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=native", "-p", "noting", "-p", "no:cacheprovider", "--noconftest",
        "--import-mode=importlib", f"--basetemp={folder / 'tmp'}", "-c", str(folder / "pytest.ini"), *tests,
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(folder))), "OUTCOMES": str(folder / "outcomes.json"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("broken")
    names = list(VARIANTS)
    running = {mode: start(folder / mode, mode, names[first::2]) for first, mode in enumerate(("strict", "auto"))}
    found: dict[str, Any] = {}
    for mode, process in running.items():
        said, _ = process.communicate(timeout=280)
        assert process.returncode == 1, said[-3000:]
        found |= json.loads((folder / mode / "outcomes.json").read_text())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", list(VARIANTS))
def test_it_fails_what_it_breaks_and_nothing_else(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]
    unexpected = [text for test, text in outcome["failed"].items() if test not in VARIANTS[name].fails]
    assert not unexpected, "\n".join(unexpected)
    assert set(outcome["failed"]) == VARIANTS[name].fails
    assert outcome["passed"]
    assert not outcome["skipped"]
