"""Who may start a session, and when: in one process, in several, and when the day's starts are used up."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.errors import OpenAPIError
from bot_core.gateway.discovery import Discovery
from bot_core.gateway.pacing import FilePacingStore, IdentifyGate, MemoryPacingStore, PacingStore
from bot_core.openapi.values import GatewayInfo


def info(url: str = "ws://a", *, remaining: int = 1500, reset: float = 86400, limit: int = 1) -> GatewayInfo:
    return GatewayInfo(
        url=url, shards=1, total=1500, remaining=remaining, reset_after_seconds=reset, max_concurrency=limit
    )


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> PacingStore:
    return MemoryPacingStore(clock) if request.param == "memory" else FilePacingStore(tmp_path, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def book(store: PacingStore, account: str = "A", *, limit: int = 1, patience: float = 60) -> float:
    return await store.book(account, limit=limit, window=5, patience=patience)


@pytest.mark.asyncio
async def test_starts_are_a_window_apart(store: PacingStore, clock: Clock) -> None:
    assert [await book(store) for _ in range(4)] == [0, 5, 10, 15]
    assert await book(store, "B") == 0
    clock.now += 12
    assert await book(store) == pytest.approx(8)
    clock.now += 100
    assert await book(store) == 0


@pytest.mark.asyncio
async def test_several_may_start_at_once_where_the_platform_says_so(store: PacingStore) -> None:
    assert [await book(store, limit=3) for _ in range(7)] == [0, 0, 0, 5, 5, 5, 10]


@pytest.mark.asyncio
async def test_no_window_anywhere_holds_more_than_are_allowed(store: PacingStore, clock: Clock) -> None:
    starts = []
    for number in range(30):
        starts.append(clock.now + await book(store, limit=2, patience=1000))
        clock.now += (0.3, 7, 0, 2.4)[number % 4]
    starts.sort()
    assert all(later - earlier >= 5 - 1e-9 for earlier, later in zip(starts, starts[2:], strict=False))


@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.tuples(st.floats(0, 8), st.sampled_from([-1.0, 0.0, 3.0, 15.0])), min_size=1, max_size=30),
)
def test_whoever_asks_whenever_no_window_is_overfull(limit: int, steps: list[tuple[float, float]]) -> None:
    clock = Clock()
    store = MemoryPacingStore(clock)

    async def book_all() -> list[float]:
        starts = []
        for pause, patience in steps:
            clock.now += pause
            wait = await book(store, limit=limit, patience=patience)
            assert wait >= 0
            if wait <= patience:
                starts.append(clock.now + wait)
        return sorted(starts)

    starts = asyncio.run(book_all())
    assert all(later - earlier >= 5 - 1e-6 for earlier, later in zip(starts, starts[limit:], strict=False))


@pytest.mark.asyncio
async def test_what_is_too_far_off_is_not_booked(store: PacingStore) -> None:
    assert await book(store) == 0
    assert await book(store, patience=-1) == 5
    assert await book(store, patience=4) == 5
    assert await book(store, patience=5) == 5
    assert await book(store, patience=-1) == 10


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"a": 1}',
        '["x", null, NaN, 1e400]',
        "[5000000000.0]",
        f"[{'9' * 400}]",
        pytest.param("[" * 100_000, id="deep"),
    ],
)
async def test_a_damaged_file_or_a_clock_set_back_stops_nobody(clock: Clock, tmp_path: Path, content: str) -> None:
    store = FilePacingStore(tmp_path, clock=clock)
    assert await book(store) == 0
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "gateway").glob("*.json")))
    await asyncio.to_thread(path.write_text, content)
    assert await book(store) == 0
    assert json.loads(await asyncio.to_thread(path.read_text)) == [1000]


@pytest.mark.asyncio
async def test_without_a_folder_it_says_so_once_and_paces_this_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    await asyncio.to_thread(blocked.touch)
    store = FilePacingStore(blocked)
    account = f"bot without a folder {tmp_path}"
    assert await book(store, account=account) == 0
    assert await book(store, account=account) == pytest.approx(5, abs=0.5)
    (record,) = caplog.records
    assert "QQMEDIA_STATE" in record.getMessage()
    another = FilePacingStore(blocked)  # another shard in this process
    assert await book(another, account=account) == pytest.approx(10, abs=0.5)


@pytest.mark.blocking  # it waits for child processes
def test_processes_that_begin_at_the_same_moment_get_different_turns(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from bot_core.gateway.pacing import FilePacingStore\n"
        "async def main():\n"
        "    store = FilePacingStore(pathlib.Path(sys.argv[1]), clock=lambda: 1000.0)\n"
        "    sys.stdin.readline()\n"
        "    for _ in range(5):\n"
        "        print(await store.book('A', limit=1, window=5, patience=10**6), flush=True)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        )
        for _ in range(3)
    ]  # fmt: skip
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    turns = [float(line) for child in children for line in child.communicate(timeout=30)[0].split()]
    # All 15 ask at the moment 1000, and what is beyond the horizon of a clock set back would be forgotten.
    assert sorted(turns) == [5.0 * number for number in range(15)]


class Platform:
    def __init__(self, *answers: GatewayInfo | OpenAPIError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def ask(self) -> GatewayInfo:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, OpenAPIError):
            raise answer
        return answer


@pytest.mark.asyncio
async def test_the_address_is_kept_and_asked_for_anew_after_a_failure_but_not_too_often(clock: Clock) -> None:
    discovery = Discovery(Platform(info(), OpenAPIError("busy"), info("ws://b")).ask, clock=clock)

    async def url() -> str:
        return (await discovery.get()).url

    assert [await url(), await url()] == ["ws://a", "ws://a"]
    discovery.failed()
    clock.now += 9
    assert await url() == "ws://a"
    clock.now += 1
    assert await url() == "ws://a"  # busy, so the known one is tried again
    clock.now += 10
    assert await url() == "ws://b"
    clock.now += 1000
    assert await url() == "ws://b"


@pytest.mark.asyncio
async def test_many_that_ask_at_once_ask_the_platform_once() -> None:
    platform = Platform(info())
    discovery = Discovery(platform.ask)
    await asyncio.gather(*(discovery.get() for _ in range(20)))
    assert platform.asked == 1


@pytest.mark.asyncio
async def test_starts_are_counted_down_and_the_reset_is_waited_for(clock: Clock) -> None:
    discovery = Discovery(Platform(info(remaining=2, reset=100), info(remaining=1500)).ask, clock=clock)
    assert discovery.exhausted_for == 0
    await discovery.get()
    discovery.started()
    assert discovery.exhausted_for == 0
    discovery.started()
    assert discovery.exhausted_for == 100
    clock.now += 99
    await discovery.get()
    assert discovery.exhausted_for == 1
    clock.now += 1
    await discovery.get()
    assert discovery.exhausted_for == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(("reset", "waits"), [(3, 3), (0, 60), (-5, 60)])
async def test_a_reset_that_is_near_is_waited_for_and_no_longer(clock: Clock, reset: float, waits: float) -> None:
    discovery = Discovery(Platform(info(remaining=0, reset=reset)).ask, clock=clock)
    await discovery.get()
    assert discovery.exhausted_for == waits


@pytest.mark.asyncio
async def test_who_says_nothing_about_a_limit_has_none() -> None:
    silent = GatewayInfo(url="ws://a", shards=1, total=0, remaining=0, reset_after_seconds=0, max_concurrency=1)
    discovery = Discovery(Platform(silent).ask)
    await discovery.get()
    assert discovery.exhausted_for == 0


@pytest.mark.asyncio
async def test_the_gate_waits_for_the_reset_and_says_once_until_when(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moment = 1000.0

    def clock() -> float:
        nonlocal moment
        moment += 30.0  # each look at the clock finds it half a minute later
        return moment

    discovery = Discovery(Platform(info(remaining=0, reset=61), info()).ask, clock=clock, ask_again=0)
    gate = IdentifyGate("1001 at http://a", MemoryPacingStore(), discovery, window=0.01, longest_sleep=0.01)
    async with asyncio.timeout(2):
        await gate.enter()
        assert await gate.turn() == 0
    (record,) = caplog.records
    assert "1001 at http://a: the platform allows no new session before" in record.getMessage()


@pytest.mark.asyncio
async def test_one_at_a_time_passes_the_gate_and_who_is_cancelled_leaves_it() -> None:
    gate = IdentifyGate("A", MemoryPacingStore(), Discovery(Platform(info()).ask), window=0.01)
    await gate.enter()
    second = asyncio.create_task(gate.enter())
    third = asyncio.create_task(gate.enter())
    await asyncio.sleep(0.02)
    assert not second.done()
    second.cancel()
    await asyncio.wait({second})
    gate.leave()
    await asyncio.wait_for(third, 1)


@pytest.mark.asyncio
async def test_a_turn_that_is_far_off_is_not_waited_for() -> None:
    gate = IdentifyGate("A", MemoryPacingStore(), Discovery(Platform(info()).ask), window=20)
    assert await gate.turn() == 0
    assert await gate.turn() == pytest.approx(21, abs=0.5)
