"""The page about the kit names every promise, and its example is a test file that passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from qqmedia.testing import DriverConformance

PAGE = Path(__file__).parents[3] / "docs" / "test-a-driver.md"


def test_the_page_names_every_promise_and_no_other() -> None:
    promises = {name for name in dir(DriverConformance) if name.startswith("test_")}
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8"))) == promises


def test_every_promise_says_what_it_means() -> None:
    promises = [getattr(DriverConformance, name) for name in dir(DriverConformance) if name.startswith("test_")]
    assert [promise.__name__ for promise in promises if not promise.__doc__] == []


def test_the_example_is_a_test_file_that_passes(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(from .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "test_memory.py").write_text(example)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "-W",
        "error",
    ]
    command += ["-o", "asyncio_default_fixture_loop_scope=function", "-k", "once or url or same_key or find or odd"]
    environment = os.environ | {"PYTHONPATH": str(PAGE.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=50
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"1\d passed", done.stdout), done.stdout
