"""Who unpacks the source distribution can run its tests, and finds nothing that is not source."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from tests.examples.distributions import ROOT


def test_it_holds_what_the_tests_read_and_run_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (packed,) = tmp_path.iterdir()
    with tarfile.open(packed) as archive:
        names = [Path(name).relative_to(packed.name.removesuffix(".tar.gz")) for name in archive.getnames()]
    folders = {name.parts[0] for name in names if len(name.parts) > 1}
    files = {str(name) for name in names if len(name.parts) == 1 and name.suffix != ".md"}
    assert folders == {
        ".ci", "benchmarks", "bot_core", "docs", "examples", "qqmedia", "qqmedia_drivers", "tests",
    }  # fmt: skip
    assert files == {".gitignore", "LICENSE", "Makefile", "PKG-INFO", "constraints.txt", "pyproject.toml"}
    assert not [name for name in names if "__pycache__" in name.parts or name.suffix == ".pyc"]
