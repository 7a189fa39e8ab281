"""A small part of the table that `python -m benchmarks.arrival` makes, and what it says of what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._arrival_cells import CONDITIONS, Cell
from benchmarks.arrival import as_json, main, measure, plan, summary, table


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("QQMEDIA_STATE", str(tmp_path / "state"))
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before


def cells_of(drivers: list[str], *conditions: str, kinds: tuple[str, ...] = ("image",)) -> list[list[Cell]]:
    return plan(drivers, [one for one in CONDITIONS if one.name in conditions], kinds, (2, 8))


@pytest.mark.asyncio
async def test_everything_arrives_and_the_ways_are_told(tmp_path: Path) -> None:
    groups = cells_of(["local", "direct"], "all well", "URL unreachable", "850019", "answer lost 10 %")
    await measure(groups, tmp_path)
    cells = [cell for group in groups for cell in group]
    assert [cell.errors for cell in cells if not cell.good] == []
    ways = {(cell.condition.name, cell.source, cell.driver): dict(cell.ways) for cell in cells}
    assert ways["all well", "bytes", "local"] == {"url": 2}
    assert ways["all well", "private URL", "local"] == {"bytes": 2}
    assert ways["URL unreachable", "bytes", "local"] == {"bytes": 2}
    assert ways["all well", "bytes", "direct"] == {"bytes": 2}
    rows = table(cells).splitlines()
    assert rows[0] == "| condition | given as | kind | local | direct |"
    assert "| all well | bytes | image | 2/2 url | 2/2 bytes |" in rows
    assert "| all well | intranet URL | image | refused 2/2 | refused 2/2 |" in rows
    assert summary(cells, 1).splitlines()[0].startswith("112 of 112 arrived, in 32 cells, 0 of them twice; 4 of 4")


@pytest.mark.asyncio
async def test_what_does_not_arrive_is_wrong_and_says_why(tmp_path: Path) -> None:
    [[*cells]] = cells_of(["direct"], "all well")
    wrong = next(cell for cell in cells if not cell.must_arrive)
    taken = Cell("private URL", "image", "direct", wrong.condition, 2, ways=wrong.ways)
    assert not taken.good
    await measure([[wrong]], tmp_path)
    assert wrong.good
    taken.refused, taken.errors = wrong.refused, wrong.errors
    assert "WRONG: all well, private URL, image, direct: 0/2" in summary([taken], 1)
    assert "nothing is fetched from intranet.example" in summary([taken], 1)
    taken.arrived, taken.twice = 2, 1
    assert not taken.good
    assert "TWICE 1" in as_json([taken]) or "TWICE 1" in table([taken])


def test_the_command_says_whether_all_arrived(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["-n", "1", "--drivers", "direct", "--kinds", "file", "--conditions", "413"]
    assert main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    assert "| 413 | bytes | file | 1/1 chunks |" in capsys.readouterr().out
    assert '"chunks": 1' in (tmp_path / "out.json").read_text("utf-8")
