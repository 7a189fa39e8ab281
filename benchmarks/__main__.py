"""``python -m benchmarks``: the product's bot beside a minimal correct one, as ratios.

Both run as child processes against a sandbox each, in one run, in turns; every figure is the median of the rounds, the
ratio the median of the rounds' own ratios: a machine that gets slower meanwhile does so for both. A ratio above 1 is in
the product's favour for rates, and against it for latencies and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._bots import BotUnderTest, run_bot
from benchmarks.events import event_rows
from benchmarks.imports import import_times
from benchmarks.media import big_video, voice_files
from benchmarks.reconnect import reconnect_row, shards_row
from benchmarks.uploads import upload_rows
from benchmarks.webhook import webhook_row

Bots = tuple[BotUnderTest, BotUnderTest]
ROUNDS = 9
VOICE_ROUNDS = 5
VOICES_PER_ROUND = 30
# Beside the program, as the folder of a bot is. Where thousands of files were removed in the last minutes, as tests do
# in the folder for temporary files, ext4 takes 0.2 ms to make one: it passes over their inodes.
BUILD = Path(__file__).parents[1] / "build"
VOICES = VOICE_ROUNDS * (5 + 2 * VOICES_PER_ROUND)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `goal` is the least (rates) or most (latency, memory) that is wanted."""

    what: str
    minimal: str
    product: str
    ratio: str
    goal: str = ""


class Counter:
    """Numbers that were not used before, so that no picture and no voice is known already."""

    def __init__(self) -> None:
        self._next = 1

    def take(self, count: int) -> range:
        """Return the next `count` numbers."""
        first, self._next = self._next, self._next + count
        return range(first, self._next)


async def rate_row(
    bots: Bots,
    what: str,
    words: Callable[[], Sequence[str]],
    in_flight: int,
    *,
    goal: str = "",
    rounds: int = ROUNDS,
) -> Row:
    """Measure replies a second in turns; the same words for both bots in each round."""
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        said = words()
        turns = tuple(zip(bots, rates, strict=True))
        for bot, found in turns if number % 2 else reversed(turns):
            found.append((await bot.measure(said, in_flight)).rate)
    minimal, product = (statistics.median(found) for found in rates)
    ratio = statistics.median(ours / theirs for theirs, ours in zip(*rates, strict=True))
    return Row(f"{what}, {in_flight} in flight", f"{minimal:.0f}/s", f"{product:.0f}/s", f"{ratio:.2f}", goal)


async def beside_voices(bot: BotUnderTest, voices: Sequence[str]) -> float:
    """Return the p90 of text replies (in ms), one at a time from four speakers, while ten voices are encoded."""
    encoding = asyncio.create_task(bot.measure(voices, 10), name="voices")
    latencies: list[float] = []
    while not encoding.done():
        latencies += (await bot.measure(["text beside"] * 40, 4)).latencies
    await encoding
    return statistics.quantiles(latencies, n=100)[89] * 1000


async def latency_row(bots: Bots, voices: Callable[[int], Sequence[str]]) -> Row:
    """Measure text latency while voices are encoded, in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(VOICE_ROUNDS):
        said = voices(VOICES_PER_ROUND)
        for bot, each in zip(bots, found, strict=True):
            each.append(await beside_voices(bot, said))
    minimal, product = (statistics.median(each) for each in found)
    what = "text p90 while ten voices encode"
    return Row(what, f"{minimal:.1f} ms", f"{product:.1f} ms", f"{product / minimal:.2f}", "<= 2.30")


async def first_video_row(bots: Bots) -> Row:
    """Measure what the first send of a 20 MB video adds to the bot's memory."""
    added = []
    for bot in bots:
        before = bot.memory("VmHWM")
        await bot.ask("video")
        added.append(bot.memory("VmHWM") - before)
    what = "memory that the first 20 MB video adds"
    return Row(what, f"{added[0]:.0f} MB", f"{added[1]:.0f} MB", "", "<= 40 MB")


async def measure(folder: Path, port: int) -> list[Row]:
    """Run every scenario and return the table's rows."""
    numbers, voice_numbers = Counter(), Counter()

    def distinct(count: int) -> list[str]:
        return [f"distinct {number}" for number in numbers.take(count)]

    def voices(count: int) -> list[str]:
        return [f"voice {number - 1}" for number in voice_numbers.take(count)]

    minimal = run_bot("minimal", "benchmarks.minimal_bot", str(folder))
    product = run_bot("product", "benchmarks.product_bot", str(folder), str(port))
    async with minimal as first, product as second:
        bots = (first, second)
        rows = [
            first_video_row(bots),
            rate_row(bots, "text", lambda: ["text hello"] * 300, 1),
            rate_row(bots, "text", lambda: ["text hello"] * 3000, 50, goal=">= 0.60"),
            rate_row(bots, "the same picture", lambda: ["same"] * 300, 1),
            rate_row(bots, "the same picture", lambda: ["same"] * 3000, 50, goal=">= 0.50"),
            rate_row(bots, "distinct 200 KB pictures", lambda: distinct(60), 1),
            rate_row(bots, "distinct 200 KB pictures", lambda: distinct(300), 50, goal=">= 0.75"),
            rate_row(bots, "5 s voices from mp3", lambda: voices(5), 1, rounds=VOICE_ROUNDS),
            rate_row(
                bots, "5 s voices from mp3", lambda: voices(VOICES_PER_ROUND), 50, goal=">= 0.90", rounds=VOICE_ROUNDS
            ),
            rate_row(bots, "a 20 MB video, known", lambda: ["video"] * 100, 1),
            rate_row(bots, "a 20 MB video, known", lambda: ["video"] * 1000, 50),
            latency_row(bots, voices),
        ]
        done = [await row for row in rows]
        peaks = [bot.memory("VmHWM") for bot in bots]
    done.append(
        Row("peak memory of all this", f"{peaks[0]:.0f} MB", f"{peaks[1]:.0f} MB", f"{peaks[1] / peaks[0]:.2f}")
    )
    return done


def show(rows: Sequence[Row]) -> None:
    """Print the table, in a form that can be pasted into a README too."""
    table = Table("what", "minimal bot", "this bot", "ratio", "wanted", title="in one run, on this machine")
    for row in rows:
        table.add_row(row.what, row.minimal, row.product, row.ratio, row.goal)
    Console(width=120).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--port", type=int, default=18086, help="port of the product's local server")
    port = parser.parse_args().port
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as name:
        folder = Path(name)
        big_video(folder / "video.mp4")
        voice_files(folder, VOICES)
        rows = asyncio.run(measure(folder, port))
    more = [*upload_rows(), *event_rows(), reconnect_row(), shards_row(), webhook_row(), *import_times()]
    show([*rows, *(Row(*row) for row in more)])


if __name__ == "__main__":
    main()
