"""What rows of faults happen on: a sandbox, bots in processes of their own, and what became of what was said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bot_core.sandbox import Arrived, Said, Sandbox, SandboxOptions

__all__ = ("APPID", "RATE", "SCENARIOS", "SECRET", "Child", "Row", "Stage", "scenario", "staged")

SECRET: Final = "sandbox-secret"
APPID: Final = "1020000001"
RATE: Final = 50
PATIENCE_SECONDS: Final = 30
DUPLICATE_CODE: Final = 40054005


@dataclass
class Row:
    """What one fault did."""

    name: str
    said: int = 0
    answered: int = 0
    twice: int = 0
    repeats: int = 0
    live: float | None = None
    lines: int = 0
    note: str = ""
    failed: str = ""

    @property
    def good(self) -> bool:
        """Whether everything was answered, once."""
        return not self.failed and self.answered == self.said and not self.twice


@dataclass
class Child:
    """A bot's process."""

    process: asyncio.subprocess.Process
    log: Path

    def lines(self) -> list[str]:
        """Return what it said."""
        return self.log.read_text("utf-8").splitlines()

    def memory(self) -> float:
        """Return its memory in MB; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        except OSError:
            return 0.0
        return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()


@dataclass
class Stage:
    """One sandbox with bots around it."""

    sandbox: Sandbox
    folder: Path
    row: Row
    keep: bool = False
    children: list[Child] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    log_before: int = 0
    fault_at: float | None = None

    async def bot(
        self,
        *,
        wait: bool = True,
        secret: str = SECRET,
        appid: str = APPID,
        environment: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> Child:
        """Start a bot, and wait until it is live."""
        accounts = options.pop("accounts", [{"appid": appid, "secret": secret}])
        log = self.folder / f"bot-{len(self.children)}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("QQ_", "QQMEDIA_"))}
        clean |= self.sandbox.environment | {"QQMEDIA_STATE": str(self.folder / "state")}
        clean |= {"QQBOT_KEEP_SESSION": "1"} if self.keep else {}
        with log.open("w") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks._fault_bot", json.dumps({"accounts": accounts, **options}),
                env=clean | dict(environment), stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        child = Child(process, log)
        self.children.append(child)
        if wait:
            await self.sandbox.connected(30, appid=appid, shard=options.get("shard_index", 0))
        return child

    async def speak(self, count: int = RATE, **where: Any) -> None:
        """Say so many things, fifty a second."""
        for _ in range(count):
            number = len(self.said)
            self.said.append(await self.sandbox.say(f"word {number}", group=f"group-{number % 8}", **where))
            await asyncio.sleep(1 / RATE)

    def mark(self) -> None:
        """The fault happens now."""
        self.fault_at = time.time()
        self.log_before = sum(len(child.lines()) for child in self.children)

    async def during(self, fault: Callable[[], object], count: int = 2 * RATE) -> None:
        """Speak, let the fault happen in the middle, and go on."""
        await self.speak(count // 4)
        self.mark()
        fault()
        await self.speak(count - count // 4)

    async def count_up(self) -> None:
        """Wait for the answers, and fill the row."""
        row, end = self.row, time.monotonic() + PATIENCE_SECONDS
        while (missing := [said for said in self.said if not self._answers(said)]) and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                await self.sandbox.replies(missing[0], timeout=max(0.1, end - time.monotonic()))
        await asyncio.sleep(0.3)  # a second answer would come about now
        answers = [len(self._answers(said)) for said in self.said]
        row.said, row.answered = len(answers), sum(count > 0 for count in answers)
        row.twice = sum(count > 1 for count in answers)
        row.repeats = sum(refusal.code == DUPLICATE_CODE for refusal in self.sandbox.refused)
        row.lines = sum(len(child.lines()) for child in self.children) - self.log_before

    def _answers(self, said: Said) -> list[Arrived]:
        return [arrived for arrived in self.sandbox.arrived if arrived.msg_id == said.id]


@asynccontextmanager
async def staged(name: str, options: dict[str, Any]) -> AsyncIterator[Stage]:
    """Open a sandbox and a folder for one row, and end the bots with it."""
    keep = options.pop("keep", False)
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox.open(SandboxOptions(**{"connect_timeout_seconds": 60} | options)) as sandbox:
            stage = Stage(sandbox, Path(folder), Row(name), keep=keep)

            def watch(happening: object) -> None:
                came_up = getattr(happening, "state", "") in ("ready", "resumed")
                if came_up and stage.fault_at is not None and stage.row.live is None:
                    stage.row.live = getattr(happening, "at", time.time()) - stage.fault_at

            sandbox.subscribe(watch)
            try:
                yield stage
            finally:
                for child in stage.children:
                    if child.process.returncode is None:
                        with contextlib.suppress(TimeoutError):
                            await child.end()
                        if child.process.returncode is None:
                            child.process.kill()
                            await child.process.wait()


Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, tuple[Scenario, dict[str, Any]]] = {}


def scenario(name: str, **options: Any) -> Callable[[Scenario], Scenario]:
    """Register a row; `options` are the sandbox's, and `keep`."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = (function, options)
        return function

    return register
