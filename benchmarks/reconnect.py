"""``python -m benchmarks.reconnect``: how soon events flow after a cut, and what 64 shards in one process take."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks._stage import APPID, Row, Stage
from bot_core.sandbox import Connection, Sandbox, SandboxOptions

__all__ = ("reconnect_row", "shards_row")

ROUNDS: Final = 5
EVENTS: Final = 200
SHARDS: Final = 64
CONCURRENCY: Final = 16

Cells = tuple[str, str, str, str, str]
"""What, the minimal bot, this bot, their ratio, and what is wanted."""


async def measure_reconnect() -> tuple[list[float], int]:
    """Return the seconds from each cut until RESUMED, and how many of what was said meanwhile got no answer."""
    ups: list[float] = []

    def note(happening: object) -> None:
        if isinstance(happening, Connection) and happening.state == "resumed":
            ups.append(happening.at)

    waits, lost = [], 0
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox.open() as sandbox:
            stage = Stage(sandbox, Path(folder), Row("reconnect"))
            sandbox.subscribe(note)
            child = await stage.bot()
            for number in range(ROUNDS):
                cut_at = time.time()
                sandbox.drop_connections()
                stage.said = [await sandbox.say(f"word {n}", group=f"group-{n % 8}") for n in range(EVENTS)]
                await stage.count_up()
                waits.append(ups[number] - cut_at)
                lost += stage.row.said - stage.row.answered + stage.row.twice
            await child.end()
    return waits, lost


def reconnect_row() -> Cells:
    """Return the row of the table: from a cut until RESUMED, and what was lost of 200 events that came meanwhile."""
    waits, lost = asyncio.run(measure_reconnect())
    what = f"reconnect after a cut, {EVENTS} events meanwhile"
    return what, "", f"{statistics.median(waits):.2f} s, {lost} lost", "", "<= 1.50 s, 0 lost"


async def measure_shards() -> tuple[float, float]:
    """Return the seconds from the first shard that is live to the last, and the MB above a bot with one shard."""
    live: list[float] = []

    def note(happening: object) -> None:
        if isinstance(happening, Connection) and happening.state == "ready" and happening.appid == APPID:
            live.append(happening.at)

    options = SandboxOptions(recommended_shards=SHARDS, max_concurrency=CONCURRENCY, connect_timeout_seconds=60)
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox.open(options) as sandbox:
            stage = Stage(sandbox, Path(folder), Row("shards"))
            one = await stage.bot(appid="1002")
            sandbox.subscribe(note)
            many = await stage.bot(shards="auto", wait=False)
            for shard in range(SHARDS):
                await sandbox.connected(60, appid=APPID, shard=shard)
            more = many.memory() - one.memory()
            for child in (one, many):
                await child.end()
    return live[-1] - live[0], more


def shards_row() -> Cells:
    """Return the row of the table: how long 64 shards in one process take to be live, and how much memory."""
    seconds, more = asyncio.run(measure_shards())
    windows = (SHARDS - 1) // CONCURRENCY
    what = f"{SHARDS} shards in one process, {CONCURRENCY} identifies in 5 s"
    return what, "", f"{seconds:.1f} s, {more:.0f} MB more than one", "", f"<= {windows * 5.25 + 1:.1f} s, <= 64 MB"


def main() -> None:
    """Measure and print."""
    for what, _, product, _, goal in (reconnect_row(), shards_row()):
        print(f"{what}: {product} (wanted {goal})")


if __name__ == "__main__":
    main()
