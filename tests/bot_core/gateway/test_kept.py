"""What is kept of a session for the next process, and how far its handlers have come."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.gateway.kept import FileSessionStore, KeptSession, MemorySessionStore, SessionKeeper, SessionStore
from bot_core.gateway.progress import Progress

SHARD = (0, 1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SessionStore:
    return MemorySessionStore() if request.param == "memory" else FileSessionStore(tmp_path)


def keeper(store: SessionStore, clock: Clock, account: str = "1001 at http://a") -> SessionKeeper:
    return SessionKeeper(store, account, write_every=0.01, patience=0.05, clock=clock)


async def keep(store: SessionStore, clock: Clock, state: tuple[str, int, int, int] | None = ("S", 7, 3, 0)) -> None:
    async with keeper(store, clock).open() as writer:
        writer.watch(SHARD, lambda: state)


@pytest.mark.asyncio
async def test_a_session_comes_back_to_the_same_account_and_shard_for_five_minutes(
    store: SessionStore, clock: Clock
) -> None:
    await keep(store, clock)
    reader = keeper(store, clock)
    assert await reader.load(SHARD, intents=3) == KeptSession(session_id="S", seq=7, intents=3, at=clock.now)
    assert await reader.load((0, 2), intents=3) is None
    assert await reader.load((1, 2), intents=3) is None
    assert await reader.load(SHARD, intents=1) is None  # it would lack events that are wanted now
    assert await keeper(store, clock, "1002 at http://a").load(SHARD, intents=3) is None
    clock.now += 299
    assert await reader.load(SHARD, intents=3) is not None
    clock.now += 1
    assert await reader.load(SHARD, intents=3) is None
    clock.now -= 301  # the clock was set back by a second: at worst the platform refuses the resume
    assert await reader.load(SHARD, intents=3) is not None
    clock.now -= 299  # by more than it may be old: who knows how old it is
    assert await reader.load(SHARD, intents=3) is None


@pytest.mark.asyncio
async def test_who_may_not_resume_gets_nothing_and_keeps_what_begins(store: SessionStore, clock: Clock) -> None:
    await keep(store, clock)
    async with SessionKeeper(store, "1001 at http://a", resumes=False, clock=clock).open() as anew:
        assert await anew.load(SHARD, intents=3) is None
        anew.watch(SHARD, lambda: ("T", 1, 3, 0))
    kept = await keeper(store, clock).load(SHARD, intents=3)
    assert kept is not None
    assert kept.session_id == "T"


@pytest.mark.asyncio
async def test_of_many_shards_only_those_are_written_that_changed(clock: Clock) -> None:
    class Counting(MemorySessionStore):
        def __init__(self) -> None:
            super().__init__()
            self.keys: list[str] = []

        async def save(self, key: str, session: KeptSession | None) -> None:
            self.keys.append(key.rpartition(" ")[2])
            await super().save(key, session)

    store = Counting()
    async with keeper(store, clock).open() as writer:
        for index in range(3):
            writer.watch((index, 3), lambda: ("S", 1, 3, 0))
        writer.changed((1, 3))
        async with asyncio.timeout(2):
            while not store.keys:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert store.keys == ["1/3"]
    assert sorted(store.keys) == ["0/3", "1/3", "2/3"]


@pytest.mark.asyncio
async def test_a_session_that_ended_is_forgotten(store: SessionStore, clock: Clock) -> None:
    await keep(store, clock)
    await keep(store, clock, None)
    assert await keeper(store, clock).load(SHARD, intents=3) is None
    await keep(store, clock, None)


@pytest.mark.asyncio
async def test_it_is_written_while_the_bot_runs_and_not_for_each_event(tmp_path: Path, clock: Clock) -> None:
    class Counting(FileSessionStore):
        saves = 0

        async def save(self, key: str, session: KeptSession | None) -> None:
            self.saves += 1
            await super().save(key, session)

    store = Counting(tmp_path)
    seq = 0
    async with SessionKeeper(store, "A", write_every=0.05, clock=clock).open() as writer:
        writer.watch(SHARD, lambda: ("S", seq, 3, 0))
        for _ in range(100):
            seq += 1
            writer.changed(SHARD)
            await asyncio.sleep(0)
        async with asyncio.timeout(2):
            while (kept := await writer.load(SHARD, intents=3)) is None or kept.seq != 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert store.saves <= 3
        before = store.saves
        writer.changed(SHARD)  # but nothing is different
        await asyncio.sleep(0.12)
        assert store.saves == before
        clock.now += 41
        writer.changed(SHARD)  # a heartbeat: it is alive still
        async with asyncio.timeout(2):
            while store.saves == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        before = store.saves
        clock.now -= 3600  # the clock was set back: what is kept must not seem to be of the future
        writer.changed(SHARD)
        async with asyncio.timeout(2):
            while store.saves == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_slow_write_does_not_come_after_the_last_word(clock: Clock) -> None:
    class SlowDisk(MemorySessionStore):
        begun, go = threading.Event(), threading.Event()
        on_disk: KeptSession | None = None

        async def save(self, key: str, session: KeptSession | None) -> None:
            await asyncio.to_thread(self._write, session)

        def _write(self, session: KeptSession | None) -> None:
            if not self.begun.is_set():
                self.begun.set()
                assert self.go.wait(5)
            self.on_disk = session

    store, seq = SlowDisk(), 1
    async with keeper(store, clock).open() as writer:
        writer.watch(SHARD, lambda: ("S", seq, 3, 0))
        writer.changed(SHARD)
        assert await asyncio.to_thread(store.begun.wait, 5)
        seq = 2
        asyncio.get_running_loop().call_later(0.03, store.go.set)
    await asyncio.sleep(0.06)
    assert store.on_disk is not None
    assert store.on_disk.seq == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '{"session_id": 7, "seq": 1, "intents": 3, "at": 1e6}',
        '{"session_id": "S", "seq": 1.5, "intents": 3, "at": 1e6}',
        '{"session_id": "S", "seq": -1, "intents": 3, "at": 1e6}',
        '{"session_id": "S", "seq": 1, "intents": 3, "at": NaN}',
        '{"session_id": "S", "seq": 1, "intents": 3, "at": 1' + 400 * "0" + "}",
        '{"session_id": "S", "seq": 1, "intents": 3}',
    ],
)
async def test_a_damaged_file_is_no_session(tmp_path: Path, clock: Clock, content: str) -> None:
    store = FileSessionStore(tmp_path)
    await keep(store, clock)
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "gateway").iterdir()))
    assert json.loads(await asyncio.to_thread(path.read_text))["session_id"] == "S"
    await asyncio.to_thread(path.write_text, content)
    assert await keeper(store, clock).load(SHARD, intents=3) is None


@pytest.mark.asyncio
async def test_what_a_later_version_keeps_is_read_as_far_as_it_is_known(tmp_path: Path, clock: Clock) -> None:
    store = FileSessionStore(tmp_path)
    await keep(store, clock)
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "gateway").iterdir()))
    kept = json.loads(await asyncio.to_thread(path.read_text)) | {"host": "new", "version": 9}
    await asyncio.to_thread(path.write_text, json.dumps(kept))
    assert await keeper(store, clock).load(SHARD, intents=3) is not None


@pytest.mark.asyncio
@pytest.mark.parametrize(("written", "read"), [("2", 2), ('"many"', 0), ("-1", 0), ("true", 0), ("1.5", 0)])
async def test_how_often_it_was_resumed_in_vain_is_kept(tmp_path: Path, clock: Clock, written: str, read: int) -> None:
    store = FileSessionStore(tmp_path)
    await keep(store, clock, ("S", 7, 3, 1))
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "gateway").iterdir()))
    content = (await asyncio.to_thread(path.read_text)).replace('"quiet_restarts": 1', f'"quiet_restarts": {written}')
    assert written in content
    await asyncio.to_thread(path.write_text, content)
    kept = await keeper(store, clock).load(SHARD, intents=3)
    assert kept is not None
    assert kept.quiet_restarts == read


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ['"soon"', "[]", "NaN", "-1e400", "9"])
async def test_an_end_that_is_damaged_is_not_waited_for(tmp_path: Path, clock: Clock, end: str) -> None:
    store = FileSessionStore(tmp_path)
    await keep(store, clock)
    (path,) = await asyncio.to_thread(lambda: list((tmp_path / "gateway").iterdir()))
    content = (await asyncio.to_thread(path.read_text)).replace('"ends_by": null', f'"ends_by": {end}')
    assert end in content
    await asyncio.to_thread(path.write_text, content)
    async with keeper(store, clock).open() as first, asyncio.timeout(1):
        assert await first.claim(SHARD)
        assert not await keeper(FileSessionStore(tmp_path), clock).claim(SHARD)


@pytest.mark.asyncio
async def test_the_second_copy_of_a_bot_keeps_nothing_and_says_so_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeper(FileSessionStore(tmp_path), clock).open() as first:
        assert await first.claim(SHARD)
        async with keeper(FileSessionStore(tmp_path), clock).open() as second:
            assert not await second.claim(SHARD)
            assert await second.claim((0, 2))  # nobody else runs that one
            assert not await second.claim(SHARD)
        async with keeper(FileSessionStore(tmp_path), clock, "1002 at http://a").open() as other:
            assert await other.claim(SHARD)
    assert ["another copy of bot 1001 at http://a runs" in line.getMessage() for line in caplog.records] == [True]
    async with keeper(FileSessionStore(tmp_path), clock).open() as third:
        assert await third.claim(SHARD)


@pytest.mark.asyncio
async def test_a_copy_that_is_just_ending_is_waited_for_and_a_claim_given_up_is_free(
    tmp_path: Path, clock: Clock
) -> None:
    first, second = FileSessionStore(tmp_path), FileSessionStore(tmp_path)
    assert await first.claim("A", patience=0)
    waiting = [asyncio.create_task(second.claim("A", patience=5), name="claim")]
    await asyncio.sleep(0.05)
    assert not waiting[0].done()
    await first.release("A")
    assert await waiting[0]
    waiting[0] = asyncio.create_task(first.claim("A", patience=5), name="claim")
    await asyncio.sleep(0.02)
    waiting[0].cancel()
    await second.release("A")
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    assert await second.claim("A", patience=5)  # the thread that waits for the lock may have it for a moment
    await second.release("A")
    await second.release("nobody's")


@pytest.mark.asyncio
@pytest.mark.parametrize("cancelled", [1, 2, 3])
async def test_a_claim_that_is_given_up_is_free_however_often_it_is_cancelled(tmp_path: Path, cancelled: int) -> None:
    first, second, third = (FileSessionStore(tmp_path) for _ in range(3))
    assert await first.claim("A", patience=0)
    waiting = asyncio.create_task(second.claim("A", patience=0.3), name="claim")
    await asyncio.sleep(0.02)
    for _ in range(cancelled):
        waiting.cancel()
        await asyncio.sleep(0)
    await first.release("A")
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    await asyncio.sleep(0.05)  # the thread that waits for the lock gets it, and nobody wants it
    assert await third.claim("A", patience=5)
    await third.release("A")


@pytest.mark.asyncio
async def test_a_bot_whose_ending_is_cancelled_lets_go_of_its_session(tmp_path: Path, clock: Clock) -> None:
    class SlowDisk(FileSessionStore):
        saving = asyncio.Event()

        async def save(self, key: str, session: KeptSession | None) -> None:
            self.saving.set()
            await asyncio.sleep(10)

    store = SlowDisk(tmp_path)

    async def run() -> None:
        async with keeper(store, clock).open() as writer:
            assert await writer.claim(SHARD)
            writer.watch(SHARD, lambda: ("S", 7, 3, 0))
            writer.changed(SHARD)
            await store.saving.wait()
            await asyncio.Event().wait()

    running = asyncio.create_task(run(), name="bot")
    await store.saving.wait()
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0.01)
    await asyncio.wait((running,))
    assert running.cancelled()
    assert await keeper(FileSessionStore(tmp_path), clock).claim(SHARD)


@pytest.mark.asyncio
async def test_a_file_that_another_process_has_open_is_written_and_read_a_moment_later(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses both while it is open elsewhere."""
    left = {"replace": 3, "open": 3}

    def busy(name: str, function: Any) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            if left[name] and ".session.json" in str(arguments[0]):
                left[name] -= 1
                raise PermissionError(errno.EACCES, "The process cannot access the file")
            return function(*arguments, **named)

        return called

    monkeypatch.setattr("os.replace", busy("replace", os.replace))
    monkeypatch.setattr("io.open", busy("open", open))
    await keep(FileSessionStore(tmp_path), clock)
    assert await keeper(FileSessionStore(tmp_path), clock).load(SHARD, intents=3) is not None
    assert left == {"replace": 0, "open": 0}
    assert not caplog.records


@pytest.mark.asyncio
async def test_a_long_grace_is_waited_for_and_not_longer(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = SessionKeeper(FileSessionStore(tmp_path), "A", write_every=0.01, patience=0.05, grace=60, clock=clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first.open())
        assert await first.claim(SHARD)
        first.watch(SHARD, lambda: ("S", 7, 3, 0))
        first.ending()
        await asyncio.sleep(0.05)  # for the writer
        async with keeper(FileSessionStore(tmp_path), clock, "A").open() as second:
            for seconds, still_waited_for in ((60, True), (20, False)):
                clock.now += seconds
                claiming = asyncio.create_task(second.claim(SHARD), name="claim")
                await asyncio.sleep(0.15)
                assert claiming.done() is not still_waited_for
                claiming.cancel()
                await asyncio.wait((claiming,))
    lines = [record.getMessage() for record in caplog.records]
    assert "another copy of bot A is ending: it is waited for, until" in lines[0]
    assert "keeps the session" in lines[1]
    clock.now += 219  # it had no connection since its ending began, however late it was written
    assert await first.load(SHARD, intents=3) is not None
    clock.now += 1
    assert await first.load(SHARD, intents=3) is None


@pytest.mark.asyncio
async def test_a_copy_with_a_session_of_its_own_does_not_wait_for_one_that_is_ending(
    tmp_path: Path, clock: Clock
) -> None:
    """It would be offline meanwhile, and go on with its own in the end."""
    async with keeper(FileSessionStore(tmp_path), clock).open() as first:
        assert await first.claim(SHARD)
        first.watch(SHARD, lambda: ("S", 7, 3, 0))
        async with keeper(FileSessionStore(tmp_path), clock).open() as second:
            assert not await second.claim(SHARD)
            first.ending()
            await asyncio.sleep(0.05)  # for the writer
            async with asyncio.timeout(1):
                assert not await second.claim(SHARD)


@pytest.mark.asyncio
async def test_a_copy_whose_handlers_are_finishing_is_waited_for_longer(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seq = 7
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(keeper(FileSessionStore(tmp_path), clock).open())
        assert await first.claim(SHARD)
        first.watch(SHARD, lambda: ("S", seq, 3, 0))
        first.ending()
        async with keeper(FileSessionStore(tmp_path), clock).open() as second:
            claiming = asyncio.create_task(second.claim(SHARD), name="claim")
            await asyncio.sleep(0.1)  # longer than a copy is waited for that is not ending
            assert not claiming.done()
            seq = 9
            await stack.aclose()
            assert await claiming
            kept = await second.load(SHARD, intents=3)
            assert kept is not None
            assert kept.seq == 9
    assert not caplog.records


_KILLED_WITH_A_WORKER = """
import asyncio, os, sys, time
from pathlib import Path
from bot_core.gateway.kept import FileSessionStore

async def main():
    assert await FileSessionStore(Path(sys.argv[1])).claim("A", patience=0)
    worker = os.fork()
    if not worker:
        os.close(1)
        time.sleep(30)
    print(worker, flush=True)
    os._exit(9)

asyncio.run(main())
"""


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
async def test_a_worker_that_outlives_its_bot_does_not_keep_the_session(tmp_path: Path) -> None:
    """Those of a `ProcessPoolExecutor` do, when the bot is killed."""
    bot = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", _KILLED_WITH_A_WORKER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await bot.communicate()
    try:
        store = FileSessionStore(tmp_path)
        assert await store.claim("A", patience=1)
        await store.release("A")
    finally:
        os.kill(int(said), signal.SIGKILL)


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform == "win32", reason="locks are made otherwise there")
async def test_a_folder_that_knows_no_locks_is_no_other_copy(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    async with keeper(FileSessionStore(tmp_path), clock).open() as writer:
        assert await writer.claim(SHARD)
        writer.watch(SHARD, lambda: ("S", 7, 3, 0))
    assert await keeper(FileSessionStore(tmp_path), clock).load(SHARD, intents=3) is not None
    assert not caplog.records


@pytest.mark.asyncio
async def test_what_a_process_left_that_was_killed_while_it_wrote_is_cleared_away(tmp_path: Path, clock: Clock) -> None:
    def files() -> list[Path]:
        return sorted((tmp_path / "gateway").iterdir())

    await keep(FileSessionStore(tmp_path), clock)
    (path,) = await asyncio.to_thread(files)
    await asyncio.to_thread(path.with_name(f".{path.name}-x1y2").write_text, '{"session')
    async with keeper(FileSessionStore(tmp_path), clock).open() as next_one:
        assert await next_one.claim(SHARD)
        assert await next_one.load(SHARD, intents=3) is not None
    assert await asyncio.to_thread(files) == [path, path.with_suffix(".lock")]


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_used_is_said_once_and_stops_nothing(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    await asyncio.to_thread(blocked.touch)
    async with keeper(FileSessionStore(blocked), clock).open() as writer:
        assert await writer.claim(SHARD)
        writer.watch(SHARD, lambda: ("S", 1, 3, 0))
        writer.changed(SHARD)
        await asyncio.sleep(0.05)
        writer.changed(SHARD)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "a restart may lose events" in lines[0]


def test_progress_is_what_is_done_without_a_gap() -> None:
    progress = Progress(10)
    for seq in (11, 12, 13):
        assert progress.begin(seq)
    assert not progress.begin(12)
    assert progress.seq == 10
    progress.finish(12)
    assert progress.seq == 10
    progress.finish(11)
    assert progress.seq == 12
    progress.finish(13)
    progress.finish(13)
    assert progress.seq == 13


@given(st.data())
def test_progress_never_claims_what_is_still_in_work(data: Any) -> None:
    progress, open_ones, begun = Progress(0), set[int](), 0
    for _ in range(data.draw(st.integers(1, 40))):
        if open_ones and data.draw(st.booleans()):
            done = data.draw(st.sampled_from(sorted(open_ones)))
            open_ones.remove(done)
            progress.finish(done)
        else:
            begun += data.draw(st.integers(1, 3))
            open_ones.add(begun)
            assert progress.begin(begun)
        assert progress.seq == (min(open_ones) - 1 if open_ones else begun)
