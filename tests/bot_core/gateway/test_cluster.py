"""The socket loop against a platform that misbehaves, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot_core.errors import AuthenticationError, GatewayError
from bot_core.gateway.actions import Dispatch
from bot_core.gateway.discovery import Discovery
from bot_core.gateway.kept import MemorySessionStore, SessionKeeper
from bot_core.gateway.pacing import IdentifyGate, MemoryPacingStore
from bot_core.gateway.session import GatewaySession, Timings
from bot_core.gateway.shard import Shard
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import GatewayInfo, Intents
from tests.bot_core.gateway.conftest import INTENTS, QUICK, Bot
from tests.fakes.gateway import APPID, SECRET, FakePlatform, Reply


def info(url: str = "ws://a", **limits: Any) -> GatewayInfo:
    known = {"shards": 1, "total": 1500, "remaining": 1500, "reset_after_seconds": 86400, "max_concurrency": 1}
    return GatewayInfo(url=url, **(known | limits))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.asyncio
async def test_identify_ready_dispatch(bot: Bot, platform: FakePlatform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot_core")
    connection = await platform.accept()
    identify = await connection.ready()
    assert identify["d"]["token"] == "QQBot token-1"
    assert identify["d"]["shard"] == [1, 3]
    assert identify["d"]["intents"] == INTENTS
    for seq in range(2, 102):
        await connection.event("X", seq, seq=seq)
    await bot.until(lambda: len(bot.got) == 100)
    assert bot.got == list(range(2, 102))
    assert [event.type for event in bot.events[:2]] == ["READY", "X"]
    assert bot.events[1] == Dispatch("X:2", "X", 2, 2)
    assert bot.online == ["READY"]
    assert len([record for record in caplog.records if record.name == "bot_core.gateway"]) == 1
    assert "token-1" not in caplog.text


@pytest.mark.asyncio
async def test_resume_replays_what_was_missed(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready("S")
    await connection.event("X", "before", seq=2)
    await bot.until(lambda: bot.got == ["before"])
    connection.cut()
    connection = await platform.accept()
    resume = await connection.hello()
    assert resume == {"op": 6, "d": {"token": "QQBot token-1", "session_id": "S", "seq": 2}}
    await connection.event("X", "missed", seq=3)
    await connection.event("RESUMED", "", seq=4)
    await connection.event("X", "after", seq=5)
    await bot.until(lambda: bot.got == ["before", "missed", "after"])
    assert bot.online == ["READY", "RESUMED"]
    assert [call.path for call in platform.calls] == ["/gateway/bot"]


@pytest.mark.asyncio
async def test_op_7_leaves_with_a_close_that_keeps_the_session(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready()
    await connection.send({"op": 7})
    await connection.gone()
    assert connection.close_code == 4000
    assert (await (await platform.accept()).hello())["op"] == 6


@pytest.mark.asyncio
@pytest.mark.parametrize(("data", "op"), [(True, 6), (False, 2)])
async def test_op_9(bot: Bot, platform: FakePlatform, data: bool, op: int) -> None:
    connection = await platform.accept()
    await connection.ready()
    await connection.send({"op": 9, "d": data})
    assert (await (await platform.accept()).hello())["op"] == op


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "op"), [(1000, 6), (4009, 6), (4008, 6), (4567, 6), (4006, 2), (4902, 2), (4014, 2)])
async def test_close_codes_that_pass(bot: Bot, platform: FakePlatform, code: int, op: int) -> None:
    connection = await platform.accept()
    await connection.ready()
    await connection.close(code)
    greeting = await (await platform.accept()).hello()
    assert greeting["op"] == op
    if code == 4014:
        assert greeting["d"]["intents"] == Intents.GROUP_AND_C2C_EVENT


@pytest.mark.asyncio
async def test_4004_takes_another_token(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.hello()
    await connection.close(4004)
    assert (await (await platform.accept()).hello())["d"]["token"] == "QQBot token-2"


@pytest.mark.asyncio
async def test_a_banned_bot_ends(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready()
    await connection.socket.close(code=4915, message=b"since Monday")
    assert bot.task is not None
    with pytest.raises(GatewayError, match=r"banned.*已封禁.*since Monday"):
        await asyncio.wait_for(bot.task, 2)


@pytest.mark.asyncio
async def test_a_close_frame_that_is_read_with_events_loses_none(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready()
    await bot.until(lambda: bot.online == ["READY"])
    bot.gate.clear()
    for seq in range(2, 42):
        await connection.event("X", seq, seq=seq)
    await connection.socket.close(code=4009, drain=False)
    bot.gate.set()
    resume = await (await platform.accept()).hello()
    assert resume["d"]["seq"] == 41
    assert bot.got == list(range(2, 42))


@pytest.mark.asyncio
async def test_a_ping_is_answered(new_bot: Callable[..., Bot], platform: FakePlatform) -> None:
    answers: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()

    async def ping(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.pong(b"nobody asked")
        await socket.ping(b"there?")
        answers.put_nowait(await socket.receive(timeout=5))
        return socket

    app = web.Application()
    app.router.add_get("/", ping)
    async with TestServer(app) as server:
        platform.replies.append(Reply(body={"url": f"ws://127.0.0.1:{server.port}/"}))
        bot = new_bot()
        running = bot.start()
        async with asyncio.timeout(5):
            answer = await answers.get()
        bot.cluster.stop()
        await running
    assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"there?")


@pytest.mark.asyncio
async def test_pings_that_are_read_after_the_cut_lose_neither_the_bot_nor_what_came_behind_them(
    bot: Bot, platform: FakePlatform
) -> None:
    connection = await platform.accept()
    await connection.ready()
    await bot.until(lambda: bot.online == ["READY"])
    bot.gate.clear()
    for seq in range(2, 6):
        await connection.event("X", seq, seq=seq)
        await connection.socket.ping()
    await asyncio.sleep(0.05)  # for the bot to have them, unread
    connection.cut()
    await asyncio.sleep(0.02)
    bot.gate.set()
    resume = await (await platform.accept()).hello()
    assert (resume["op"], resume["d"]["seq"]) == (6, 5)
    assert bot.got == [2, 3, 4, 5]


@pytest.mark.asyncio
async def test_a_fault_of_our_own_is_told_and_the_connection_comes_back(
    new_bot: Callable[..., Bot], platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    broken = False

    def clock() -> float:
        nonlocal broken
        if broken:
            broken = False
            raise ZeroDivisionError
        return time.monotonic()

    bot = new_bot(clock=clock)
    bot.start()
    connection = await platform.accept()
    await connection.ready()
    await bot.until(lambda: bot.online == ["READY"])
    broken = True
    await connection.event("X", 2, seq=2)
    assert (await (await platform.accept()).hello())["op"] == 6
    assert "failed for a reason that nobody expected" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.asyncio
async def test_a_bot_that_is_ended_just_when_its_connection_fails_ends(
    new_bot: Callable[..., Bot], platform: FakePlatform
) -> None:
    shards: list[asyncio.Task[Any]] = []

    def clock() -> float:
        if shards:
            shards.pop().cancel()
            raise ZeroDivisionError
        return time.monotonic()

    bot = new_bot(clock=clock)
    running = bot.start()
    connection = await platform.accept()
    await connection.ready()
    await bot.until(lambda: bot.online == ["READY"])
    shards += [task for task in asyncio.all_tasks() if task.get_name() == f"shard 1/3 of {APPID}"]
    await connection.event("X", 2, seq=2)
    done, _ = await asyncio.wait((running,), timeout=1)
    assert done


@pytest.mark.asyncio
async def test_a_hung_socket_is_noticed(bot: Bot, platform: FakePlatform, caplog: pytest.LogCaptureFixture) -> None:
    connection = await platform.accept()
    await connection.ready(interval=20)
    await bot.until(lambda: len(connection.beats) > 3)
    connection.deaf = True
    assert (await (await platform.accept()).hello())["op"] == 6
    assert connection.beats[-1] == 1
    assert any("the connection is dead; resuming in" in line for line in warnings(caplog))


@pytest.mark.asyncio
async def test_heartbeats_begin_with_hello(new_bot: Callable[..., Bot], platform: FakePlatform) -> None:
    bot = new_bot(timings=Timings(handshake=30))
    bot.start()
    connection = await platform.accept()
    await asyncio.sleep(0.05)  # the client has planned for the handshake's limit by now
    await connection.hello(interval=20)
    await bot.until(lambda: connection.beats == [None] * 3)


@pytest.mark.asyncio
async def test_heartbeats_go_on_while_the_bot_is_busy(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready(interval=20)
    await bot.until(lambda: bot.online == ["READY"])
    bot.gate.clear()
    await connection.event("X", 2, seq=2)
    await asyncio.sleep(0.05)
    before = len(connection.beats)
    await bot.until(lambda: len(connection.beats) > before + 6)
    bot.gate.set()
    await bot.until(lambda: bot.got == [2])
    before = len(connection.beats)
    await bot.until(lambda: len(connection.beats) > before + 4)
    assert platform.connections.empty()


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["Hello", "READY", "RESUMED"])
async def test_a_handshake_that_hangs_is_given_up(
    bot: Bot, platform: FakePlatform, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    connection = await platform.accept()
    if step == "READY":
        await connection.hello()
    if step == "RESUMED":
        await connection.ready()
        connection.cut()
        await (await platform.accept()).hello()
    await (await platform.accept()).hello()
    assert any(f"no {step} within 0.2 s" in line for line in warnings(caplog))


@pytest.mark.asyncio
async def test_a_platform_that_is_not_there_yet(
    http: aiohttp.ClientSession,
    new_bot: Callable[..., Bot],
    platform: FakePlatform,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await platform.__aexit__()
    bot = new_bot()
    task = bot.start()
    await bot.until(lambda: len(warnings(caplog)) >= 3)
    assert not task.done()
    assert all("getAppAccessToken failed" in line and "asking again in 0.0 s" in line for line in warnings(caplog))
    async with FakePlatform(platform.port) as late:
        await (await late.accept()).ready()
        await bot.until(lambda: bot.online == ["READY"])


@pytest.mark.asyncio
async def test_a_wrong_secret_is_fatal_at_once(new_bot: Callable[..., Bot]) -> None:
    started = time.monotonic()
    with pytest.raises(AuthenticationError, match=r"100016.*invalid appid or secret.*check appid and client_secret"):
        await new_bot(secret="wrong").start()
    assert time.monotonic() - started < 1


@pytest.mark.asyncio
async def test_http_answers_instead_of_a_socket_pass(
    new_bot: Callable[..., Bot], platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.token_replies += [Reply(503, "<html>busy</html>"), Reply(200, {"code": 100001, "message": "slow down"})]
    platform.replies += [Reply(503, "<html>busy</html>"), Reply(401, {"code": 11298, "message": "ip"})]
    platform.socket_replies += [Reply(503, "<html>busy</html>"), Reply(200, "<html>hotel</html>")]
    bot = new_bot()
    bot.start()
    await (await platform.accept()).ready()
    await bot.until(lambda: bot.online == ["READY"])
    lines = warnings(caplog)
    assert len(lines) == 6
    assert "HTTP 503" in lines[0]
    assert "slow down" in lines[1]
    assert "/gateway" in lines[2]
    assert "allow-list" in lines[3]
    assert "answered HTTP 503 instead of opening a WebSocket" in lines[4]
    assert all(line.count("\n") == 0 for line in lines)


@pytest.mark.asyncio
async def test_a_gateway_that_refuses_connections_passes(
    new_bot: Callable[..., Bot], platform: FakePlatform, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    platform.replies.append(Reply(body={"url": f"ws://127.0.0.1:{unused_tcp_port}/"}))
    bot = new_bot()
    bot.start()
    await bot.until(lambda: len(warnings(caplog)) >= 3)
    assert "cannot be reached" in warnings(caplog)[2]
    assert [call.path for call in platform.calls] == ["/gateway/bot"]  # not asked again so soon


@pytest.mark.asyncio
async def test_a_cut_tls_handshake_passes_and_is_told_in_words(
    new_bot: Callable[..., Bot], platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        platform.replies.append(Reply(body={"url": f"wss://127.0.0.1:{port}/websocket"}))
        bot = new_bot()
        bot.start()
        await bot.until(lambda: len(warnings(caplog)) >= 2)
    assert f"cannot be reached: 127.0.0.1:{port} cut the connection before it was set up (TLS); " in warnings(caplog)[1]


@pytest.mark.asyncio
async def test_bad_frames_are_survived(bot: Bot, platform: FakePlatform, caplog: pytest.LogCaptureFixture) -> None:
    connection = await platform.accept()
    await connection.ready()
    for frame in ("", "{", "[]", "null", '{"op":"x"}', '{"op":77}', '{"op":0}', '{"op":0,"t":"X","d":"bare"}'):
        await connection.send(frame)
    await connection.socket.send_bytes(b"\xff\xfe")
    await connection.socket.ping()
    await connection.event("X", "good", seq=2)
    await bot.until(lambda: bot.got == ["bare", "good"])
    assert bot.events[1] == Dispatch("", "X", "bare", None)
    no_json = f"shard 1/3 of {APPID}: the gateway sent a frame that is not JSON; ignored, and not said again"
    assert warnings(caplog).count(no_json) == 1


@pytest.mark.asyncio
async def test_an_event_that_cannot_be_handled_is_logged_and_the_next_one_comes(
    bot: Bot, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(dispatch: Dispatch) -> None:
        if dispatch.data == "bad":
            raise KeyError("content")

    bot.fault = fault
    connection = await platform.accept()
    await connection.ready()
    await connection.event("X", "bad", seq=2)
    await connection.event("X", "good", seq=3)
    await bot.until(lambda: bot.got == ["good"])
    assert any("X:2 could not be handled" in line for line in warnings(caplog))


@pytest.mark.asyncio
async def test_stop_is_quick_and_keeps_the_session(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready()
    await bot.until(lambda: bot.online == ["READY"])
    started = time.monotonic()
    bot.cluster.stop()
    assert bot.task is not None
    await bot.task
    await connection.gone()
    assert time.monotonic() - started < 0.3
    assert connection.close_code == 4000


@pytest.mark.asyncio
async def test_restarts_heal_a_session_that_resumes_and_brings_nothing(
    new_bot: Callable[..., Bot], platform: FakePlatform
) -> None:
    store = MemorySessionStore()
    timings = Timings(backoff=(0.01,), identify_gap=0.01, doubt=0.05)
    for number in range(3):
        async with SessionKeeper(store, APPID).open() as keeper:
            bot = new_bot(timings=timings, keeper=keeper)
            task = bot.start()
            connection = await platform.accept()
            if not number:
                await connection.ready()
                await connection.event("X", "before", seq=2)
            else:
                assert (await connection.hello())["op"] == 6
                await connection.event("RESUMED", "", seq=3)
            await bot.until(lambda bot=bot: len(bot.online) == 1)  # type: ignore[misc]
            if number == 2:
                await (await platform.accept()).ready("session-2")
                await bot.until(lambda bot=bot: bot.online == ["RESUMED", "READY"])  # type: ignore[misc]
            bot.cluster.stop()
            await task


@pytest.mark.asyncio
@pytest.mark.parametrize("moment", ["before", "token", "pause", "busy"])
async def test_stop_at_any_moment(new_bot: Callable[..., Bot], platform: FakePlatform, moment: str) -> None:
    bot = new_bot(timings=Timings(backoff=(60,)))
    if moment == "before":
        bot.cluster.stop()
    if moment == "token":
        platform.token_replies.append(Reply(delay=0.9))
    if moment == "pause":
        platform.replies.append(Reply(503, ""))
    task = bot.start()
    if moment == "busy":
        connection = await platform.accept()
        bot.gate.clear()
        await connection.ready()
    await asyncio.sleep(0.05)
    started = time.monotonic()
    bot.cluster.stop()
    bot.cluster.stop()
    await task
    assert time.monotonic() - started < 0.3


@pytest.mark.asyncio
async def test_cancelling_passes_through(bot: Bot, platform: FakePlatform) -> None:
    connection = await platform.accept()
    await connection.ready()
    assert bot.task is not None
    bot.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bot.task
    await connection.gone()
    bot.task = None


@pytest.mark.asyncio
async def test_a_socket_that_never_opens_is_given_up(
    http: aiohttp.ClientSession, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    hung_up = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    asked = 0

    async def ask() -> GatewayInfo:
        nonlocal asked
        asked += 1
        return info(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    async def deliver(_dispatch: Dispatch) -> None:
        raise AssertionError

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
        session = GatewaySession(intents=INTENTS, timings=QUICK)
        discovery = Discovery(ask, ask_again=0)
        gate = IdentifyGate(APPID, MemoryPacingStore(), discovery)
        shard = Shard(http, session, tokens=tokens, discovery=discovery, gate=gate, connect_timeout=0.05)
        running = asyncio.create_task(shard.run(deliver))
        async with asyncio.timeout(2):
            while len(warnings(caplog)) < 2:  # noqa: ASYNC110 - a log line cannot be awaited
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
        await asyncio.wait_for(hung_up.wait(), 1)
    assert "did not open a WebSocket within 0.05 s" in warnings(caplog)[0]
    assert asked >= 2


@pytest.mark.asyncio
@pytest.mark.parametrize("refusal", ["op 9", "a close", "a cut"])
async def test_after_a_refused_identify_the_limit_is_asked_for_anew(
    http: aiohttp.ClientSession, platform: FakePlatform, caplog: pytest.LogCaptureFixture, refusal: str
) -> None:
    url = f"ws://127.0.0.1:{platform.port}/websocket"
    answers = [info(url), info(url, remaining=0)]  # another process used the last ones

    async def ask() -> GatewayInfo:
        return answers.pop(0)

    async def deliver(_dispatch: Dispatch) -> None:
        raise AssertionError

    tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
    discovery = Discovery(ask, ask_again=0)
    gate = IdentifyGate(APPID, MemoryPacingStore(), discovery, window=0.01)
    shard = Shard(http, GatewaySession(intents=INTENTS, timings=QUICK), tokens=tokens, discovery=discovery, gate=gate)
    running = asyncio.create_task(shard.run(deliver))
    connection = await platform.accept()
    await connection.hello()
    if refusal == "op 9":
        await connection.send({"op": 9, "d": False})
    elif refusal == "a close":
        await connection.close(4321)
    else:
        connection.cut()
    async with asyncio.timeout(2):
        while "the platform allows no new session before" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert platform.connections.empty()
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.asyncio
async def test_an_address_at_which_a_connection_lived_is_not_asked_for_again(
    http: aiohttp.ClientSession, platform: FakePlatform
) -> None:
    live = asyncio.Event()
    answers = [info(f"ws://127.0.0.1:{platform.port}/websocket")]

    async def ask() -> GatewayInfo:
        return answers.pop()

    async def deliver(_dispatch: Dispatch) -> None:
        live.set()

    tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
    discovery = Discovery(ask, ask_again=0)
    gate = IdentifyGate(APPID, MemoryPacingStore(), discovery, window=0.01)
    shard = Shard(http, GatewaySession(intents=INTENTS, timings=QUICK), tokens=tokens, discovery=discovery, gate=gate)
    running = asyncio.create_task(shard.run(deliver))
    connection = await platform.accept()
    await connection.ready()
    await live.wait()
    connection.cut()
    assert (await (await platform.accept()).hello())["op"] == 6
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


@pytest.mark.asyncio
async def test_each_identify_gets_a_new_token_and_a_resume_does_not_need_one(
    http: aiohttp.ClientSession, platform: FakePlatform
) -> None:
    now = 0.0

    async def ask() -> GatewayInfo:
        return info(f"ws://127.0.0.1:{platform.port}/websocket")

    async def deliver(_dispatch: Dispatch) -> None:
        pass

    source = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url, clock=lambda: now)
    gate = IdentifyGate(APPID, MemoryPacingStore(), Discovery(ask), window=0.01)
    session = GatewaySession(intents=INTENTS, timings=QUICK)
    shard = Shard(http, session, tokens=source, discovery=Discovery(ask), gate=gate)
    running = asyncio.create_task(shard.run(deliver))
    connection = await platform.accept()
    tokens = [(await connection.ready("S"))["d"]["token"]]
    now += 5
    await connection.send({"op": 7})
    connection = await platform.accept()
    tokens.append((await connection.hello())["d"]["token"])
    await connection.send({"op": 9, "d": False})
    tokens.append((await (await platform.accept()).hello())["d"]["token"])
    running.cancel()
    await asyncio.wait({running})
    assert tokens == ["QQBot token-1", "QQBot token-1", "QQBot token-2"]
