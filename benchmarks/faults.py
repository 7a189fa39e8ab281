"""``python -m benchmarks.faults``: a bot in a process of its own, and everything that can happen to its connection.

Each row says 50 things a second to the bot while the fault happens, then waits for the answers. `answered` counts what
was answered at least once, `twice` what was answered more than once, `repeats` the answers that the platform refused
because the first one had arrived. `live` is the time from the fault until events flow again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bot_core.sandbox import Arrived, Said, Sandbox, SandboxAccount, SandboxOptions

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

    async def bot(self, *, wait: bool = True, secret: str = SECRET, appid: str = APPID, **options: Any) -> Child:
        """Start a bot, and wait until it is live."""
        accounts = options.pop("accounts", [[appid, secret]])
        log = self.folder / f"bot-{len(self.children)}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("QQ_", "QQMEDIA_"))}
        environment |= self.sandbox.environment | {"QQMEDIA_STATE": str(self.folder / "state")}
        environment |= {"QQBOT_KEEP_SESSION": "1"} if self.keep else {}
        with log.open("w") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks._fault_bot", json.dumps({"accounts": accounts, **options}),
                env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
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


Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, tuple[Scenario, dict[str, Any]]] = {}


def scenario(name: str, **options: Any) -> Callable[[Scenario], Scenario]:
    """Register a row; `options` are the sandbox's, and `keep`."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = (function, options)
        return function

    return register


def simple(name: str, fault: Callable[[Sandbox], object], **options: Any) -> None:
    """A row in which one thing happens to a bot that is connected."""

    @scenario(name, **options)
    async def run(stage: Stage) -> None:
        await stage.bot()
        await stage.during(lambda: fault(stage.sandbox))


def several(*faults: Callable[[Sandbox], object]) -> Callable[[Sandbox], object]:
    """Let several things happen, in this order."""
    return lambda sandbox: [fault(sandbox) for fault in faults]


simple("nothing", lambda _: None)
simple("close 4009", lambda s: s.close_connections(4009))
simple("op 7", lambda s: s.ask_to_reconnect())
simple("op 7, then 4009", several(lambda s: s.ask_to_reconnect(), lambda s: s.close_connections(4009)))
simple("op 9 true", lambda s: s.invalidate_sessions(resumable=True))
simple("op 9 false", lambda s: s.invalidate_sessions(resumable=False))
simple("close 4006", several(lambda s: s.end_sessions(), lambda s: s.close_connections(4006)))
simple("cut", lambda s: s.drop_connections())
simple(
    "503 on reconnect",
    several(lambda s: s.faults.answer("websocket", status=503, html=True, times=2), lambda s: s.drop_connections()),
)
simple(
    "resume refused (op 9)", several(lambda s: s.end_sessions(), lambda s: s.drop_connections()),
)  # fmt: skip
simple(
    "resume refused (4902)",
    several(lambda s: s.faults.close("resume", code=4902), lambda s: s.end_sessions(), lambda s: s.drop_connections()),
)
simple("hung socket", lambda s: s.hang_connections(), heartbeat_interval_ms=400)
simple("missing ACK", lambda s: s.faults.lose_answer("heartbeat", times=3), heartbeat_interval_ms=400)
simple("token revoked", several(lambda s: s.revoke_tokens(), lambda s: s.drop_connections()))
simple("late Hello", several(lambda s: s.faults.stall("hello", seconds=2), lambda s: s.drop_connections()))
simple("redelivery", lambda s: s.faults.repeat_events(times=50))
simple("out of order", lambda s: [s.faults.delay_event() for _ in range(20)])
simple(
    "unknown ops, events and noise",
    several(
        *[lambda s, text=text: s.send_frame(text) for text in ('{"op":77}', "{", "[]", '{"op":0,"t":"NEW","s":1}')]
    ),
)


@scenario("cut every 40 events")
async def cut_every_40(stage: Stage) -> None:
    """The network fails again and again."""
    await stage.bot()
    stage.mark()
    for _ in range(8):
        await stage.speak(40)
        stage.sandbox.drop_connections()
    await stage.speak(40)


@scenario("dead session that resumes")
async def dead_session(stage: Stage) -> None:
    """What was said to the dead session is lost; what comes after it is not."""
    await stage.bot()
    await stage.speak(20)
    await stage.count_up()
    stage.mark()
    stage.row.live = 0
    before = stage.sandbox.bots()[0]["session_id"]
    stage.sandbox.kill_sessions()
    while (state := stage.sandbox.bots()[0])["session_id"] == before:
        if state["connected"]:
            await asyncio.sleep(5.2)  # a connection that ends sooner, three times, would be waited for a minute
            stage.sandbox.drop_connections()  # it resumes, says nothing, and is cut again
        await asyncio.sleep(0.1)
    stage.row.live = time.time() - (stage.fault_at or 0)
    await stage.speak(20)


@scenario("bare events")
async def bare_events(stage: Stage) -> None:
    """Only the fields that the platform documents."""
    await stage.bot()
    stage.mark()
    await stage.speak(full=False)


@scenario("platform down at start: token")
async def no_token(stage: Stage) -> None:
    """The token cannot be had."""
    stage.sandbox.faults.answer("token", status=503, html=True, times=2)
    stage.mark()
    await stage.bot()
    await stage.speak()


@scenario("platform down at start: gateway")
async def no_gateway(stage: Stage) -> None:
    """Nobody tells where the gateway is."""
    stage.sandbox.faults.answer("gateway", status=500, times=2)
    stage.mark()
    await stage.bot()
    await stage.speak()


@scenario("platform down at start: connections cut")
async def cut_at_start(stage: Stage) -> None:
    """Connections end before they begin."""
    stage.sandbox.faults.cut("token", times=2)
    stage.sandbox.faults.cut("websocket")
    stage.mark()
    await stage.bot()
    await stage.speak()


async def speak_to_both(stage: Stage) -> None:
    """Half to each of two shards."""
    for shard in (0, 1):
        await stage.sandbox.connected(30, shard=shard)
    await asyncio.gather(*(stage.speak(40, shard=shard) for shard in (0, 1)))


@scenario('two shards in one process, shards="auto"', recommended_shards=2)
async def auto_shards(stage: Stage) -> None:
    """As many as the platform recommends."""
    stage.mark()
    await stage.bot(shards="auto", wait=False)
    await speak_to_both(stage)


@scenario("two shards in two processes at once")
async def two_processes(stage: Stage) -> None:
    """Started at the same moment, without waiting for each other."""
    stage.mark()
    for index in (0, 1):
        await stage.bot(shard_index=index, shards=2, wait=False)
    await speak_to_both(stage)


@scenario("64 shards in one process", recommended_shards=64, max_concurrency=16)
async def many_shards(stage: Stage) -> None:
    """As fast as the platform lets them."""
    await stage.bot(appid="1002")  # one shard, to compare with
    stage.mark()
    began = time.monotonic()
    await stage.bot(shards="auto", wait=False)
    for shard in range(64):
        await stage.sandbox.connected(60, appid=APPID, shard=shard)
    memory = [child.memory() for child in stage.children]
    stage.row.note = (
        f"all live in {time.monotonic() - began:.1f} s with the start; the pacing allows 15.75 s;"
        f" {memory[1] - memory[0]:.0f} MB more than one shard"
    )
    for shard in range(64):
        await stage.speak(1, appid=APPID, shard=shard)


@scenario(
    "three accounts, one with a wrong secret",
    accounts=tuple(SandboxAccount(appid=appid, secret=SECRET) for appid in ("1001", "1002", "1003")),
)
async def three_accounts(stage: Stage) -> None:
    """The others must not notice."""
    stage.mark()
    accounts = [["1001", SECRET], ["1002", "wrong"], ["1003", SECRET]]
    child = await stage.bot(accounts=accounts, wait=False)
    for appid in ("1001", "1003"):
        await stage.sandbox.connected(10, appid=appid)
        await stage.speak(20, appid=appid)
    if child.process.returncode is not None:
        stage.row.failed = "the process ended"


@scenario("quick restart", keep=True)
async def quick_restart(stage: Stage) -> None:
    """An orderly end."""
    child = await stage.bot()
    await restart(stage, child, signal.SIGTERM)


@scenario("kill -9, and start again", keep=True)
async def killed(stage: Stage) -> None:
    """No chance to say goodbye."""
    child = await stage.bot(work_seconds=0.2)
    await restart(stage, child, signal.SIGKILL)


async def restart(stage: Stage, child: Child, number: signal.Signals) -> None:
    """End the bot in the middle of its work, speak while nobody is there, and start it again."""
    await stage.speak(RATE)
    stage.mark()
    await child.end(number)
    await stage.speak(20)
    stage.fault_at = time.time()
    await stage.bot()
    await stage.speak(20)


async def expect_end(stage: Stage, child: Child, code: int, seconds: float, words: str) -> None:
    """The bot must end by itself."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            ended = await child.process.wait()
    except TimeoutError:
        stage.row.failed = f"it still runs after {seconds:g} s"
        return
    stage.row.note = f"ended with exit code {ended} after {time.monotonic() - began:.1f} s"
    if ended != code or words not in child.log.read_text("utf-8"):
        stage.row.failed = "not as it should"


@scenario("wrong secret", accounts=(SandboxAccount(appid=APPID, secret=SECRET),))
async def wrong_secret(stage: Stage) -> None:
    """No fault that passes: one error, and soon."""
    stage.mark()
    child = await stage.bot(secret="not-the-secret", wait=False)
    await expect_end(stage, child, 1, 5, "appid or secret wrong")


@scenario("fatal close (4914)")
async def fatal_close(stage: Stage) -> None:
    """The bot was delisted while it ran."""
    child = await stage.bot()
    await stage.speak(10)
    await stage.count_up()
    stage.mark()
    stage.sandbox.close_connections(4914)
    await expect_end(stage, child, 1, 12, "机器人已下架")


@scenario("identifies used up", session_start_total=1, keep=False)
async def used_up(stage: Stage) -> None:
    """It must wait, say until when, and ask nothing more of the platform."""
    child = await stage.bot()
    stage.mark()
    stage.sandbox.end_sessions()
    stage.sandbox.drop_connections()
    await asyncio.sleep(25)
    waits = [line for line in child.lines() if "the platform allows no new session before" in line]
    identifies = stage.sandbox.calls["identify"]
    stage.row.note = f"{identifies} identifies; said {len(waits)} times until when"
    if len(waits) != 1 or identifies > 2:
        stage.row.failed = "it should wait"


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


async def run(name: str, *, show_log: bool) -> Row:
    """Let one fault happen."""
    function, options = SCENARIOS[name]
    async with staged(name, dict(options)) as stage:
        try:
            await function(stage)
            await stage.count_up()
        except Exception as error:  # noqa: BLE001 - a row that failed is a row
            stage.row.failed = f"{type(error).__name__}: {error}"
        if show_log or not stage.row.good:
            for child in stage.children:
                print(child.log.name, *child.lines(), sep="\n  ")
    return stage.row


def show(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(title="faults of the connection", show_lines=False)
    for heading in ("fault", "said", "answered", "twice", "repeats", "live after s", "log lines", "remark"):
        table.add_column(heading, justify="left" if heading in ("fault", "remark") else "right")
    for row in rows:
        live = "-" if row.live is None else f"{row.live:.2f}"
        numbers = (str(number) for number in (row.said, row.answered, row.twice, row.repeats))
        style = "" if row.good else "bold red"
        table.add_row(row.name, *numbers, live, str(row.lines), row.failed or row.note, style=style)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


async def main() -> int:
    """Run the rows that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("only", nargs="*", help="rows whose name contains one of these words")
    parser.add_argument("--log", action="store_true", help="show what the bots say, also where all is well")
    arguments = parser.parse_args()
    names = [name for name in SCENARIOS if not arguments.only or any(word in name for word in arguments.only)]
    rows = []
    for name in names:
        rows.append(await run(name, show_log=arguments.log))
        print(f"{'ok  ' if rows[-1].good else 'FAIL'} {name}", file=sys.stderr, flush=True)
    show(rows)
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
