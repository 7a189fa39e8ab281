"""``python -m benchmarks.drivers``: every driver beside the bare SDK used rightly, as ratios.

Stores, drivers and bare SDKs are processes of their own. Both sides put the same media from an event loop with six
threads, in turns, against the same store; every figure is the median of the rounds, a ratio the median of those of two
neighbouring rounds (what else this machine does changes meanwhile), the delay of the event loop the 99th percentile of
all rounds. Nothing leaves this machine: what is measured is what the driver costs, not a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks._stores import ROOT, Child, running_child, running_store

DRIVERS = ("s3", "cos", "oss", "local")
SMALL_BYTES = 200_000
LARGE_BYTES = 20_000_000
SDKS = {"s3": "boto3", "cos": "cos-python-sdk-v5", "oss": "oss2", "local": "write and rename"}
DISCOVERY = "import typer, rich.table, pydantic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of putting: `count` media of `size` bytes in a round, `at_once` of them under way at any time."""

    size: int
    at_once: int
    count: int
    rounds: int

    def __str__(self) -> str:
        size = f"{self.size // 1_000_000} MB" if self.size >= 1_000_000 else f"{self.size // 1000} KB"
        return f"{size}, {self.at_once} at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    cases: tuple[Case, ...] = (
        Case(size=SMALL_BYTES, at_once=1, count=60, rounds=9),
        Case(size=SMALL_BYTES, at_once=32, count=192, rounds=9),
        Case(size=LARGE_BYTES, at_once=1, count=4, rounds=5),
        Case(size=LARGE_BYTES, at_once=32, count=32, rounds=3),
    )
    memory_bytes: int = 200_000_000
    few: int = 1_000
    many: int = 100_000
    puts_beside: int = 500
    starts: int = 11


TINY = Scale(
    cases=(Case(size=SMALL_BYTES, at_once=2, count=4, rounds=1), Case(size=6_000_000, at_once=1, count=1, rounds=1)),
    memory_bytes=12_000_000, few=10, many=100, puts_beside=4, starts=1,
)  # fmt: skip


class Row(NamedTuple):
    """One line of the table. `missed` says whether the figure is other than wanted."""

    what: str
    bare: str
    ours: str
    ratio: str = ""
    wanted: str = ""
    missed: bool = False


@dataclass(slots=True)
class Found:
    """What one side took, a value a round; delays in milliseconds, of all rounds."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def add(self, answer: dict[str, Any], count: int) -> None:
        """Take in a round."""
        self.rates.append(count / answer["seconds"])
        self.cpu.append(answer["cpu"] / count * 1000)
        self.delays += [delay / 1000 for delay in answer["delays"]]


def p99(delays: Sequence[float]) -> float:
    """Return the delay of an event loop that 99 of 100 looks at it did not exceed."""
    return sorted([0.0, *delays])[len(delays) * 99 // 100]


@dataclass(frozen=True, slots=True)
class Stage:
    """One driver, its bare SDK, and the store of both."""

    driver: str
    bare: Child
    ours: Child
    store: Child | None

    async def rows(self, scale: Scale) -> list[Row]:
        """Measure this driver."""
        for side in (self.bare, self.ours):  # connections are open then, and everything is loaded
            await side.ask(what="round", size=SMALL_BYTES, count=4, at_once=2)
        rows = [await self.memory_row(scale.memory_bytes)]
        for case in scale.cases:
            rows += await self.case_rows(case)
        return rows[1:] + rows[:1]

    async def case_rows(self, case: Case) -> list[Row]:
        """Measure one case, in turns; who comes first changes."""
        bare, ours = Found(), Found()
        sides = [(self.bare, bare), (self.ours, ours)]
        for _ in range(case.rounds):
            for child, found in sides:
                answer = await child.ask(what="round", size=case.size, count=case.count, at_once=case.at_once)
                found.add(answer, case.count)
                if self.store is not None:
                    await self.store.ask()
            sides.reverse()
        name = f"{self.driver}: {case}"
        return [
            compared(f"{name}: puts a second", bare.rates, ours.rates, "/s", least=0.9),
            compared(f"{name}: CPU a put", bare.cpu, ours.cpu, " ms", most=1.1),
            late_row(f"{name}: loop p99", bare.delays, ours.delays),
        ]

    async def memory_row(self, size: int) -> Row:
        """Measure what one large file adds to the memory, at its highest."""
        bare, ours = [(await side.ask(what="memory", size=size))["megabytes"] for side in (self.bare, self.ours)]
        what = f"{self.driver}: memory that a put of {size // 1_000_000} MB adds"
        return Row(what, f"{bare:.0f} MB", f"{ours:.0f} MB", "", "<= 40 MB", ours > 40)


def compared(
    what: str, bare: Sequence[float], ours: Sequence[float], unit: str, *, least: float = 0, most: float | None = None
) -> Row:
    """Return the row of two medians; what is compared are neighbours in time."""
    first, second = statistics.median(bare), statistics.median(ours)
    ratio = statistics.median(two / one if one else 0.0 for one, two in zip(bare, ours, strict=True))
    wanted = f">= {least:.2f}" if most is None else f"<= {most:.2f}"
    return Row(
        what, _figure(first, unit), _figure(second, unit), f"{ratio:.2f}", wanted,
        ratio < least if most is None else ratio > most,
    )  # fmt: skip


def late_row(what: str, bare: Sequence[float], ours: Sequence[float]) -> Row:
    """Return the row of two event loops' delays."""
    late = p99(ours)
    return Row(what, f"{p99(bare):.1f} ms", f"{late:.1f} ms", "", "<= 10 ms", late > 10)


def _figure(value: float, unit: str) -> str:
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"


@asynccontextmanager
async def staged(driver: str, folder: Path) -> AsyncIterator[Stage]:
    """Start the store, the driver and the bare SDK."""
    async with AsyncExitStack() as stack:
        store, settings = await stack.enter_async_context(running_store(driver, folder / "store"))
        bare = await stack.enter_async_context(_putting("bare", driver, settings, folder))
        ours = await stack.enter_async_context(_putting("driver", driver, settings, folder))
        yield Stage(driver, bare, ours, store)


@asynccontextmanager
async def _putting(which: str, driver: str, settings: dict[str, Any], folder: Path) -> AsyncIterator[Child]:
    arguments = (which, driver, json.dumps(settings), str(folder / which))
    async with running_child("benchmarks._putting", *arguments) as (child, _):
        yield child


async def stored_row(folder: Path, scale: Scale) -> Row:
    """Measure a put of `local` where few objects are stored and where many are, in turns."""
    found: list[list[float]] = [[], []]
    async with AsyncExitStack() as stack:
        children = []
        for count in (scale.few, scale.many):
            place = folder / f"{count}"
            _, settings = await stack.enter_async_context(running_store("local", place))
            children.append(await stack.enter_async_context(_putting("driver", "local", settings, place)))
            await children[-1].ask(what="fill", count=count)
        for _ in range(5):
            for child, times in zip(children, found, strict=True):
                answer = await child.ask(what="round", size=SMALL_BYTES, count=scale.puts_beside, at_once=1)
                times.append(answer["seconds"] / scale.puts_beside * 1000)
    what = f"local: a put beside {scale.few:,} objects, and beside {scale.many:,}"
    return compared(what, found[0], found[1], " ms", most=1.2)


def imports_row(driver: str, settings: dict[str, Any]) -> Row:
    """Look at what opening the driver loads, beside what any host loads and what the bare SDK loads when used."""
    base = _packages("driver", "direct", {})
    ours = _packages("driver", driver, settings) - base
    sdk = _packages("bare", driver, settings) - base
    others = sorted(ours - sdk)
    what = f"{driver}: packages that opening it loads"
    return Row(what, f"{len(sdk)}", f"{len(ours)}", ", ".join(others), "the SDK's only", bool(others))


def _packages(which: str, driver: str, settings: dict[str, Any]) -> set[str]:
    """Return the packages that a fresh interpreter has loaded then, without those of Python and ours."""
    command = [sys.executable, "-m", "benchmarks._opened", which, driver, json.dumps(settings)]
    report = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return set(json.loads(report))


def discovery_row(rounds: int) -> Row:
    """Measure ``qqmedia drivers`` beside the imports that it cannot do without, in fresh interpreters, in turns."""
    commands = ["-c", DISCOVERY], ["-c", "from qqmedia.cli import main; main()", "drivers"]
    found: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for command, times in zip(commands, found, strict=True):
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
            if number:  # the first ones read from the disk
                times.append((time.perf_counter() - began) * 1000)
    return compared(f"qqmedia drivers, beside {DISCOVERY}", found[0], found[1], " ms", most=1.5)


async def measure(drivers: Sequence[str], scale: Scale, folder: Path) -> AsyncIterator[Row]:
    """Measure everything, one thing at a time."""
    for driver in drivers:
        async with staged(driver, folder / driver) as stage:
            for row in await stage.rows(scale):
                yield row
    if "local" in drivers:
        yield await stored_row(folder / "stored", scale)


def settings_for(driver: str, folder: Path) -> dict[str, Any]:
    """Return settings with which a driver opens, though nobody answers there."""
    secrets = {"s3": ("access_key_id", "secret_access_key"), "cos": ("secret_id", "secret_key")}
    if driver == "local":
        return {"host": "127.0.0.1", "port": 0, "resource_path": str(folder / "opened")}
    names = secrets.get(driver, ("access_key_id", "access_key_secret"))
    return {
        "bucket": "pics-1250000000", "region": "cn-hangzhou", "endpoint_url": "http://127.0.0.1:9",
        **dict.fromkeys(names, "benchmark"),
    }  # fmt: skip


async def main_rows(drivers: Sequence[str], scale: Scale, folder: Path) -> list[Row]:
    """Return all rows of the table."""
    rows = [row async for row in measure(drivers, scale, folder)]
    rows += [await asyncio.to_thread(imports_row, driver, settings_for(driver, folder)) for driver in drivers]
    return [*rows, await asyncio.to_thread(discovery_row, scale.starts)]


def show(rows: Sequence[Row], drivers: Sequence[str]) -> None:
    """Print the table; plain where that is no terminal, so that it can be pasted."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    beside = ", ".join(f"{driver} beside {SDKS[driver]}" for driver in drivers)
    table = Table(
        "what", "bare", "driver", "ratio", "wanted", "",
        title=f"in one run, on this machine: {beside}", box=box.HEAVY_HEAD if console.is_terminal else box.MARKDOWN,
    )  # fmt: skip
    for row in rows:
        mark = "missed" if row.missed else ""
        table.add_row(row.what, row.bare, row.ours, row.ratio, row.wanted, mark, style="red" if row.missed else "")
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drivers", description=__doc__)
    parser.add_argument("drivers", nargs="*", default=[], help=f"which of {', '.join(DRIVERS)}; all by default")
    parser.add_argument("--tiny", action="store_true", help="prove that it runs; the figures mean nothing")
    given = parser.parse_args()
    drivers = given.drivers or DRIVERS
    if unknown := set(drivers) - set(DRIVERS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(DRIVERS)}")
    with tempfile.TemporaryDirectory(prefix="qqmedia-bench-", ignore_cleanup_errors=True) as name:
        show(asyncio.run(main_rows(drivers, TINY if given.tiny else Scale(), Path(name))), drivers)


if __name__ == "__main__":
    main()
