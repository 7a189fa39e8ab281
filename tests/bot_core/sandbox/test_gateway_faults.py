"""What a bot's author can rehearse about the connection."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import aiohttp
import pytest

from bot_core.sandbox import Fault, FaultMode, Sandbox
from bot_core.sandbox._faults import Faults


async def again(bot: Any, *, seq: int | None = None) -> list[dict[str, Any]]:
    """Connect anew and resume; return what comes until RESUMED."""
    await bot.ws.close()
    await bot.hello()
    await bot.resume(seq=seq)
    frames = [await bot.frame()]
    while frames[-1].get("t") != "RESUMED":
        frames.append(await bot.frame())
    return frames


@pytest.mark.asyncio
async def test_only_so_many_identifies_fit_in_the_window(play: Any, another_bot: Any, clock: Any) -> None:
    async with play(clock=clock, connect=False, max_concurrency=2) as (sandbox, bot):
        for index in (0, 1):
            await bot.connect(shard=[index, 3])
        await bot.hello()
        assert await bot.identify(shard=[2, 3]) == {"op": 9, "d": False}
        async with another_bot(sandbox, "another") as other:
            await other.connect()  # each account has a window of its own
        clock.now += 4.9
        assert await bot.identify(shard=[2, 3]) == {"op": 9, "d": False}
        clock.now += 0.2
        assert (await bot.identify(shard=[2, 3]))["t"] == "READY"


@pytest.mark.asyncio
async def test_a_connection_expires_with_4009_and_its_session_stays(play: Any) -> None:
    async with play(connection_lifetime_seconds=0.05) as (sandbox, bot):
        assert await bot.frame() == {"close": 4009}
        await sandbox.say("missed")
        assert [frame["t"] for frame in await again(bot)] == ["GROUP_AT_MESSAGE_CREATE", "RESUMED"]


@pytest.mark.asyncio
async def test_a_hung_connection_is_silent_and_open_and_what_was_said_is_replayed(play: Any) -> None:
    async with play() as (sandbox, bot):
        assert sandbox.hang_connections() == 1
        said = await sandbox.say("into the void")
        assert said.connected
        await bot.send(1, None)
        with pytest.raises(TimeoutError):
            await bot.frame(timeout=0.05)
        assert not bot.ws.closed
        old, bot.ws = bot.ws, None
        await bot.hello()
        await bot.resume()
        assert (await bot.heard())["content"] == " into the void"
        assert (await bot.frame())["t"] == "RESUMED"
        with pytest.raises(TimeoutError):  # a path that died says nothing of it
            await old.receive(timeout=0.05)
        assert sandbox.drop_connections() == 2  # it can be cut all the same
        assert (await old.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSED


@pytest.mark.asyncio
async def test_a_hung_connection_stays_open_after_the_silence_and_answers_no_ping(play: Any, until: Any) -> None:
    async with play(heartbeat_silence_seconds=0.1) as (sandbox, bot):
        sandbox.hang_connections()
        await bot.ws.ping()
        await until(lambda: not sandbox.bots()[0]["connected"])  # the platform gave it up
        with pytest.raises(TimeoutError):  # neither a pong, nor FIN, nor a reset
            await bot.ws.receive(timeout=0.15)
        assert not bot.ws._response.connection.transport.is_closing()
        assert (sandbox.close_connections(4009), sandbox.ask_to_reconnect(), sandbox.hang_connections()) == (0, 0, 0)
        await sandbox.say("meanwhile")
        bot.ws._response.connection.transport.abort()
        bot.ws = None
        await until(lambda: not sandbox._desks.gateway._sockets)  # nothing is left of it
        await bot.hello()
        await bot.resume()
        assert [(await bot.frame())["t"] for _ in range(2)] == ["GROUP_AT_MESSAGE_CREATE", "RESUMED"]


@pytest.mark.asyncio
async def test_what_is_replayed_comes_twice_if_asked_for(play: Any) -> None:
    async with play() as (sandbox, bot):
        await bot.ws.close()
        await sandbox.say("one")
        await sandbox.say("two")
        sandbox.faults.repeat_events()
        frames = await again(bot)
        assert [frame["s"] for frame in frames] == [2, 2, 3, 4]


@pytest.mark.asyncio
async def test_while_connections_are_refused_nothing_answers(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.refuse_connections(0.2)
        assert await bot.frame() == {"close": 1006}
        refused = []
        async with asyncio.timeout(5):
            while True:
                try:
                    await bot.login()
                    break
                except aiohttp.ClientConnectorError as error:
                    refused.append(error.os_error.errno)
                except aiohttp.ClientConnectionError:  # one that was kept alive was cut
                    pass
                await asyncio.sleep(0.02)
        assert refused
        assert set(refused) == {errno.ECONNREFUSED}
        await sandbox.say("meanwhile")
        await bot.hello()
        await bot.resume()
        assert [(await bot.frame())["t"] for _ in range(2)] == ["GROUP_AT_MESSAGE_CREATE", "RESUMED"]


@pytest.mark.asyncio
async def test_a_sandbox_ends_while_it_refuses_connections() -> None:
    async with Sandbox.open() as sandbox:
        base = sandbox.api_base
        sandbox.refuse_connections(60)
        with pytest.raises(ValueError, match="seconds must be 0 or more"):
            sandbox.refuse_connections(-1)
        await asyncio.sleep(0.05)  # by now it is down
    assert "sandbox away" not in {task.get_name() for task in asyncio.all_tasks()}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(base)


@pytest.mark.asyncio
async def test_a_dead_session_resumes_and_delivers_nothing(play: Any) -> None:
    async with play(identify_window_seconds=0) as (sandbox, bot):
        assert sandbox.kill_sessions() == 1
        await sandbox.say("lost")
        assert [frame["t"] for frame in await again(bot)] == ["RESUMED"]
        await sandbox.say("lost too")
        with pytest.raises(TimeoutError):
            await bot.frame(timeout=0.05)
        await bot.connect()
        await sandbox.say("heard")
        assert (await bot.heard())["content"] == " heard"


@pytest.mark.asyncio
async def test_events_come_twice_or_late(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.repeat_events()
        sandbox.faults.delay_event()
        for text in ("twice", "late", "early", "after"):
            await sandbox.say(text)
        heard = [(await bot.heard())["content"].strip() for _ in range(5)]
        assert heard == ["twice", "twice", "early", "late", "after"]


@pytest.mark.asyncio
async def test_an_event_that_was_late_when_the_connection_ended_is_replayed_once(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.delay_event()
        await sandbox.say("late")
        frames = await again(bot)
        assert [frame["t"] for frame in frames] == ["GROUP_AT_MESSAGE_CREATE", "RESUMED"]
        await sandbox.say("next")
        assert (await bot.heard())["content"] == " next"


@pytest.mark.asyncio
async def test_hello_is_late_or_never_comes(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.login()
        sandbox.faults.stall("hello", seconds=0.05)
        began = asyncio.get_running_loop().time()
        assert (await bot.hello())["op"] == 10
        assert asyncio.get_running_loop().time() - began >= 0.05
        sandbox.faults.cut("hello")
        assert await bot.hello() == {"close": 1006}


@pytest.mark.asyncio
async def test_a_heartbeat_is_not_answered(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.lose_answer("heartbeat")
        await bot.send(1, None)
        await bot.send(1, None)
        assert await bot.frame() == {"op": 11}
        with pytest.raises(TimeoutError):
            await bot.frame(timeout=0.05)


@pytest.mark.asyncio
async def test_any_frame_can_be_sent(play: Any) -> None:
    async with play() as (sandbox, bot):
        assert sandbox.send_frame('{"op":77,"d":{}}') == 1
        assert await bot.frame() == {"op": 77, "d": {}}


@pytest.mark.asyncio
@pytest.mark.parametrize(("action", "more"), [("hang", {}), ("kill", {}), ("end", {}), ("frame", {"text": "{}"})])
async def test_the_control_api_has_them_too(play: Any, action: str, more: dict[str, str]) -> None:
    async with play() as (_, bot):
        where = f"{bot.sandbox.api_base}/sandbox/connections"
        async with bot.http.post(where, json={"action": action, **more}) as response:
            assert (response.status, await response.json()) == (200, {"connections": 1})


@pytest.mark.asyncio
async def test_the_control_api_comes_back_as_well(play: Any) -> None:
    async with play() as (sandbox, bot):
        where = f"{sandbox.api_base}/sandbox/connections"
        async with bot.http.post(where, json={"action": "refuse", "seconds": 0.05}) as response:
            assert (response.status, await response.json()) == (200, {})
        assert await bot.frame() == {"close": 1006}
        async with asyncio.timeout(5):
            while True:
                try:
                    async with bot.http.get(f"{sandbox.api_base}/sandbox/state") as response:
                        assert response.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("event", FaultMode.CUT), ("hello", FaultMode.ANSWER), ("identify", FaultMode.LATE), ("files", FaultMode.REPEAT)],
)
def test_what_cannot_happen_is_refused(kind: str, mode: FaultMode) -> None:
    with pytest.raises(ValueError, match="is not something that can happen to"):
        Faults().add(kind, Fault(mode=mode))


@pytest.mark.parametrize(
    ("kind", "fault", "why"),
    [
        ("identify", {"mode": FaultMode.CLOSE}, "3000 to 65535"),
        ("resume", {"mode": FaultMode.CLOSE, "code": 70_000}, "code must be a close code: 3000 to 65535"),
        ("me", {"mode": FaultMode.ANSWER, "status": 42}, "status must be an HTTP status from 200 to 599, got 42"),
        ("me", {"mode": FaultMode.STALL, "seconds": -1}, "seconds must be 0 or more, got -1"),
        ("me", {"mode": FaultMode.CUT, "times": 1.5}, "times must be at least 1, got 1.5"),
        ("websocket", {"mode": FaultMode.FAIL_AFTER}, "there are answer, stall, cut"),
    ],
)
def test_values_that_would_break_later_are_refused_now(kind: str, fault: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Faults().add(kind, Fault(**fault))


@pytest.mark.asyncio
async def test_connections_are_closed_with_codes_that_can_be_sent(play: Any) -> None:
    async with play() as (sandbox, bot):
        for code in (0, 999, 1004, 1015, 2000, 65536, 99999):
            with pytest.raises(ValueError, match=f"got {code}"):
                sandbox.close_connections(code)
        for code in (1000, 1005, 1006, 4001, 4915, 9005):
            assert sandbox.close_connections(code) == 1
            # aiohttp does not tell a frame without a code from one with 1000
            assert await bot.frame() == {"close": 1000 if code == 1005 else code}
            await bot.hello()
            await bot.resume()
            assert (await bot.frame())["t"] == "RESUMED"


@pytest.mark.asyncio
async def test_one_shard_can_be_meant(play: Any, another_bot: Any) -> None:
    async with play(connect=False, max_concurrency=2) as (sandbox, first), another_bot(sandbox, first.appid) as second:
        await first.connect(shard=[0, 2])
        await second.connect(shard=[1, 2])
        where = f"{sandbox.api_base}/sandbox/connections"
        async with first.http.post(where, json={"action": "reconnect", "shard": 1}) as response:
            assert await response.json() == {"connections": 1}
        assert await second.frame() == {"op": 7}
        assert (sandbox.kill_sessions(shard=0), sandbox.end_sessions(shard=0)) == (1, 1)
        assert sandbox.send_frame('{"op":77}', shard=1) == 1
        assert await second.frame() == {"op": 77}
        assert sandbox.close_connections(4009, shard=1) == 1
        assert await second.frame() == {"close": 4009}
        with pytest.raises(TimeoutError):
            await first.frame(timeout=0.05)
        assert sandbox.drop_connections(shard=2) == 0
