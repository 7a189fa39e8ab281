"""``python -m benchmarks.events``: events of 64 groups, from the platform's frame to the handler, and nothing sent.

Two bots whose handlers only count run as child processes beside a sandbox each: the product's, and the least that is
correct (a frame is parsed, and a task of its own handles it). Every event carries the moment when it was said, so that
the handler knows how long it was on its way. The sandbox says no more events a second than a bot can take, so that the
two rates come near each other; what each bot could do at most is told by the processor time of an event, in the row
below them. ``--million`` shows instead what a million events do to memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import threading
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from bot_core import AmiyaBot, Message, qq_group
from bot_core.sandbox import Sandbox, SandboxOptions

__all__ = ("event_rows",)

GROUPS: Final = 64
USERS: Final = 200
HELD_RATE: Final = 4500
HELD_SECONDS: Final = 30
# So much is looked at of the beginning and of the end of what is held.
EDGE_SECONDS: Final = 5
DELAY_SECONDS: Final = 2
DELAY_ROUNDS: Final = 5
IDLE_SECONDS: Final = 20
BURST: Final = 20_000
ROUNDS: Final = 5
MILLION: Final = 1_000_000
# Before it everything is loaded, and what remembers a while of events is full.
SETTLED: Final = 300_000
TICK_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 120

Row = tuple[str, str, str, str, str]
"""What, the minimal bot, this bot, their ratio, and what is wanted."""


class Tally:
    """What a bot's handler counts, told to whoever asks on stdin: a line with a number is answered after so many."""

    def __init__(self) -> None:
        self._delays = array("d")
        self._computed = time.process_time()
        self._first = self._last = 0.0
        self._wanted = -1

    def count(self, text: str) -> None:
        """An event has arrived."""
        self._last = time.monotonic()
        if not self._delays:
            self._first = self._last
        self._delays.append(self._last - float(text.rpartition(" ")[2]))
        if len(self._delays) == self._wanted:
            self._tell()

    def answer_on_stdin(self) -> None:
        """Answer, until the input ends; then the program does."""
        loop = asyncio.get_running_loop()

        def listen() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(self._asked, int(line))
            os._exit(0)

        threading.Thread(target=listen, name="reports", daemon=True).start()

    def _asked(self, wanted: int) -> None:
        self._wanted = wanted
        if len(self._delays) >= wanted:
            self._tell()

    def _tell(self) -> None:
        delays, now = sorted(self._delays), time.process_time()
        said = {
            "events": len(delays),
            "seconds": self._last - self._first,
            "computed": now - self._computed,
            "p99": delays[len(delays) * 99 // 100] if delays else 0.0,
            "memory": _memory(),
        }
        self._delays, self._computed, self._wanted = array("d"), time.process_time(), -1
        print(json.dumps(said), flush=True)


def _memory() -> float:
    """Return MB of memory; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))


async def minimal_bot() -> None:
    """Be the least that is correct."""
    tally, tasks = Tally(), set[asyncio.Task[None]]()
    tally.answer_on_stdin()

    async def handle(data: dict[str, Any]) -> None:
        text = data["content"].strip()
        if "count" in text:
            tally.count(text)

    async def beat(socket: aiohttp.ClientWebSocketResponse, interval: float) -> None:
        while True:
            await socket.send_json({"op": 1, "d": None})
            await asyncio.sleep(interval)

    async with aiohttp.ClientSession() as http:
        secret = {"appId": "1020000001", "clientSecret": "benchmark"}
        async with http.post(os.environ["QQ_TOKEN_URL"], json=secret) as answer:
            token = "QQBot " + (await answer.json())["access_token"]
        api = os.environ["QQ_API_BASE"]
        async with http.get(f"{api}/gateway", headers={"Authorization": token}) as answer:
            url = (await answer.json())["url"]
        async with http.ws_connect(url, max_msg_size=0) as socket:
            async for frame in socket:
                event = json.loads(frame.data)
                if event["op"] == 10:
                    beating = asyncio.create_task(beat(socket, event["d"]["heartbeat_interval"] / 1000))
                    tasks.add(beating)
                    await socket.send_json({"op": 2, "d": {"token": token, "intents": 1 << 25, "shard": [0, 1]}})
                elif event["op"] == 0 and event["t"] == "GROUP_AT_MESSAGE_CREATE":
                    task = asyncio.create_task(handle(event["d"]))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)


async def product_bot() -> None:
    """Be what a user of the product writes."""
    bot = AmiyaBot(appid="1020000001", token="", adapter=qq_group("benchmark", default_chain_builder="direct"))
    tally = Tally()
    tally.answer_on_stdin()

    @bot.on_message(keywords="count")
    async def count(data: Message) -> None:
        tally.count(data.text)

    await bot.start()


class BotUnderTest:
    """A bot that counts, and the sandbox that it is connected to."""

    def __init__(self, sandbox: Sandbox, process: asyncio.subprocess.Process) -> None:
        self._sandbox = sandbox
        self._process = process
        self._said = 0

    async def say(self) -> None:
        """Say one thing, in one group after another."""
        number, self._said = self._said, self._said + 1
        await self._sandbox.say(
            f"count {time.monotonic()}", group=f"group {number % GROUPS}", user=f"user {number % USERS}"
        )

    async def report(self, after: int = 0) -> dict[str, float]:
        """Return what the bot counted since the last report, once it is so much."""
        reader, writer = self._process.stdout, self._process.stdin
        assert reader is not None
        assert writer is not None
        writer.write(b"%d\n" % after)
        async with asyncio.timeout(PATIENCE_SECONDS):
            said: dict[str, float] = json.loads(await reader.readline())
        return said

    async def burst(self, count: int = BURST) -> dict[str, float]:
        """Say so many things as fast as they can be said; return what came of it once all have arrived."""
        await self.report()
        for number in range(count):
            await self.say()
            if number % 100 == 0:
                await asyncio.sleep(0)
        return await self.report(after=count)

    async def hold(self, rate: int, seconds: float) -> dict[str, float]:
        """Say `rate` things a second for so long; return what came of it."""
        began, said = time.monotonic(), 0
        while (gone := time.monotonic() - began) < seconds:
            while said < gone * rate:
                await self.say()
                said += 1
            await asyncio.sleep(TICK_SECONDS)
        return await self.report(after=said)


Bots = tuple[BotUnderTest, BotUnderTest]


@asynccontextmanager
async def running(what: str, *, warm_up: int = BURST) -> AsyncIterator[BotUnderTest]:
    """Run one of the two beside a sandbox of its own; after so many events everything is imported, and warm."""
    # Heartbeats eight times as often as the platform's: an idle bot does nothing else.
    async with Sandbox.open(SandboxOptions(heartbeat_interval_ms=5000)) as sandbox:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("QQ_", "QQMEDIA_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.events", what, env=kept | sandbox.environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await sandbox.connected(30)
            bot = BotUnderTest(sandbox, process)
            await bot.burst(warm_up)
            yield bot
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def measure() -> list[Row]:
    """Return the rows of the table."""
    async with running("minimal") as minimal, running("product") as product:
        both = (minimal, product)
        rows = await rate_rows(both)
        return [*rows, await held_row(product), await delay_row(both), await idle_row(both)]


async def rate_rows(bots: Bots) -> list[Row]:
    """Measure how many events a second are taken, in turns, and what the bot's process computes for each."""
    rates: tuple[list[float], list[float]] = ([], [])
    costs: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for bot, rate, cost in zip(bots, rates, costs, strict=True):
            taken = await bot.burst()
            rate.append(taken["events"] / taken["seconds"])
            cost.append(taken["computed"] / taken["events"] * 1e6)
    minimal, product = (statistics.median(found) for found in rates)
    least, ours = (statistics.median(found) for found in costs)
    what, goal = f"events of {GROUPS} groups, as fast as the sandbox says them", f">= {HELD_RATE}/s or 0.60"
    return [
        (what, f"{minimal:.0f}/s", f"{product:.0f}/s", f"{product / minimal:.2f}", goal),
        ("CPU time of the bot for each of them", f"{least:.0f} us", f"{ours:.0f} us", f"{ours / least:.2f}", ""),
    ]


async def held_row(product: BotUnderTest) -> Row:
    """Hold a rate, and compare the delays of the beginning with those of the end."""
    first = await product.hold(HELD_RATE, EDGE_SECONDS)
    await product.hold(HELD_RATE, HELD_SECONDS - 2 * EDGE_SECONDS)
    last = await product.hold(HELD_RATE, EDGE_SECONDS)
    what = f"{HELD_RATE} events/s for {HELD_SECONDS} s, delay p99, first and last {EDGE_SECONDS} s"
    return what, "", f"{first['p99'] * 1000:.1f}, {last['p99'] * 1000:.1f} ms", "", "not growing"


async def delay_row(bots: Bots) -> Row:
    """Measure how long an event takes from the platform to the handler, in turns."""
    delays: tuple[list[float], list[float]] = ([], [])
    for _ in range(DELAY_ROUNDS):
        for bot, found in zip(bots, delays, strict=True):
            found.append((await bot.hold(HELD_RATE // 2, DELAY_SECONDS))["p99"] * 1000)
    minimal, product = (statistics.median(found) for found in delays)
    what = f"delay p99 of an event at {HELD_RATE // 2}/s"
    return what, f"{minimal:.1f} ms", f"{product:.1f} ms", f"{product / minimal:.2f}", "<= 15 ms"


async def idle_row(bots: Bots) -> Row:
    """Measure what a connected bot computes while nothing happens."""
    for bot in bots:
        await bot.report()
    await asyncio.sleep(IDLE_SECONDS)
    minimal, product = [(await bot.report())["computed"] / IDLE_SECONDS for bot in bots]
    return "CPU of an idle connected bot", f"{minimal:.2%}", f"{product:.2%}", "", "<= 0.20%"


async def million() -> list[Row]:
    """Say a million things, and return what they do to the memory."""
    async with running("product") as bot:
        points = []
        for said in range(BURST, MILLION + 1, BURST):
            memory = (await bot.burst())["memory"]
            points.append((said, memory))
            if said % (5 * BURST) == 0:
                print(f"{said:>9} events: {memory:.1f} MB", flush=True)
    settled = [point for point in points if point[0] > SETTLED]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope * MILLION
    what = f"memory that a million events add, after {SETTLED}"
    return [(what, "", f"{slope:.1f} MB", "", "flat")]


def event_rows() -> list[Row]:
    """Return the rows of the table: what, the least bot's figure, ours, the ratio, and what is wanted."""
    return asyncio.run(measure())


def main() -> None:
    """Measure and print, or be one of the two bots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--million", action="store_true", help="memory over a million events")
    parser.add_argument("bot", nargs="?", choices=("minimal", "product"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    match given.bot:
        case "minimal":
            asyncio.run(minimal_bot())
        case "product":
            asyncio.run(product_bot())
        case _:
            for what, minimal, product, ratio, goal in asyncio.run(million()) if given.million else event_rows():
                print(f"{what}: minimal {minimal or '-'}, this bot {product}, ratio {ratio or '-'} (wanted: {goal})")


if __name__ == "__main__":
    main()
