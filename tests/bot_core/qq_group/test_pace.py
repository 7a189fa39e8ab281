"""Holding calls back: only where and while the platform asks for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot_core.chain import Chain
from bot_core.errors import OpenAPIError, RateLimitedError
from bot_core.openapi.pace import Pace, Pacer, Rate, Rates
from bot_core.sandbox import Sandbox, SandboxOptions
from bot_core.sandbox._option_groups import LimitOptions
from tests.bot_core.qq_group.sending_kit import Kit, Time, send, text

pytestmark = pytest.mark.asyncio

G1, G2 = "/v2/groups/G1/messages", "/v2/groups/G2/messages"
U1 = "/v2/users/U1/messages"
TEN = Rates(messages=Rate(10, 10), files=Rate(10, 10), slow=Rate(1, 1), chat=Rate(1, 1), unasked=Rate(2, 2))
TOO_FAST = OpenAPIError("", status=429)
CHAT_FULL = OpenAPIError("", status=400, code=20028)
UNASKED = OpenAPIError("", status=400, code=40034100)


def pacer(time: Time, pace: Pace = "adaptive") -> Pacer:
    return Pacer(pace, rates=TEN, clock=time.clock, sleep=time.sleep)


async def cost(pacer: Pacer, time: Time, calls: int, path: str = G1, *, unasked: bool = False) -> float:
    """Return how many seconds so many calls take."""
    began = time.now
    for _ in range(calls):
        if pacer.holds:
            await pacer.turn("POST", path, unasked=unasked)
    return round(time.now - began, 3)


async def test_nothing_is_held_back_until_the_platform_asks_for_it() -> None:
    time = Time()
    pace = pacer(time)
    assert not pace.holds
    assert await cost(pace, time, 1000) == 0
    pace.note("POST", G1, OpenAPIError("", status=400, code=40054010))
    pace.note("POST", G1, OpenAPIError("", status=500))
    assert not pace.holds


@pytest.mark.parametrize("code", [None, 40023001, 50002])
async def test_then_that_route_goes_at_its_documented_rate_and_others_go_on(code: int | None) -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, OpenAPIError("", status=429 if code is None else 400, code=code))
    assert await cost(pace, time, 20) == 2.0
    assert await cost(pace, time, 20, G2) == 2.0  # the same route
    assert await cost(pace, time, 20, U1) == 0
    assert await cost(pace, time, 20, "/v2/groups/G1/files") == 0


async def test_where_the_code_is_the_chats_only_that_chat_is_held_back() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, CHAT_FULL)
    assert await cost(pace, time, 3) == 3.0
    assert await cost(pace, time, 100, G2) == 0


async def test_where_the_code_is_about_unasked_messages_replies_go_on() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, UNASKED, unasked=True)
    assert await cost(pace, time, 3, unasked=True) == 3.0
    assert await cost(pace, time, 100) == 0
    assert await cost(pace, time, 100, G2, unasked=True) == 0


async def test_after_a_quiet_minute_it_is_over() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, TOO_FAST)
    assert await cost(pace, time, 10) == 1.0
    time.now += 60
    assert await cost(pace, time, 100) == 0
    assert not pace.holds


async def test_what_is_still_too_fast_is_halved_and_widened_again_by_quiet_minutes() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, TOO_FAST)
    pace.note("POST", G1, TOO_FAST)  # under way together with the first: one sign
    assert await cost(pace, time, 10) == 1.0
    for _ in range(2):
        time.now += 2
        pace.note("POST", G1, TOO_FAST)
    assert await cost(pace, time, 10) == 4.0
    time.now += 60
    assert await cost(pace, time, 20) <= 2.0  # ten were saved up, the other ten at half the rate
    time.now += 60
    await cost(pace, time, 1)
    time.now += 60
    await cost(pace, time, 1)
    assert not pace.holds


async def test_documented_paces_from_the_start_with_bursts() -> None:
    time = Time()
    pace = pacer(time, "documented")
    assert pace.holds
    assert await cost(pace, time, 10) == 0
    assert await cost(pace, time, 10) == 1.0
    time.now += 100
    assert await cost(pace, time, 2, unasked=True) == 1.0  # one a second to one chat
    assert await cost(pace, time, 1, "/v2/groups/G1/messages/M1") == 0
    assert pace.holds


async def test_never_means_never() -> None:
    time = Time()
    pace = pacer(time, None)
    pace.note("POST", G1, TOO_FAST)
    assert not pace.holds


async def test_replies_overtake_unasked_messages_without_starving_them() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, TOO_FAST)
    order: list[str] = []

    async def call(name: str, *, unasked: bool) -> None:
        await pace.turn("POST", G1, unasked=unasked)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(call(f"unasked {number}", unasked=True))
        for number in range(10):
            tasks.create_task(call(f"reply {number}", unasked=False))
    assert [name for name in order if name.startswith("reply")] == [f"reply {number}" for number in range(10)]
    assert [name for name in order if name.startswith("unasked")] == [f"unasked {number}" for number in range(3)]
    assert order.index("unasked 0") == 4
    assert order.index("unasked 1") == 9
    assert order[-1] == "unasked 2"


async def test_whoever_gives_up_leaves_his_place_and_his_token_to_the_others() -> None:
    time = Time()
    pace = pacer(time)
    pace.note("POST", G1, TOO_FAST)
    tasks = [asyncio.create_task(pace.turn("POST", G1)) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks[:3]:  # the one who sleeps for all is among them
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError] * 3 + [type(None)] * 3
    assert await cost(pace, time, 1) <= 0.1


async def test_whose_turn_does_not_come_in_time_is_told() -> None:
    real = Pacer("adaptive", rates=Rates(messages=Rate(0.01, 1)))
    real.note("POST", G1, TOO_FAST)
    with pytest.raises(RateLimitedError, match=r"was not sent: .*its turn did not come within 0\.02 s"):
        await real.turn("POST", G1, patience=0.02)


async def test_many_chats_do_not_fill_the_memory() -> None:
    time = Time()
    pace = pacer(time, "documented")
    for number in range(10_000):
        await pace.turn("POST", f"/v2/groups/G{number}/messages", unasked=True)
        time.now += 10
    assert len(pace._buckets) <= 4097


async def test_a_bot_that_is_told_so_slows_down_for_that_chat_only(sandbox: Sandbox, tmp_path: Path) -> None:
    kit = Kit(sandbox, tmp_path)
    async with kit.start() as bot:
        _, slow = await kit.hear(bot, group="slow")
        _, quick = await kit.hear(bot, group="quick")
        sandbox.faults.answer("messages", status=400, code=20028)
        [handle] = await send(bot, text(slow))
        assert handle.attempts == 2
        assert sum(kit.time.slept) >= 3  # 20 a minute
        kit.time.slept.clear()
        await send(bot, text(quick))
        assert not kit.time.slept
        await send(bot, text(slow))
        assert sum(kit.time.slept) >= 2.9


async def test_too_many_tokens_asked_for_hold_no_message_back(sandbox: Sandbox, tmp_path: Path) -> None:
    kit = Kit(sandbox, tmp_path)
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        sandbox.revoke_tokens()
        sandbox.faults.answer("token", status=200, code=100001)
        [handle] = await send(bot, text(data))
        assert handle.attempts == 2
        assert not bot.adapter.api._pacer.holds


async def test_unasked_messages_that_are_too_many_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    kit = Kit(sandbox, tmp_path)
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        sandbox.faults.answer("messages", status=400, code=40034100)
        await bot.adapter.send_message(Chain().text("one"), channel_id=data.channel_openid)
        await bot.adapter.send_message(Chain().text("two"), channel_id=data.channel_openid)
        assert sum(kit.time.slept) >= 5.9
        kit.time.slept.clear()
        await send(bot, text(data))
        assert not kit.time.slept
    assert [one.content for one in sandbox.arrived] == ["one", "two", "hello"]


async def test_a_token_that_was_given_to_one_who_gave_up_meanwhile_is_not_lost() -> None:
    time = Time()
    reply: asyncio.Task[None] | None = None

    async def sleep(seconds: float) -> None:
        time.now += seconds
        time.slept.append(seconds)
        if len(time.slept) == 2 and reply is not None:
            reply.cancel()  # its turn has come, and it has not heard of it yet
        await asyncio.sleep(0)

    pace = Pacer("adaptive", rates=TEN, clock=time.clock, sleep=sleep)
    pace.note("POST", G1, TOO_FAST)
    unasked = asyncio.create_task(pace.turn("POST", G1, unasked=True))
    reply = asyncio.create_task(pace.turn("POST", G1))
    assert [type(one) for one in await asyncio.gather(unasked, reply, return_exceptions=True)] == [
        type(None),
        asyncio.CancelledError,
    ]
    assert await cost(pace, time, 1) == 0


@pytest.mark.parametrize("pace", ["documented", "adaptive"])
async def test_unasked_messages_of_some_minutes_keep_within_what_is_documented(tmp_path: Path, pace: Pace) -> None:
    time = Time()
    options = SandboxOptions(limits=LimitOptions.documented(), clock=lambda: time.now)
    async with Sandbox.open(options) as sandbox:
        kit = Kit(sandbox, tmp_path)
        kit.time = time
        adapter = kit.adapter(pace=pace)
        async with adapter.open():
            for number in range(70):
                await adapter.send_message(Chain().text(f"{number}"), channel_id=f"G{number % 2}")
        assert len(sandbox.arrived) == 70
        assert bool(sandbox.refused) == (pace == "adaptive")
        assert time.now - 1000 < 5 * 60
