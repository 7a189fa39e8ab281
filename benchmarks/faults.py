"""``python -m benchmarks.faults``: a bot in a process of its own, and everything that can happen to its connection.

Each row says 50 things a second to the bot while the fault happens, then waits for the answers. `answered` counts what
was answered at least once, `twice` what was answered more than once, `repeats` the answers that the platform refused
because the first one had arrived. `live` is the time from the fault until events flow again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._relay import Relay, free_port
from benchmarks._stage import APPID, RATE, SCENARIOS, SECRET, Child, Row, Stage, scenario, staged
from benchmarks._webhook_faults import both, forged, replayed, retried
from bot_core.sandbox import Sandbox, SandboxAccount


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
simple("refused resume (op 9)", several(lambda s: s.end_sessions(), lambda s: s.drop_connections()))
simple(
    "refused resume (4902)",
    several(lambda s: s.faults.close("resume", code=4902), lambda s: s.end_sessions(), lambda s: s.drop_connections()),
)
simple("hung socket", lambda s: s.hang_connections(), heartbeat_interval_ms=400)
simple("missing ACK", lambda s: s.faults.lose_answer("heartbeat", times=3), heartbeat_interval_ms=400)
simple("revoked token", several(lambda s: s.revoke_tokens(), lambda s: s.drop_connections()))
simple("late Hello", several(lambda s: s.faults.stall("hello", seconds=2), lambda s: s.drop_connections()))
simple("redelivery", lambda s: s.faults.repeat_events(times=50))
simple("out of order", lambda s: [s.faults.delay_event() for _ in range(20)])
simple(
    "unknown ops, events and noise",
    several(
        *[lambda s, text=text: s.send_frame(text) for text in ('{"op":77}', "{", "[]", '{"op":0,"t":"NEW","s":1}')]
    ),
)


@scenario("503 for 3 s on reconnect")
async def unavailable(stage: Stage) -> None:
    """The front proxy is there, and nobody behind it."""
    await stage.bot()

    def fail() -> None:
        stage.sandbox.faults.answer("websocket", status=503, html=True, times=1000)
        stage.sandbox.drop_connections()
        asyncio.get_running_loop().call_later(3, stage.sandbox.faults.clear)

    await stage.during(fail, 5 * RATE)


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


async def start_without(stage: Stage, **options: Any) -> None:
    """Start a bot that must wait until the platform is there."""
    stage.mark()
    await stage.bot(**options)
    await stage.speak()


@scenario("platform down at start: token")
async def no_token(stage: Stage) -> None:
    """The token cannot be had."""
    stage.sandbox.faults.answer("token", status=503, html=True, times=2)
    await start_without(stage)


@scenario("platform down at start: gateway")
async def no_gateway(stage: Stage) -> None:
    """Nobody tells where the gateway is."""
    stage.sandbox.faults.answer("gateway", status=500, times=2)
    await start_without(stage)


@scenario("platform down at start: connections cut")
async def cut_at_start(stage: Stage) -> None:
    """Connections end before they begin."""
    stage.sandbox.faults.cut("token", times=2)
    stage.sandbox.faults.cut("websocket")
    await start_without(stage)


@asynccontextmanager
async def appearing(relay: Relay, *, port: int | None = None, after: float = 2.0) -> AsyncIterator[Relay]:
    """Let the relay come into being while the block runs."""

    async def appear() -> None:
        await asyncio.sleep(after)
        await relay.open(port=port)

    coming = asyncio.create_task(appear(), name="relay")
    try:
        yield relay
        await coming
    finally:
        await relay.close()


def all_through(stage: Stage, url: str) -> dict[str, str]:
    """Return what leads a bot to the sandbox by this address."""
    return {
        name: value.replace(stage.sandbox.api_base, url.rstrip("/"))
        for name, value in stage.sandbox.environment.items()
    }


@scenario("platform down at start: host refuses")
async def no_host(stage: Stage) -> None:
    """Nobody listens at the platform's address, not for tokens either."""
    async with appearing(Relay(stage.sandbox.api_base)) as relay:
        await start_without(stage, environment=all_through(stage, relay.url))


@scenario("platform down at start: name unknown")
async def no_name(stage: Stage) -> None:
    """The name of the platform does not resolve."""
    name = "platform.invalid"
    environment = all_through(stage, stage.sandbox.api_base.replace("127.0.0.1", name))
    await start_without(stage, environment=environment, unknown_name=(name, 3.0))


@scenario("platform down at start: WebSocket refuses")
async def no_websocket(stage: Stage) -> None:
    """The platform tells of a gateway where nobody listens."""
    sandbox = int(stage.sandbox.api_base.rpartition(":")[2])
    gateway = free_port(as_long_as=sandbox)
    async with (
        appearing(Relay(stage.sandbox.api_base, instead=(sandbox, gateway)), after=0) as relay,
        appearing(Relay(stage.sandbox.api_base), port=gateway),
    ):
        await start_without(stage, environment=all_through(stage, relay.url))


async def speak_to_both(stage: Stage) -> None:
    """Half to each of two shards."""
    for shard in (0, 1):
        await stage.sandbox.connected(30, shard=shard)
    await asyncio.gather(*(stage.speak(40, shard=shard) for shard in (0, 1)))


@scenario("two shards in one process")
async def two_in_one(stage: Stage) -> None:
    """Two bots of one appid, started at the same moment."""
    stage.mark()
    shards = [{"appid": APPID, "secret": SECRET, "shard_index": index, "shards": 2} for index in (0, 1)]
    await stage.bot(accounts=shards, wait=False)
    await speak_to_both(stage)


@scenario('two shards in one process, shards="auto"', recommended_shards=2)
async def auto_shards(stage: Stage) -> None:
    """As many as the platform recommends."""
    stage.mark()
    await stage.bot(shards="auto", wait=False)
    await speak_to_both(stage)


@scenario("two shards in two processes")
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
    "three accounts in one process, one failing",
    accounts=tuple(SandboxAccount(appid=appid, secret=SECRET) for appid in ("1001", "1002", "1003")),
)
async def three_accounts(stage: Stage) -> None:
    """The others must not notice."""
    stage.mark()
    secrets = {"1001": SECRET, "1002": "wrong", "1003": SECRET}
    accounts = [{"appid": appid, "secret": secret} for appid, secret in secrets.items()]
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


@scenario("restart that overlaps", keep=True)
async def overlapping(stage: Stage) -> None:
    """The next process begins while handlers of the last one are still finishing."""
    child = await stage.bot(work_seconds=2)
    await stage.speak(20)
    stage.mark()
    child.process.send_signal(signal.SIGTERM)
    await stage.bot(wait=False)
    await stage.speak(3 * RATE)
    await child.end()


@scenario("kill -9 with replay", keep=True)
async def killed(stage: Stage) -> None:
    """No chance to say goodbye."""
    child = await stage.bot(work_seconds=0.2)
    await restart(stage, child, signal.SIGKILL)


@scenario("kill -9 six times, anywhere", keep=True)
async def killed_anywhere(stage: Stage) -> None:
    """Before READY, between an event and its answer, in a send, while the session is written: wherever it is."""
    chance, speaking = random.Random(1), True
    child = await stage.bot(work_seconds=0.1)
    stage.mark()

    async def speak_on() -> None:
        while speaking:
            await stage.speak(1)

    speaker = asyncio.create_task(speak_on(), name="speaker")
    for _ in range(6):
        await asyncio.sleep(chance.uniform(0.3, 2.0))
        await child.end(signal.SIGKILL)
        child = await stage.bot(wait=False, work_seconds=0.1)
    await stage.sandbox.connected(30, appid=APPID)
    speaking = False
    await speaker


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


@scenario("fatal close")
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


@scenario("two copies, one state folder", keep=True)
async def two_copies(stage: Stage) -> None:
    """Started twice by mistake: they must not take one session from each other for ever."""
    await stage.bot()
    stage.mark()
    copy = await stage.bot(wait=False)
    while stage.sandbox.calls["identify"] < 2:  # noqa: ASYNC110 - calls are counted, and cannot be awaited
        await asyncio.sleep(0.05)
    await stage.speak()
    told = sum("another copy of bot" in line for line in copy.lines())
    stage.row.note = f"{stage.sandbox.calls['resume']} resumes; the second says so in {told} line"
    if told != 1 or stage.sandbox.calls["resume"]:
        stage.row.failed = "they should not share it"


scenario("webhook forged")(forged)
scenario("webhook replayed")(replayed)
scenario("webhook retried")(retried)
scenario("webhook and WebSocket, both")(both)


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
