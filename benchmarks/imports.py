"""What ``import qqmedia`` costs, beside ``import pydantic``, by ``-X importtime`` in fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

__all__ = ("import_times",)

ROUNDS = 7


def import_times() -> Iterator[tuple[str, str, str, str]]:
    """Yield the row of the table: what, pydantic's time, ours, and the ratio."""
    found: dict[str, list[int]] = {"pydantic": [], "qqmedia": []}
    for _ in range(ROUNDS):
        for module, times in found.items():
            times.append(_microseconds(module))
    pydantic, ours = (statistics.median(times) / 1000 for times in found.values())
    yield "import qqmedia, beside import pydantic", f"{pydantic:.0f} ms", f"{ours:.0f} ms", f"{ours / pydantic:.2f}"


def _microseconds(module: str) -> int:
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    last = next(line for line in reversed(report.splitlines()) if line.endswith(f" {module}"))
    return int(last.split("|")[1])
