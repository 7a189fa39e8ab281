"""``python -m benchmarks.arrival``: whatever the network, the picture gets there. The table that shows it.

Every way in which an author may give a medium, every kind, every driver, and everything that can be wrong: bots in this
process against sandboxes, over sockets. `20/20 url` means that twenty were sent and twenty arrived, once each, whole
and as what they are, and that the platform fetched them. Ways: `url`, `bytes` (one request), `chunks` (in parts),
`card` (a file card, as the platform refuses the format), `cache`.

A public URL is one that the platform fetches; a private URL one whose name only the bot's network knows, so that the
platform answers 850026, and the bot fetches it and uploads the bytes. The guard against private addresses is on: names
are resolved here, by the bot and by the platform, so that public ones can stand on loopback. A link to the intranet is
in the table too: it is to be refused with an error, and never fetched.
Pauses between tries are a twentieth of what they are elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks._arrival_cells import CONDITIONS, REFUSED_SOURCE, SOURCES, Cell, Condition, add_faults, sandbox_for
from benchmarks._arrival_drivers import DRIVERS, Hosts
from benchmarks._arrival_media import KINDS, Stock
from bot_core.sandbox import Sandbox

__all__ = ("measure", "table")

# How many of each cell: with certain faults, and with those that happen by chance.
_FULL: Final = (20, 100)
_QUICK: Final = (2, 10)
_AT_ONCE: Final = 6


def plan(
    drivers: Iterable[str], conditions: Iterable[Condition], kinds: Sequence[str], counts: tuple[int, int]
) -> list[list[Cell]]:
    """Return the cells, those of one sandbox together."""
    groups = []
    for condition, driver in itertools.product(conditions, drivers):
        wanted = counts[bool(condition.faults)]
        cells = [Cell(source, kind, driver, condition, wanted) for source in SOURCES for kind in kinds]
        if condition is CONDITIONS[0]:
            cells += [Cell(REFUSED_SOURCE, kind, driver, condition, wanted) for kind in kinds]
        groups.append(cells)
    return groups


async def measure(groups: Sequence[Sequence[Cell]], folder: Path) -> None:
    """Run all cells, a few at a time."""
    count = max(cell.wanted for cells in groups for cell in cells)
    await asyncio.to_thread((folder / "media").mkdir)
    drivers = dict.fromkeys(cells[0].driver for cells in groups)
    async with Stock(folder / "media", count).open() as stock, Hosts(folder, drivers).running() as hosts:

        async def run(cell: Cell, sandbox: Sandbox, slots: asyncio.Semaphore) -> None:
            async with slots:
                await cell.run(sandbox, hosts, stock)

        for cells in groups:
            condition = cells[0].condition
            slots = asyncio.Semaphore(1 if condition.refused else _AT_ONCE)
            async with Sandbox.open(sandbox_for(condition, cells[0].driver)) as sandbox:
                add_faults(sandbox, condition)
                async with asyncio.TaskGroup() as tasks:
                    for cell in cells:
                        tasks.create_task(run(cell, sandbox, slots), name=cell.appid)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def table(cells: Sequence[Cell]) -> str:
    """Return the table, as it stands in a page."""
    drivers = list(dict.fromkeys(cell.driver for cell in cells))
    lines = [
        f"| condition | given as | kind | {' | '.join(drivers)} |",
        f"|---|---|---|{'---|' * len(drivers)}",
    ]
    rows: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.condition.name, cell.source, cell.kind), {})[cell.driver] = cell
    for key, row in rows.items():
        shown = [_shown(row[driver]) if driver in row else "" for driver in drivers]
        lines.append(f"| {' | '.join((*key, *shown))} |")
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    if not cell.must_arrive:
        return f"refused {cell.refused}/{cell.wanted}" + ("" if cell.good else " WRONG")
    ways = [way if number == cell.wanted else f"{way} {number}" for way, number in cell.ways.most_common()]
    twice = f" TWICE {cell.twice}" if cell.twice else ""
    return f"{cell.arrived}/{cell.wanted} {', '.join(ways)}{twice}" + ("" if cell.good else " WRONG")


def summary(cells: Sequence[Cell], seconds: float) -> str:
    """Return the last lines: the sums, and what went wrong."""
    due = [cell for cell in cells if cell.must_arrive]
    kept_out = [cell for cell in cells if not cell.must_arrive]
    sums = (
        f"{sum(cell.arrived for cell in due)} of {sum(cell.wanted for cell in due)} arrived, in {len(due)} cells, "
        f"{sum(cell.twice for cell in cells)} of them twice; {sum(cell.refused for cell in kept_out)} of "
        f"{sum(cell.wanted for cell in kept_out)} links to the intranet were refused; {seconds:.0f} s"
    )
    lines = [sums]
    for cell in cells:
        if not cell.good:
            where = f"{cell.condition.name}, {cell.source}, {cell.kind}, {cell.driver}"
            lines += [f"WRONG: {where}: {_shown(cell)}", *(f"    {error}" for error in cell.errors)]
    return "\n".join(lines)


def as_json(cells: Sequence[Cell]) -> str:
    """Return it for machines."""
    rows = [
        {
            "condition": cell.condition.name, "given_as": cell.source, "kind": cell.kind, "driver": cell.driver,
            "sent": cell.wanted, "arrived": cell.arrived, "twice": cell.twice, "refused": cell.refused,
            "ways": dict(cell.ways), "errors": cell.errors, "seconds": round(cell.seconds, 2), "good": cell.good,
        }
        for cell in cells
    ]  # fmt: skip
    return json.dumps(rows, indent=1, ensure_ascii=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if anything that must arrive did not, or arrived twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arrival", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few of each: less than a minute")
    parser.add_argument("-n", type=int, help="how many of each cell (20), and five times that where chance rules")
    parser.add_argument("--drivers", default=",".join(DRIVERS), help="which of them (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which of them (%(default)s)")
    parser.add_argument("--conditions", default=",".join(one.name for one in CONDITIONS), help="which of them")
    parser.add_argument("--json", type=Path, help="write it here too")
    parser.add_argument("--log", type=Path, help="what the bots log; it is much")
    given = parser.parse_args(arguments)
    counts = _QUICK if given.quick else _FULL if given.n is None else (given.n, 5 * given.n)
    conditions = [one for one in CONDITIONS if one.name in given.conditions.split(",")]
    groups = plan(given.drivers.split(","), conditions, given.kinds.split(","), counts)
    cells = [cell for group in groups for cell in group]
    handler = logging.FileHandler(given.log, "w", "utf-8") if given.log else logging.NullHandler()
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="qqmedia-arrival-") as name:
        os.environ["QQMEDIA_STATE"] = str(Path(name) / "state")
        asyncio.run(measure(groups, Path(name)))
    print(table(cells), summary(cells, time.perf_counter() - began), sep="\n\n")
    if given.json:
        given.json.write_text(as_json(cells), "utf-8")
    return 0 if all(cell.good for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
