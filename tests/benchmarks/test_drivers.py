"""The benchmark of the drivers runs, and its table says what was measured; whether that is good is not asked here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.drivers import imports_row, settings_for

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.blocking  # child processes are waited for, no event loop is there


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.drivers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=55, check=False)


def test_a_tiny_run_measures_a_driver_beside_its_sdk_and_prints_a_plain_table() -> None:
    done = _run("--tiny", "cos")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    rows = {row[0]: row[1:] for row in cells}
    assert rows["what"][:4] == ["bare", "driver", "ratio", "wanted"]
    wanted = {name: row[3] for name, row in rows.items() if name.startswith("cos:")}
    assert wanted == {
        "cos: 200 KB, 2 at once: puts a second": ">= 0.90",
        "cos: 200 KB, 2 at once: CPU a put": "<= 1.10",
        "cos: 200 KB, 2 at once: loop p99": "<= 10 ms",
        "cos: 6 MB, 1 at once: puts a second": ">= 0.90",
        "cos: 6 MB, 1 at once: CPU a put": "<= 1.10",
        "cos: 6 MB, 1 at once: loop p99": "<= 10 ms",
        "cos: memory that a put of 12 MB adds": "<= 40 MB",
        "cos: packages that opening it loads": "the SDK's only",
    }
    bare, driver, ratio, *_ = rows["cos: 6 MB, 1 at once: puts a second"]
    assert float(ratio) == pytest.approx(
        float(driver.removesuffix("/s")) / float(bare.removesuffix("/s")), rel=0.02, abs=0.02
    )
    others, mark = rows["cos: packages that opening it loads"][2], rows["cos: packages that opening it loads"][4]
    assert (others, mark) == ("", "")  # a driver that loads more than its SDK fails here, on any machine


@pytest.mark.parametrize("driver", ["local", "oss", "s3"])  # `cos` is above
def test_opening_a_driver_loads_its_sdk_and_nothing_more(driver: str, tmp_path: Path) -> None:
    row = imports_row(driver, settings_for(driver, tmp_path))
    assert (row.ratio, row.missed) == ("", False)  # what else it loads would stand there
    assert int(row.ours) >= 1


def test_a_driver_that_is_not_there_is_refused() -> None:
    done = _run("--tiny", "ftp")
    assert done.returncode == 2
    assert "there is no ftp; there are s3, cos, oss, local" in done.stderr
