"""Things that go wrong on demand."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from bot_core.sandbox import Fault, FaultMode, Faults


@pytest.mark.asyncio
async def test_the_next_calls_of_a_kind_are_answered_with_an_error(play: Any) -> None:
    async with play() as (sandbox, bot):
        group = f"groups/{sandbox.group_openid()}"
        sandbox.faults.answer("messages", status=500, code=850012, times=2)
        for left in (1, 0):
            status, body = await bot.post(group, msg_type=0, content="x")
            assert (status, body["code"], sandbox.faults.left("messages")) == (500, 850012, left)
        assert (await bot.post(group, msg_type=0, content="x"))[0] == 200
        assert len(sandbox.arrived) == 1
        assert sandbox.calls["messages"] == 3


@pytest.mark.asyncio
async def test_the_proxys_page(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.answer("gateway", status=502, html=True, message="Bad Gateway")
        status, page = await bot.call("GET", "/gateway")
        assert status == 502
        assert "Bad Gateway" in page
        assert (await bot.call("GET", "/gateway"))[0] == 200


@pytest.mark.asyncio
async def test_a_token_fault_comes_under_http_200(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.answer("token", status=200, code=100001, message="too many requests")
        assert await bot.ask_token() == {"code": 100001, "message": "too many requests"}


@pytest.mark.asyncio
@pytest.mark.parametrize("done", [False, True])
async def test_a_cut_connection_with_the_work_done_or_not(play: Any, done: bool) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("hello")
        group = f"groups/{said.target.openid}"
        if done:
            sandbox.faults.lose_answer("messages")
        else:
            sandbox.faults.cut("messages")
        with pytest.raises(aiohttp.ClientConnectionError):
            await bot.post(group, msg_type=0, content="x", msg_id=said.id)
        assert len(sandbox.arrived) == int(done)
        status, body = await bot.post(group, msg_type=0, content="x", msg_id=said.id)
        assert body["code"] == 40054005 if done else status == 200


@pytest.mark.asyncio
async def test_a_call_that_is_late_is_done_all_the_same(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.stall("messages", seconds=0.05)
        started = asyncio.get_running_loop().time()
        assert (await bot.post(f"groups/{sandbox.group_openid()}", msg_type=0, content="x"))[0] == 200
        assert asyncio.get_running_loop().time() - started >= 0.05


@pytest.mark.asyncio
async def test_a_sandbox_ends_at_once_while_a_call_stalls(play: Any, until: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.stall("messages", seconds=60)
        waiting = asyncio.create_task(bot.post(f"groups/{sandbox.group_openid()}", msg_type=0, content="x"))
        await until(lambda: sandbox.calls["messages"] > 0)
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 5
    with pytest.raises(aiohttp.ClientError):
        await waiting


@pytest.mark.asyncio
async def test_a_handshake_identify_and_resume_can_fail(play: Any) -> None:
    async with play(identify_window_seconds=0) as (sandbox, bot):
        await bot.ws.close()
        sandbox.faults.answer("websocket", status=503, html=True)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await bot.hello()
        sandbox.faults.close("resume", code=4902)
        await bot.hello()
        await bot.resume()
        assert await bot.frame() == {"close": 4902}
        sandbox.faults.invalid_session("identify")
        await bot.hello()
        assert await bot.identify() == {"op": 9, "d": False}
        assert (await bot.identify())["t"] == "READY"


@pytest.mark.asyncio
async def test_faults_follow_each_other_and_can_be_cleared(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.answer("me", status=500)
        sandbox.faults.answer("me", status=429)
        assert [(await bot.call("GET", "/users/@me"))[0] for _ in range(3)] == [500, 429, 200]
        sandbox.faults.answer("me", status=500)
        sandbox.faults.clear()
        assert (await bot.call("GET", "/users/@me"))[0] == 200
        assert not sandbox.faults


@pytest.mark.asyncio
async def test_a_fault_that_makes_no_sense_is_refused(play: Any) -> None:
    async with play(connect=False) as (sandbox, _):
        with pytest.raises(ValueError, match="no calls of kind 'mesages'"):
            sandbox.faults.cut("mesages")
        with pytest.raises(ValueError, match="not something"):
            sandbox.faults.close("files", code=4009)
        with pytest.raises(ValueError, match="at least 1"):
            sandbox.faults.add("files", Fault(mode=FaultMode.CUT, times=0))


@pytest.mark.asyncio
async def test_some_calls_go_wrong_by_chance_and_the_same_ones_in_every_run(play: Any) -> None:
    runs = []
    for _ in range(2):
        async with play() as (sandbox, bot):
            sandbox.faults.add("me", Fault(mode=FaultMode.ANSWER, status=503, probability=0.3, seed=4))
            runs.append([(await bot.call("GET", "/users/@me"))[0] for _ in range(40)])
            sandbox.faults.clear()
            assert {(await bot.call("GET", "/users/@me"))[0] for _ in range(20)} == {200}
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count(503) <= 20


@pytest.mark.asyncio
async def test_faults_in_a_row_go_before_those_by_chance(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.add("me", Fault(mode=FaultMode.ANSWER, status=503, probability=0.999, seed=1))
        sandbox.faults.answer("me", status=418, times=2)
        assert [(await bot.call("GET", "/users/@me"))[0] for _ in range(3)] == [418, 418, 503]


@pytest.mark.asyncio
async def test_done_and_answered_with_an_error_all_the_same(play: Any) -> None:
    async with play() as (sandbox, bot):
        sandbox.faults.answer("messages", status=502, html=True, done=True)
        status, _ = await bot.post("groups/G", msg_type=0, content="x")
        assert (status, len(sandbox.arrived)) == (502, 1)


@pytest.mark.parametrize("probability", [0, -1, 1.1])
def test_a_probability_that_is_none(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        Faults().add("me", Fault(mode=FaultMode.CUT, probability=probability))
