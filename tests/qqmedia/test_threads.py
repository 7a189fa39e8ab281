"""What all accounts of a process share: threads, without one account's fault reaching another."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from qqmedia import MediaHost, MediaKind, QQMediaError, open_host
from qqmedia._pool import Pool
from qqmedia.testing import make_content
from qqmedia.threads import Threads
from tests.waiting import until

MakeThreads: TypeAlias = Callable[..., Threads]
# Hashed in a thread.
LARGE = make_content(400_000)


class ClosedError(Exception):
    pass


class FailedError(Exception):
    pass


class Gated(io.RawIOBase):
    """A file on a disk that does not answer before the gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate
        self.asked = threading.Event()
        self._left = 10

    def read(self, size: int = -1, /) -> bytes:
        self.asked.set()
        assert self.gate.wait(30)
        given, self._left = self._left, 0
        return b"-" * given


@pytest_asyncio.fixture
async def gate() -> AsyncIterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def gates() -> Iterator[list[threading.Event]]:
    gates = [threading.Event() for _ in range(3)]
    yield gates
    for gate in gates:
        gate.set()


@pytest.fixture
def threads_for() -> Iterator[MakeThreads]:
    """Makes users of the threads; also a test that fails leaves none."""
    made: list[Threads] = []

    def make(most: int, pool: Pool | None = None) -> Threads:
        made.append(Threads(most))
        if pool is not None:
            made[-1]._pool = pool
        return made[-1]

    yield make
    for threads in made:
        threads.close(ClosedError)


def alive() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("qqmedia-")}


async def nothing_of(before: set[threading.Thread]) -> None:
    await until(lambda: not alive() - before)


async def prepared(host: MediaHost, source: Any) -> str:
    async with host.prepare(MediaKind.FILE, source) as upload:
        return upload.sha256


# --- hosts


@pytest.mark.asyncio
async def test_hosts_have_as_many_threads_as_are_busy_and_none_when_the_last_is_closed(tmp_path: Path) -> None:
    before = alive()
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(open_host("direct", state_dir=tmp_path)) for _ in range(20)]
        for number, host in enumerate(hosts):
            await prepared(host, LARGE + bytes([number]))
        assert 1 <= len(alive() - before) <= 2
    await nothing_of(before)


@pytest.mark.asyncio
async def test_the_server_of_local_uses_them_no_longer_than_it_runs(tmp_path: Path) -> None:
    before = alive()
    async with (
        open_host("local", port=0, resource_path=tmp_path / "resource", state_dir=tmp_path) as host,
        host.prepare(MediaKind.FILE, LARGE) as upload,
    ):
        await host.publish(upload)
    await nothing_of(before)


@pytest.mark.asyncio
async def test_a_host_whose_disk_hangs_delays_no_other_and_closing_it_touches_none(
    tmp_path: Path, gate: threading.Event
) -> None:
    before = alive()
    files = [Gated(gate) for _ in range(12)]  # twice as many as one host has in work
    async with open_host("direct", state_dir=tmp_path) as other:
        async with open_host("direct", state_dir=tmp_path) as hung:
            hanging = [asyncio.create_task(prepared(hung, file), name="hanging") for file in files]
            await until(lambda: sum(file.asked.is_set() for file in files) == 6)
            async with asyncio.timeout(5):
                digests = await asyncio.gather(*(prepared(other, LARGE + bytes([n])) for n in range(12)))
            assert len(set(digests)) == 12
            assert not any(task.done() for task in hanging)
        async with asyncio.timeout(5):
            assert await prepared(other, LARGE + b"after") not in digests
            refused = [task for task in hanging if task in (await asyncio.wait(hanging, timeout=0.01))[0]]
        assert {type(task.exception()) for task in refused} == {QQMediaError}
        assert len(refused) == 6, "what waited for its turn is told; what hangs is left to its disk"
        gate.set()
        await asyncio.wait(hanging)
        assert await prepared(other, LARGE + b"last")
    await nothing_of(before)


@pytest.mark.asyncio
async def test_event_loops_in_several_threads_share_them_too(tmp_path: Path) -> None:
    before = alive()

    async def account(number: int) -> str:
        async with open_host("direct", state_dir=tmp_path) as host:
            return [await prepared(host, LARGE + bytes([number, n])) for n in range(20)][-1]

    work = [asyncio.to_thread(lambda n=n: asyncio.run(account(n))) for n in range(4)]  # type: ignore[misc]
    assert len(set(await asyncio.gather(*work))) == 4
    await nothing_of(before)


# --- what each user has


@pytest.mark.asyncio
async def test_no_more_of_one_user_run_at_once_than_it_may_have(
    threads_for: MakeThreads, gate: threading.Event
) -> None:
    threads, begun = threads_for(3), []

    def call(number: int) -> int:
        begun.append(number)
        gate.wait(30)
        return number

    calls = [threads.start(call, number) for number in range(10)]
    await until(lambda: len(begun) == 3)
    await asyncio.sleep(0.02)
    assert sorted(begun) == [0, 1, 2]
    gate.set()
    assert await asyncio.gather(*calls) == list(range(10))
    assert sorted(begun) == list(range(10))


@pytest.mark.asyncio
async def test_under_a_ceiling_for_all_everybody_has_one_call(threads_for: MakeThreads, gate: threading.Event) -> None:
    before, pool = alive(), Pool("qqmedia-test", ceiling=3)
    users = [threads_for(3, pool) for _ in range(5)]
    begun: list[int] = []

    def call(user: int) -> None:
        begun.append(user)
        gate.wait(30)

    calls = [user.start(call, number) for number, user in enumerate(users) for _ in range(4)]
    await until(lambda: len(begun) == 7)
    await asyncio.sleep(0.02)
    assert sorted(begun) == [0, 0, 0, 1, 2, 3, 4], "the first found nobody, the others found the ceiling"
    gate.set()
    await asyncio.gather(*calls)
    assert len(alive() - before) == 7
    for user in users:
        user.close(ClosedError)
    await nothing_of(before)


@pytest.mark.asyncio
async def test_what_waits_under_the_ceiling_goes_on_where_another_ends(threads_for: MakeThreads) -> None:
    """Also where nothing of its own ends: else a place would stay empty."""
    pool, gates = Pool("qqmedia-test", ceiling=2), [threading.Event() for _ in range(3)]
    first, second = threads_for(2, pool), threads_for(2, pool)
    held = [user.start(gate.wait, 30) for user, gate in zip((first, first, second), gates, strict=True)]
    waits = second.start(lambda: "its turn")
    gates[0].set()
    await held[0]
    await asyncio.sleep(0.02)
    assert not waits.done(), "two others run"
    gates[1].set()
    assert await asyncio.wait_for(waits, 5) == "its turn"
    assert not held[2].done()
    gates[2].set()
    await asyncio.gather(*held)


@pytest.mark.asyncio
async def test_what_is_cancelled_before_its_turn_never_begins_and_is_let_go(
    threads_for: MakeThreads, gate: threading.Event
) -> None:
    class Content:
        pass

    begun: list[object] = []
    threads = threads_for(1)
    hanging = threads.start(gate.wait, 30)
    contents = [Content(), Content()]
    kept = [weakref.ref(content) for content in contents]
    waiting = threads.start(begun.append, contents[0])
    anywhere = threads.submit(begun.append, contents[1])
    waiting.cancel()
    anywhere.cancel()
    contents.clear()
    await asyncio.sleep(0)
    assert [one() for one in kept] == [None, None], "it is held for as long as another call hangs"
    gate.set()
    await hanging
    assert await threads.start(lambda: begun) == []


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_who_has_given_up_under_a_ceiling_is_not_asked_for_more(
    threads_for: MakeThreads, gates: list[threading.Event], how: str
) -> None:
    pool = Pool("qqmedia-test", ceiling=2)
    first, second, third = (threads_for(2, pool) for _ in range(3))
    held = [user.submit(gate.wait, 30) for user, gate in zip((first, second, third), gates, strict=True)]
    waiting, waits = second.submit(lambda: 1), third.submit(lambda: 2)
    if how == "closed":
        second.close(ClosedError)
    else:
        assert waiting.cancel()
    for call, gate in zip(held[:2], gates, strict=False):
        gate.set()
        assert call.result(5)
    assert waits.result(5) == 2, "the thread that was free looked at who has nothing"
    gates[2].set()
    assert held[2].result(5)


def test_what_is_cancelled_is_over_for_who_waits_in_a_thread_too(
    threads_for: MakeThreads, gate: threading.Event
) -> None:
    threads = threads_for(1)
    hanging, waiting = threads.submit(gate.wait, 30), threads.submit(lambda: 1)
    assert waiting.cancel()
    assert waiting.cancel(), "twice is harmless"
    assert wait([waiting], timeout=5).done == {waiting}
    gate.set()
    assert hanging.result(5)


@pytest.mark.asyncio
async def test_what_is_cancelled_as_its_thread_wakes_up_does_not_begin(threads_for: MakeThreads) -> None:
    threads, begun = threads_for(1), threading.Event()
    await threads.start(lambda: None)
    threads.start(begun.set).cancel()
    await threads.start(lambda: None)
    assert not begun.is_set()


@pytest.mark.asyncio
async def test_closing_refuses_what_has_not_begun_and_lets_the_rest_end(
    threads_for: MakeThreads, gate: threading.Event
) -> None:
    before, threads = alive(), threads_for(1)
    running, waiting, anywhere = (
        threads.start(lambda: gate.wait(30)), threads.start(lambda: 1), threads.submit(lambda: 1)
    )  # fmt: skip
    threads.close(ClosedError)
    threads.close(ZeroDivisionError)
    for refused in (waiting, asyncio.wrap_future(anywhere)):
        with pytest.raises(ClosedError):
            await refused
    with pytest.raises(ClosedError):
        threads.start(lambda: 1)
    with pytest.raises(ClosedError):
        threads.submit(lambda: 1)
    gate.set()
    assert await running is True
    await nothing_of(before)


@pytest.mark.asyncio
async def test_what_was_never_used_can_be_closed(threads_for: MakeThreads) -> None:
    threads, other = threads_for(1), threads_for(1)
    await other.start(lambda: 1)
    threads.close(ClosedError)
    with pytest.raises(ClosedError):
        threads.start(lambda: 1)
    assert await other.start(lambda: 2) == 2


def test_no_calls_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0"):
        Threads(0)


@pytest.mark.asyncio
async def test_the_ceiling_holds_after_calls_that_had_to_wait(threads_for: MakeThreads, gate: threading.Event) -> None:
    threads, begun = threads_for(3, Pool("qqmedia-test", ceiling=2)), []
    await asyncio.gather(*(threads.start(time.sleep, 0.001) for _ in range(10)))

    def call() -> None:
        begun.append(1)
        gate.wait(30)

    calls = [threads.start(call) for _ in range(3)]
    await until(lambda: len(begun) == 2)
    await asyncio.sleep(0.02)
    assert len(begun) == 2
    gate.set()
    await asyncio.gather(*calls)


# --- results and failures


@pytest.mark.asyncio
async def test_what_comes_of_a_call_that_was_cancelled_is_thrown_away_in_silence(
    threads_for: MakeThreads, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    threads, begun = threads_for(1), threading.Event()

    def call() -> None:
        begun.set()
        gate.wait(30)
        raise FailedError

    running = threads.start(call)
    await until(begun.is_set)
    running.cancel()
    gate.set()
    await threads.start(lambda: None)
    await asyncio.sleep(0)
    assert not caplog.records


def test_who_keeps_a_future_for_its_result_keeps_nothing_else(threads_for: MakeThreads) -> None:
    class Content:
        pass

    threads, content = threads_for(1), Content()
    kept, call = weakref.ref(content), threads.submit(lambda _: 7, content)
    del content
    assert call.result(5) == 7
    threads.submit(lambda: None).result(5)  # the thread has let go of the one before
    assert kept() is None


@pytest.mark.asyncio
async def test_an_error_is_raised_where_the_result_is_waited_for_and_leaves_no_cycle(threads_for: MakeThreads) -> None:
    threads = threads_for(1)

    def fail() -> None:
        raise FailedError

    async def caught(call: Callable[[], Awaitable[None]]) -> weakref.ref[FailedError]:
        try:
            await call()
        except FailedError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        errors = [
            await caught(lambda: threads.start(fail)),
            await caught(lambda: asyncio.wrap_future(threads.submit(fail))),
        ]
        # Else what its traceback holds, connections say, would stay until the next collection, or the next call.
        await until(lambda: [error() for error in errors] == [None, None])
    finally:
        gc.enable()
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(threads.start(next, iter(())), 5)


def test_what_ends_after_its_event_loop_was_closed_takes_no_thread_with_it(threads_for: MakeThreads) -> None:
    threads, first = threads_for(1), threading.Event()

    async def leave() -> None:
        threads.start(first.wait, 30)

    async def come_back() -> int:
        return await asyncio.wait_for(threads.start(lambda: 7), 5)

    asyncio.run(leave())
    first.set()
    assert asyncio.run(come_back()) == 7


def test_what_a_callback_asks_for_does_not_wait_for_the_callback(threads_for: MakeThreads) -> None:
    threads, gate, came = threads_for(2), threading.Event(), Future[int]()
    call = threads.submit(gate.wait, 30)
    call.add_done_callback(lambda _: came.set_result(threads.submit(lambda: 7).result(5)))
    gate.set()
    assert came.result(10) == 7


def test_what_a_callback_raises_ends_no_thread(threads_for: MakeThreads, caplog: pytest.LogCaptureFixture) -> None:
    threads, gate = threads_for(1), threading.Event()
    call = threads.submit(gate.wait, 30)
    call.add_done_callback(lambda _: sys.exit(1))
    gate.set()
    assert threads.submit(lambda: 7).result(5) == 7
    assert "a callback of" in caplog.text


# --- threads that nobody needs


@pytest.mark.asyncio
async def test_a_thread_that_is_idle_for_long_ends_and_another_is_made_when_needed(threads_for: MakeThreads) -> None:
    before, threads = alive(), threads_for(8, Pool("qqmedia-test", idle_seconds=0.02))
    barrier = threading.Barrier(8)
    await asyncio.gather(*(threads.start(barrier.wait) for _ in range(8)))
    assert len(alive() - before) == 8
    await nothing_of(before)
    assert await threads.start(lambda: 1) == 1


@pytest.mark.asyncio
async def test_a_call_that_comes_when_a_thread_gives_up_waiting_is_not_lost(threads_for: MakeThreads) -> None:
    threads = threads_for(2, Pool("qqmedia-test", idle_seconds=0.001))
    async with asyncio.timeout(20):
        for number in range(100):
            assert await threads.start(lambda n=number: n) == number
            await asyncio.sleep(0.0005)
            until_then = time.perf_counter() + 0.0005 + number % 10 / 5000
            while time.perf_counter() < until_then:
                pass  # the interpreter is ours: the thread wakes up, and cannot say that it goes


# --- the end of the program, children

LINGERING = """
import asyncio, sys, threading, time
from qqmedia.threads import Threads

def clean_up():
    time.sleep(0.2)
    print("cleaned up", flush=True)

async def main():
    threads = Threads(2)
    for call in (clean_up, lambda: threading.Event().wait(300))[:int(sys.argv[1])]:
        threads.start(call)
    await asyncio.sleep(0.01)
    threads.close(RuntimeError)

asyncio.run(main())
"""


@pytest.mark.blocking  # processes of their own are waited for, no event loop is there
def test_the_end_of_the_program_waits_for_what_cleans_up_and_not_for_what_hangs() -> None:
    began = time.perf_counter()
    for calls in "1", "2":
        ended = subprocess.run(
            [sys.executable, "-c", LINGERING, calls], check=True, timeout=30, capture_output=True, text=True
        )
        assert ended.stdout == "cleaned up\n"
        assert ended.stderr == ""
    assert time.perf_counter() - began < 20


HANGING_SDK = """
import atexit, threading, time
began = time.monotonic()
atexit.register(lambda: print(time.monotonic() - began))  # called after what is registered later
from qqmedia.threads import Threads
Threads(1, lingers=False).submit(threading.Event().wait, 300)
began = time.monotonic()
"""


@pytest.mark.blocking  # a process of its own is waited for, no event loop is there
def test_the_end_of_the_program_waits_for_nothing_that_does_not_linger() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING_SDK], check=True, timeout=30, capture_output=True, text=True)
    assert float(ended.stdout) < 1.9


FORKING = """
import asyncio, os, sys, tempfile, warnings
from qqmedia import MediaKind, open_host

async def use():
    async with open_host("direct", state_dir=sys.argv[1]) as host:
        async with host.prepare(MediaKind.FILE, bytes(400_000)) as upload:
            assert upload.size == 400_000
        if sys.argv[2:] != ["forked"]:
            sys.argv.append("forked")
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
            child = os.fork()
            if not child:
                asyncio._set_running_loop(None)
                asyncio.run(asyncio.wait_for(use(), 10))
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

asyncio.run(use())
"""


FORKING_BUSY = """
import os, sys, threading, warnings
from qqmedia.threads import Threads

warnings.simplefilter("ignore", DeprecationWarning)
threads, gate, ran_in = Threads(1, heavy=bool(sys.argv[1:])), threading.Event(), []
calls = [threads.submit(gate.wait, 30), threads.submit(lambda: ran_in.append(os.getpid()))]
child = os.fork()
if not child:
    assert threads.submit(lambda: 7).result(10) == 7
    threads.submit(lambda: None).result(10)
    os._exit(len(ran_in))
assert os.waitpid(child, 0)[1] == 0
gate.set()
for call in calls:
    call.result(10)
assert ran_in == [os.getpid()]
"""


@pytest.mark.blocking  # a process of its own is waited for, no event loop is there
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("heavy", [[], ["heavy"]])
def test_what_was_in_work_when_a_child_was_forked_stays_with_the_parent(heavy: list[str]) -> None:
    subprocess.run([sys.executable, "-c", FORKING_BUSY, *heavy], check=True, timeout=30)


@pytest.mark.blocking  # a process of its own is waited for, no event loop is there
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path)], check=True, timeout=30)
