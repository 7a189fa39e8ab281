"""The WebSocket gateway (PLATFORM 4)."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from bot_core.errors import SandboxError


@pytest.mark.asyncio
async def test_hello_identify_ready_and_heartbeats(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.login()
        assert await bot.hello() == {"op": 10, "d": {"heartbeat_interval": 41250}}
        await bot.send(1, None)
        assert await bot.frame() == {"op": 11}
        ready = await bot.identify()
        assert (ready["op"], ready["s"], ready["t"]) == (0, 1, "READY")
        assert ready["d"]["shard"] == [0, 1]
        assert ready["d"]["user"]["bot"] is True
        assert await sandbox.connected() == bot.appid
        _, limits = await bot.call("GET", "/gateway/bot")
        assert limits["session_start_limit"]["remaining"] == 1499
        assert limits["session_start_limit"]["max_concurrency"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("identify", "code"),
    [
        ({"token": "QQBot nonsense"}, 4004),
        ({"shard": [1, 1]}, 4010),
        ({"shard": "0"}, 4010),
        ({"shard": [0, 1]}, 4011),
        ({"intents": 1 << 5}, 4013),
        ({"intents": (1 << 24) | (1 << 25)}, 4014),
    ],
)
async def test_a_bad_identify_closes_with_its_code(play: Any, identify: dict[str, Any], code: int) -> None:
    async with play(connect=False, granted_intents=1 << 25, least_shards=2) as (_, bot):
        await bot.login()
        await bot.hello()
        assert await bot.identify(**{"shard": [0, 2]} | identify) == {"close": code}


@pytest.mark.asyncio
@pytest.mark.parametrize(("text", "code"), [("{", 4002), ("[]", 4002), ('{"op":3}', 4001), ('{"op":2,"d":1}', 4002)])
async def test_a_frame_that_makes_no_sense_closes_with_its_code(play: Any, text: str, code: int) -> None:
    async with play() as (_, bot):
        await bot.ws.send_str(text)
        assert await bot.frame() == {"close": code}


@pytest.mark.asyncio
async def test_what_was_missed_is_replayed_after_a_cut_then_resumed_with_an_empty_string(play: Any, until: Any) -> None:
    async with play() as (sandbox, bot):
        await sandbox.say("one")
        assert (await bot.heard())["content"] == " one"
        sandbox.drop_connections()
        said = [await sandbox.say("two"), await sandbox.say("three")]
        assert not any(entry.connected for entry in said)
        assert "close" in await bot.frame()
        await bot.hello()
        await bot.resume()
        frames = [await bot.frame() for _ in range(3)]
        assert [frame["s"] for frame in frames] == [3, 4, 5]
        assert [frame["d"]["id"] for frame in frames[:2]] == [entry.id for entry in said]
        assert (frames[2]["t"], frames[2]["d"]) == ("RESUMED", "")


@pytest.mark.asyncio
async def test_a_session_that_is_not_known_is_op_9_and_identify_on_the_same_socket_works(play: Any) -> None:
    async with play(identify_window_seconds=0) as (sandbox, bot):
        assert sandbox.end_sessions() == 1
        await bot.ws.close()
        await bot.hello()
        await bot.resume()
        assert await bot.frame() == {"op": 9, "d": False}
        assert (await bot.identify())["t"] == "READY"


@pytest.mark.asyncio
async def test_a_sequence_that_was_never_sent_closes_with_4007(play: Any) -> None:
    async with play() as (_, bot):
        await bot.ws.close()
        await bot.hello()
        await bot.resume(seq=99)
        assert await bot.frame() == {"close": 4007}


@pytest.mark.asyncio
async def test_a_session_of_another_bot_cannot_be_resumed(play: Any, another_bot: Any) -> None:
    async with play() as (sandbox, bot), another_bot(sandbox, "2") as other:
        await other.login()
        await other.hello()
        await other.resume(session_id=bot.session_id, seq=1)
        assert (await other.frame())["op"] == 9


@pytest.mark.asyncio
async def test_a_session_is_over_when_nobody_came_back_in_time(play: Any, until: Any, clock: Any) -> None:
    async with play(clock=clock, resume_window_seconds=300) as (sandbox, bot):
        await bot.ws.close()
        await until(lambda: not sandbox.bots()[0]["connected"])
        clock.now += 301
        await bot.hello()
        await bot.resume()
        assert (await bot.frame())["op"] == 9


@pytest.mark.asyncio
async def test_closes_op_7_and_op_9_on_demand(play: Any) -> None:
    async with play() as (sandbox, bot):
        assert sandbox.ask_to_reconnect() == 1
        assert await bot.frame() == {"op": 7}
        assert sandbox.invalidate_sessions(resumable=True) == 1
        assert await bot.frame() == {"op": 9, "d": True}
        assert sandbox.close_connections(4009) == 1
        assert await bot.frame() == {"close": 4009}


@pytest.mark.asyncio
async def test_a_bot_without_heartbeats_is_closed_with_4009(play: Any) -> None:
    async with play(heartbeat_silence_seconds=0.05) as (_, bot):
        assert await bot.frame() == {"close": 4009}


@pytest.mark.asyncio
async def test_no_identify_is_left_when_the_day_is_used_up(play: Any) -> None:
    async with play(session_start_total=1) as (_, bot):
        await bot.ws.close()
        await bot.hello()
        assert await bot.identify() == {"op": 9, "d": False}


@pytest.mark.asyncio
async def test_events_go_to_shard_0_unless_told_otherwise(play: Any, another_bot: Any) -> None:
    async with play(connect=False, max_concurrency=2) as (sandbox, bot), another_bot(sandbox, bot.appid) as second:
        await bot.connect(shard=[0, 2])
        await second.connect(shard=[1, 2])
        await sandbox.say("zero")
        await sandbox.say("one", shard=1)
        assert (await bot.heard())["content"] == " zero"
        assert (await second.heard())["content"] == " one"


@pytest.mark.asyncio
async def test_say_waits_for_a_bot_and_gives_up_in_time(play: Any) -> None:
    async with play(connect=False, connect_timeout_seconds=0.05) as (sandbox, _):
        with pytest.raises(SandboxError, match=r"no bot connected .* within 0\.05 s"):
            await sandbox.say("hello")
    async with play(connect=False) as (sandbox, bot):
        saying = asyncio.create_task(sandbox.say("hello"))
        await bot.connect()
        assert (await bot.heard())["id"] == (await saying).id


@pytest.mark.asyncio
async def test_with_several_bots_one_must_be_named_and_openids_differ(play: Any, another_bot: Any) -> None:
    async with play() as (sandbox, bot), another_bot(sandbox, "2") as other:
        await other.connect()
        with pytest.raises(SandboxError, match="several bots"):
            await sandbox.say("hello")
        await sandbox.say("hello", appid="2")
        await sandbox.say("hello", appid=bot.appid)
        ours, theirs = await bot.heard(), await other.heard()
        assert ours["group_openid"] != theirs["group_openid"]
        status, body = await other.post(f"groups/{ours['group_openid']}", msg_type=0, content="x")
        assert (status, body["code"]) == (400, 11255)


@pytest.mark.asyncio
async def test_the_only_connected_bot_is_meant_whoever_went_away(play: Any, another_bot: Any, until: Any) -> None:
    async with play() as (sandbox, bot), another_bot(sandbox, "2") as other:
        await other.connect()
        sandbox.close_connections(4009, appid="2")
        assert await other.frame() == {"close": 4009}
        await until(lambda: sum(one["connected"] for one in sandbox.bots()) == 1)
        assert (await sandbox.say("hello")).appid == bot.appid
        sandbox.close_connections(4009)
        assert (await bot.heard())["content"] == " hello"
        assert await bot.frame() == {"close": 4009}
        await until(lambda: not any(one["connected"] for one in sandbox.bots()))
        with pytest.raises(SandboxError, match=rf"several bots \({bot.appid} \(away\), 2 \(away\)\)"):
            await sandbox.say("hello")


@pytest.mark.asyncio
async def test_the_earlier_of_two_copies_of_a_bot_is_told(play: Any, another_bot: Any) -> None:
    happened: list[Any] = []
    async with play(connect=False, max_concurrency=2) as (sandbox, bot), another_bot(sandbox, bot.appid) as copy:
        stop = sandbox.subscribe(happened.append)
        await bot.connect()
        await copy.connect()
        assert await bot.frame() == {"close": 4010}
        await sandbox.say("hello")
        assert (await copy.heard())["content"] == " hello"
        stop()
        [closed] = [one for one in happened if getattr(one, "state", "") == "closed"]
        assert closed.why == f"4010 another connection is shard 0 of bot {bot.appid} now"
        # A session that is resumed takes the place as well.
        await bot.hello()
        await bot.resume()
        assert (await bot.frame())["t"] == "RESUMED"
        assert await copy.frame() == {"close": 4010}


@pytest.mark.asyncio
async def test_a_bot_that_did_not_ask_for_the_event_is_named(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.connect(intents=1 << 26)
        with pytest.raises(SandboxError, match="1 << 25"):
            await sandbox.say("hello")


@pytest.mark.asyncio
async def test_a_bot_that_reads_nothing_holds_up_nobody(play: Any) -> None:
    async with play() as (sandbox, bot):
        bot.ws._response.connection.transport.pause_reading()
        async with asyncio.timeout(20):
            for _ in range(3000):
                await sandbox.say("x" * 1000)
        bot.ws._response.connection.transport.resume_reading()
        for _ in range(3000):
            last = await bot.frame()
        assert last["s"] == 3001


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("frame", "code"), [('{"op":2,"d":{"token":5,"intents":33554432}}', 4004), ("[" * 100_000, 4002)]
)
async def test_frames_that_are_no_bots_are_closed_with_a_code(play: Any, frame: str, code: int) -> None:
    async with play(connect=False) as (_, bot):
        await bot.login()
        await bot.hello()
        await bot.ws.send_str(frame)
        assert await bot.frame() == {"close": code}


@pytest.mark.asyncio
async def test_an_identify_on_a_connection_that_has_a_session_ends_that_one(play: Any) -> None:
    async with play(identify_window_seconds=0) as (sandbox, bot):
        first = bot.session_id
        assert (await bot.identify())["t"] == "READY"
        assert [one["session_id"] for one in sandbox.bots()] == [bot.session_id]
        assert (await sandbox.say("hi")).connected
        assert (await bot.heard())["content"] == " hi"
        await bot.ws.close()
        await bot.hello()
        await bot.resume(session_id=first, seq=1)
        assert await bot.frame() == {"op": 9, "d": False}


@pytest.mark.asyncio
async def test_a_reason_that_is_too_long_for_a_close_frame_is_cut_between_two_characters(play: Any) -> None:
    async with play(connect=False) as (_, bot):
        await bot.login()
        await bot.hello()
        await bot.ws.send_json({"op": "错" * 100})
        message = await bot.ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)
        assert message.extra.startswith("op 错错")
        assert len(message.extra.encode()) <= 123
