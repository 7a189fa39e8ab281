"""Several shards, kept sessions and the status, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot_core import AmiyaBot, Chain, Message, qq_group
from bot_core.errors import GatewayError
from bot_core.gateway.kept import FileSessionStore, MemorySessionStore, SessionKeeper
from bot_core.gateway.pacing import MemoryPacingStore
from bot_core.gateway.session import Timings
from bot_core.sandbox import Sandbox, SandboxOptions
from bot_core.slots import current_delivery
from tests.bot_core.gateway.conftest import Bot
from tests.fakes.gateway import APPID, FakePlatform

QUICK = Timings(backoff=(0.01, 0.02, 0.03), handshake=0.2, invalid_session=0.03, too_fast=0.03, identify_gap=0.2)

NewBot = Callable[..., Bot]


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is awaited is a value that changes
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_auto_runs_what_the_platform_recommends_one_after_another(
    new_bot: NewBot, platform: FakePlatform
) -> None:
    platform.shards = 3
    bot = new_bot(timings=QUICK, shard_index=0, shards="auto")
    bot.start()
    identified_at, shards = [], []
    for _ in range(3):
        connection = await platform.accept()
        shards.append((await connection.ready(f"S{len(shards)}"))["d"]["shard"])
        identified_at.append(time.monotonic())
    await bot.until(lambda: bot.online == ["READY"] * 3)
    assert shards == [[0, 3], [1, 3], [2, 3]]
    assert all(later - earlier >= 0.15 for earlier, later in itertools.pairwise(identified_at))
    assert [call.path for call in platform.calls] == ["/gateway/bot"]
    assert len(platform.token_calls) == 1


@pytest.mark.asyncio
async def test_max_concurrency_lets_several_in_at_once(new_bot: NewBot, platform: FakePlatform) -> None:
    platform.shards, platform.start_limit["max_concurrency"] = 4, 4
    bot = new_bot(timings=Timings(identify_gap=30), shard_index=0, shards="auto")
    bot.start()
    for _ in range(4):
        await (await platform.accept()).ready()
    await bot.until(lambda: bot.online == ["READY"] * 4)


@pytest.mark.asyncio
async def test_a_shard_is_cut_and_resumes_while_another_waits_for_its_turn(
    new_bot: NewBot, platform: FakePlatform
) -> None:
    platform.shards = 2
    bot = new_bot(timings=Timings(backoff=(0.01,), identify_gap=0.6), shard_index=0, shards="auto")
    bot.start()
    connection = await platform.accept()
    await connection.ready("S")
    await bot.until(lambda: bot.online == ["READY"])
    connection.cut()
    greetings = [await (await platform.accept()).hello() for _ in range(2)]
    assert [greeting["op"] for greeting in greetings] == [6, 2]


@pytest.mark.asyncio
async def test_one_shard_that_is_refused_for_good_ends_all(new_bot: NewBot, platform: FakePlatform) -> None:
    platform.shards, platform.start_limit["max_concurrency"] = 2, 2
    task = new_bot(shard_index=0, shards="auto").start()
    first, second = await platform.accept(), await platform.accept()
    await first.ready("A")
    await second.ready("B")
    await second.close(4914)
    with pytest.raises(GatewayError, match="delisted"):
        await asyncio.wait_for(task, 2)
    await first.gone()


@pytest.mark.asyncio
async def test_two_bots_that_share_a_pacing_store_do_not_identify_together(
    new_bot: NewBot, platform: FakePlatform
) -> None:
    store = MemoryPacingStore()
    bots = [new_bot(timings=QUICK, shard_index=index, shards=2, pacing=store) for index in (0, 1)]
    for bot in bots:
        bot.start()
    moments = []
    for _ in bots:
        await (await platform.accept()).ready()
        moments.append(time.monotonic())
    assert moments[1] - moments[0] >= 0.15
    assert platform.connections.empty()


@pytest.mark.asyncio
async def test_a_refused_identify_waits_and_tries_again(
    new_bot: NewBot, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    bot = new_bot()
    bot.start()
    connection = await platform.accept()
    await connection.hello()
    await connection.send({"op": 9, "d": False})
    await (await platform.accept()).ready()
    await bot.until(lambda: bot.online == ["READY"])
    assert any("the platform refuses the identify (op 9, false)" in record.getMessage() for record in caplog.records)


@pytest.mark.asyncio
async def test_status_tells_how_a_shard_is_doing(new_bot: NewBot, platform: FakePlatform) -> None:
    bot = new_bot()
    assert bot.cluster.shard_status() == ()
    bot.start()
    connection = await platform.accept()
    await connection.ready(interval=20)
    await bot.until(lambda: bot.online == ["READY"])
    await connection.event("X", 1, seq=2)
    await until(lambda: bot.cluster.shard_status()[0].heartbeat_seconds is not None)
    (status,) = bot.cluster.shard_status()
    assert (status.index, status.count, status.state) == (1, 3, "live")
    assert (status.identifies, status.resumes, status.went_down) == (1, 0, "")
    assert status.connected_since is not None
    assert status.last_event is not None
    assert abs(status.last_event.timestamp() - time.time()) < 5
    assert 0 < (status.heartbeat_seconds or 0) < 1
    connection.cut()
    connection = await platform.accept()
    await connection.hello()
    assert bot.cluster.shard_status()[0].connected_since is None
    await connection.event("RESUMED", "", seq=3)
    await bot.until(lambda: bot.online[-1] == "RESUMED")
    (status,) = bot.cluster.shard_status()
    assert (status.identifies, status.resumes) == (1, 1)
    assert "the connection was cut" in status.went_down


@pytest.mark.asyncio
async def test_the_next_process_resumes_where_handlers_had_finished(
    new_bot: NewBot, platform: FakePlatform, tmp_path: Path
) -> None:
    store = FileSessionStore(tmp_path)
    in_work: dict[Any, Any] = {}

    async def deliver(dispatch: Any) -> None:
        delivery = current_delivery.get()
        assert delivery is not None
        if dispatch.type == "X":
            delivery.take()
            in_work[dispatch.data] = delivery

    async with SessionKeeper(store, APPID, write_every=0.01).open() as keeper:
        bot = new_bot(keeper=keeper)
        bot.deliver = deliver  # type: ignore[method-assign]
        bot.start()
        connection = await platform.accept()
        await connection.ready("S")
        for seq in range(2, 7):
            await connection.event("X", seq, seq=seq)
        await until(lambda: len(in_work) == 5)
        for seq in (2, 3, 5):
            in_work[seq].finish()

        async def saved() -> int:
            kept = await keeper.load((1, 3), intents=1 << 25 | 1 << 26)
            return kept.seq if kept else -1

        async with asyncio.timeout(2):
            while await saved() != 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        in_work[4].finish()
        bot.cluster.stop()
        assert bot.task is not None
        await bot.task
    async with SessionKeeper(store, APPID).open() as keeper:
        bot = new_bot(keeper=keeper)
        bot.start()
        resume = await (await platform.accept()).hello()
        assert resume["d"] == {"token": "QQBot token-2", "session_id": "S", "seq": 5}


@pytest.mark.asyncio
async def test_a_session_in_which_nothing_happens_stays_young(
    new_bot: NewBot, platform: FakePlatform, tmp_path: Path
) -> None:
    now = 1e6
    async with SessionKeeper(FileSessionStore(tmp_path), APPID, write_every=0.01, clock=lambda: now).open() as keeper:
        bot = new_bot(keeper=keeper)
        bot.start()
        await (await platform.accept()).ready("S", interval=20)
        await bot.until(lambda: bot.online == ["READY"])

        async def kept() -> None:
            async with asyncio.timeout(2):
                while await keeper.load((1, 3), intents=1 << 25 | 1 << 26) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        await kept()
        now += 1000  # a quiet night; then the process is killed
        await kept()


@pytest.mark.asyncio
async def test_two_copies_of_a_bot_do_not_fight_for_one_session_and_the_second_takes_over(
    new_bot: NewBot, platform: FakePlatform, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        keeper = await stack.enter_async_context(SessionKeeper(FileSessionStore(tmp_path), APPID).open())
        bot = new_bot(keeper=keeper)
        bot.start()
        await (await platform.accept()).ready("S")
        async with SessionKeeper(FileSessionStore(tmp_path), APPID, patience=0.05).open() as other_keeper:
            other = new_bot(keeper=other_keeper)
            other.start()
            connection = await platform.accept()
            assert (await connection.ready("T"))["op"] == 2
            await other.until(lambda: other.online == ["READY"])
            bot.cluster.stop()
            assert bot.task is not None
            await bot.task
            await stack.aclose()  # the first copy has ended: the second keeps its session from now on
            connection.cut()
            connection = await platform.accept()
            assert (await connection.hello())["d"]["session_id"] == "T"
            await connection.event("RESUMED", "", seq=3)
            await other.until(lambda: other.online[-1] == "RESUMED")
        kept = await other_keeper.load((1, 3), intents=1 << 25 | 1 << 26)
        assert kept is not None
        assert (kept.session_id, kept.seq) == ("T", 3)


@pytest.mark.asyncio
async def test_a_refused_resume_of_a_kept_session_costs_one_identify(new_bot: NewBot, platform: FakePlatform) -> None:
    store = MemorySessionStore()
    for round_ in range(2):
        async with SessionKeeper(store, APPID).open() as keeper:
            bot = new_bot(keeper=keeper)
            bot.start()
            connection = await platform.accept()
            if round_ == 1:
                assert (await connection.hello())["op"] == 6
                await connection.send({"op": 9, "d": False})
                connection = await platform.accept()
            await connection.ready("S")
            await bot.until(lambda: bot.online == ["READY"])  # noqa: B023 - awaited in this round
            bot.cluster.stop()
            assert bot.task is not None
            await bot.task


Answer = Callable[[Message], Awaitable[Chain | None]]


def a_bot(handler: Answer, *, appid: str = APPID, **options: Any) -> AmiyaBot:
    bot = AmiyaBot(appid=appid, token="", adapter=qq_group("secret", default_chain_builder="direct", **options))
    bot.on_message(keywords="")(handler)
    return bot


async def echo(data: Message) -> Chain | None:
    return Chain(data, at=False).text("echo")


@pytest.mark.asyncio
async def test_what_was_in_work_or_said_meanwhile_is_answered_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox.open() as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        begun = asyncio.Event()

        async def stuck(data: Message) -> Chain | None:
            begun.set()
            await asyncio.sleep(60)
            return None

        bot = a_bot(stuck, keep_session=True, shutdown_grace=0)
        running = asyncio.create_task(bot.start())
        in_work = await sandbox.say("in work")
        await asyncio.wait_for(begun.wait(), 5)
        await bot.close()
        await running
        meanwhile = await sandbox.say("meanwhile")
        bot = a_bot(echo, keep_session=True)
        running = asyncio.create_task(bot.start())
        for said in (in_work, meanwhile):
            assert [arrived.content for arrived in await sandbox.replies(said)] == ["echo"]
        assert (sandbox.calls["identify"], sandbox.calls["resume"]) == (1, 1)
        await bot.close()
        await running


@pytest.mark.asyncio
async def test_an_answer_that_had_gone_out_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox.open() as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)

        async def answer_and_hang(data: Message) -> Chain | None:
            await data.send(Chain(data, at=False).text("first"))
            await asyncio.sleep(60)
            return None

        async def two_answers(data: Message) -> Chain | None:
            await data.send(Chain(data, at=False).text("first"))
            return Chain(data, at=False).text("second")

        bot = a_bot(answer_and_hang, keep_session=True, shutdown_grace=0)
        running = asyncio.create_task(bot.start())
        said = await sandbox.say("hello")
        await sandbox.replies(said)
        await bot.close()
        await running
        bot = a_bot(two_answers, keep_session=True)
        running = asyncio.create_task(bot.start())
        answers = await sandbox.replies(said, 2)
        assert [arrived.content for arrived in answers] == ["first", "second"]
        assert [refusal.code for refusal in sandbox.refused] == [40054005]
        later = await sandbox.say("later")  # nobody worked on this one
        assert len(await sandbox.replies(later, 2)) == 2
        await bot.close()
        await running


@pytest.mark.asyncio
async def test_health_and_status_of_a_bot(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    async with Sandbox.open(SandboxOptions()) as sandbox, aiohttp.ClientSession() as http:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        gate, begun = asyncio.Event(), asyncio.Event()

        async def slow(data: Message) -> Chain | None:
            begun.set()
            await gate.wait()
            return None

        bot = a_bot(slow, health=f"127.0.0.1:{unused_tcp_port}", max_handlers=1)
        assert not bot.status().healthy
        running = asyncio.create_task(bot.start())
        await sandbox.connected()
        await sandbox.say("one")
        await sandbox.say("two")
        await asyncio.wait_for(begun.wait(), 5)
        url = f"http://127.0.0.1:{unused_tcp_port}"
        await until(lambda: bot.status().events_waiting == 1)
        async with http.get(f"{url}/healthz") as response:
            told = await response.json()
            assert response.status == 200
        assert told["healthy"] is True
        assert (told["appid"], told["handlers_running"], told["events_waiting"]) == (APPID, 1, 1)
        assert told["shards"][0]["state"] == "live"
        async with http.get(f"{url}/") as response:
            assert response.status == 404
        sandbox.faults.answer("websocket", status=503, times=50)
        sandbox.drop_connections()
        await until(lambda: not bot.status().healthy)
        async with http.get(f"{url}/healthz") as response:
            assert response.status == 503
            assert (await response.json())["shards"][0]["went_down"]
        gate.set()
        await bot.close()
        await running
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/healthz")
