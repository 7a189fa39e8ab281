"""One bot as a child process beside a sandbox of its own, and what is measured of it."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from bot_core.sandbox import Sandbox

__all__ = ("BotUnderTest", "Measured", "run_bot")

REPLY_TIMEOUT = 120
GROUPS = 8  # 50 in flight are spread over chats, as a busy bot's are


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario, one bot, one round.

    Attributes:
        rate: Replies a second.
        latencies: Seconds from the event to the reply's arrival, one a reply.
    """

    rate: float
    latencies: Sequence[float] = field(repr=False)

    def percentile(self, percent: int) -> float:
        """Return the latency that `percent` of the replies stayed under."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


class BotUnderTest:
    """A bot that runs, and the sandbox that it is connected to."""

    def __init__(self, name: str, sandbox: Sandbox, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._sandbox = sandbox
        self._process = process

    async def ask(self, text: str, number: int = 0) -> float:
        """Say something and wait for the reply; return the seconds that it took."""
        said = await self._sandbox.say(text, group=f"bench-{number % GROUPS}")
        arrived = await self._sandbox.replies(said, timeout=REPLY_TIMEOUT)
        return arrived[0].monotonic - said.monotonic

    async def measure(self, words: Sequence[str], in_flight: int) -> Measured:
        """Say all of `words`, `in_flight` of them unanswered at any time."""
        latencies: list[float] = []
        rest = iter(enumerate(words))

        async def speaker() -> None:
            for number, word in rest:
                latencies.append(await self.ask(word, number))

        began = perf_counter()
        async with asyncio.TaskGroup() as speakers:
            for number in range(min(in_flight, len(words))):
                speakers.create_task(speaker(), name=f"speaker {number}")
        return Measured(len(words) / (perf_counter() - began), latencies)

    def memory(self, field_name: str) -> float:
        """Return `VmRSS` (now) or `VmHWM` (peak) of the bot's process in MB; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        except OSError:
            return 0.0
        return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith(field_name))


@asynccontextmanager
async def run_bot(name: str, module: str, *arguments: str) -> AsyncIterator[BotUnderTest]:
    """Start a sandbox and ``python -m module`` against it; end both with the block."""
    async with Sandbox.open() as sandbox:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env=_environment(sandbox.environment),
            stdin=asyncio.subprocess.DEVNULL,
        )
        try:
            bot = BotUnderTest(name, sandbox, process)
            await bot.ask("text hello")
            yield bot
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QQ_", "QQMEDIA_"))}
    return kept | variables
