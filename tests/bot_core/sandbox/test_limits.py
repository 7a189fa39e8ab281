"""How fast and how much: rates, quotas, lengths, audit, and the deadline of buttons (PLATFORM 3.5, 3.8, 8, 11)."""

from __future__ import annotations

from typing import Any

import pytest

from bot_core.sandbox import LimitOptions

INTERACTION = 1 << 26


async def codes(bot: Any, target: str, count: int, **more: Any) -> list[int | None]:
    return [(await bot.post(target, msg_type=0, content=f"{n}", **more))[1].get("code") for n in range(count)]


@pytest.mark.asyncio
async def test_calls_that_come_too_fast_are_429_and_the_bucket_fills_again(play: Any, clock: Any) -> None:
    limits = LimitOptions(calls_per_second={"messages": 2, "me": 0.5})
    async with play(clock=clock, limits=limits) as (_, bot):
        assert await codes(bot, "groups/A", 2) == [None, None]
        status, answer = await bot.post("groups/B", msg_type=0, content="x")
        assert (status, answer["code"]) == (429, 40023001)
        clock.now += 0.5
        assert await codes(bot, "groups/A", 2) == [None, 40023001]
        assert [(await bot.call("GET", "/users/@me"))[0] for _ in range(2)] == [200, 429]
        clock.now += 2
        assert (await bot.call("GET", "/users/@me"))[0] == 200
        assert (await bot.call("GET", "/gateway"))[0] == 200


@pytest.mark.asyncio
async def test_where_the_gateway_is_may_be_asked_twice_a_minute_after_ten_times_at_once(play: Any, clock: Any) -> None:
    async with play(clock=clock, connect=False, limits=LimitOptions.documented()) as (_, bot):
        await bot.login()
        asked = [(await bot.call("GET", path))[0] for path in ("/gateway", "/gateway/bot") * 5 + ("/gateway",)]
        assert asked == [200] * 10 + [429]
        clock.now += 60
        assert [(await bot.call("GET", "/gateway"))[0] for _ in range(3)] == [200, 200, 429]


@pytest.mark.asyncio
async def test_bots_do_not_share_a_bucket(play: Any, clock: Any, another_bot: Any) -> None:
    limits = LimitOptions(calls_per_second={"me": 1})
    async with play(clock=clock, limits=limits) as (sandbox, bot), another_bot(sandbox, "1020000002") as other:
        await other.login()
        assert [(await one.call("GET", "/users/@me"))[0] for one in (bot, other, bot)] == [200, 200, 429]


@pytest.mark.asyncio
async def test_one_chat_can_be_too_fast_while_others_go_on(play: Any, clock: Any) -> None:
    async with play(clock=clock, limits=LimitOptions(chat_messages_per_second=2)) as (_, bot):
        assert await codes(bot, "groups/A", 3) == [None, None, 20028]
        assert await codes(bot, "groups/B", 1) == [None]
        clock.now += 1
        assert await codes(bot, "groups/A", 1) == [None]


@pytest.mark.asyncio
async def test_proactive_messages_have_quotas_and_answers_have_not(play: Any, clock: Any) -> None:
    limits = LimitOptions(proactive_per_minute=4, proactive_per_chat_minute=2, proactive_per_chat_day=3)
    async with play(clock=clock, limits=limits) as (sandbox, bot):
        said = await sandbox.say("hello")
        here = f"groups/{said.target.openid}"
        assert await codes(bot, here, 3) == [None, None, 40034100]
        assert (await bot.post(here, msg_type=0, content="x", msg_id=said.id))[0] == 200
        assert await codes(bot, "groups/B", 3) == [None, None, 40034100]
        assert await codes(bot, "groups/C", 1) == [40034100]  # the bot's four are used up
        clock.now += 60
        assert await codes(bot, here, 2) == [None, 22009]
        clock.now += 86_400
        await bot.login()
        assert await codes(bot, here, 1) == [None]


@pytest.mark.asyncio
async def test_a_file_that_is_sent_at_once_counts_as_proactive(play: Any, png: Any) -> None:
    async with play(limits=LimitOptions(proactive_per_minute=1)) as (sandbox, bot):
        status, answer = await bot.upload("groups/A", png(0), srv_send_msg=True)
        assert (status, answer["id"]) == (200, sandbox.arrived[0].id)
        status, answer = await bot.upload("groups/A", png(0), srv_send_msg=True)
        assert (status, answer["code"]) == (400, 40034100)


def test_the_documented_limits_are_there_for_the_asking() -> None:
    limits = LimitOptions.documented()
    assert (limits.calls_per_second["messages"], limits.calls_per_second["upload_prepare"]) == (100, 10)
    assert (limits.proactive_per_chat_minute, limits.proactive_per_chat_day) == (20, 1000)
    assert LimitOptions().calls_per_second == {}


@pytest.mark.asyncio
async def test_proactive_messages_can_be_switched_off(play: Any, png: Any) -> None:
    async with play(proactive=False) as (sandbox, bot):
        said = await sandbox.say("hello")
        here = f"groups/{said.target.openid}"
        assert await codes(bot, here, 1) == [40034105]
        assert await codes(bot, "users/A", 1) == [40054013]
        assert await codes(bot, here, 1, msg_id=said.id) == [None]
        assert (await bot.upload(here, png(0), srv_send_msg=True))[1]["code"] == 40034105


@pytest.mark.asyncio
async def test_a_text_can_be_too_long(play: Any) -> None:
    async with play(text_limit=5) as (_, bot):
        assert (await bot.post("groups/A", msg_type=0, content="12345"))[0] == 200
        status, answer = await bot.post("groups/A", msg_type=0, content="123456")
        assert (status, answer["code"]) == (400, 40054007)
        status, answer = await bot.post("groups/A", msg_type=2, markdown={"content": "123456"})
        assert (status, answer["code"]) == (400, 40054007)


@pytest.mark.asyncio
@pytest.mark.parametrize(("audit", "arrived"), [("pass", 1), ("reject", 0)])
async def test_a_message_held_for_audit_is_202(play: Any, audit: str, arrived: int) -> None:
    async with play(audit=audit) as (sandbox, bot):
        status, answer = await bot.post("groups/A", msg_type=0, content="x")
        assert (status, answer["code"]) == (202, 304023)
        assert answer["data"]["message_audit"]["audit_id"]
        assert len(sandbox.arrived) == arrived


@pytest.mark.asyncio
async def test_a_button_is_acknowledged_in_time_or_late(play: Any, clock: Any) -> None:
    async with play(connect=False, clock=clock) as (sandbox, bot):
        await bot.connect(intents=1 << 25 | INTERACTION)
        for late in (5, 5.1):
            said = await sandbox.emit("INTERACTION_CREATE", {"id": f"i{late}", "group_openid": "G", "chat_type": 1})
            clock.now += late
            assert (await bot.call("PUT", f"/interactions/{said.id}", json={"code": 0}))[0] == 200
        assert [entry.in_time for entry in sandbox.acknowledged] == [True, False]


@pytest.mark.asyncio
async def test_private_chats_can_have_another_body_limit(play: Any, png: Any) -> None:
    async with play(inline_body_bytes=1000, user_inline_body_bytes=5000) as (_, bot):
        status, page = await bot.upload("groups/A", png(2000))
        assert (status, page.startswith("<html>")) == (413, True)
        assert (await bot.upload("users/A", png(2000)))[0] == 200
        assert (await bot.upload("users/A", png(4000)))[0] == 413


@pytest.mark.asyncio
@pytest.mark.parametrize("private", [False, True])
async def test_a_button_is_pressed_acknowledged_and_answered(play: Any, private: bool) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.connect(intents=1 << 25 | INTERACTION)
        said = await sandbox.press("vote=1", button="b7", message_id="M1", user="Bob", private=private)
        d = await bot.heard()
        resolved = d["data"]["resolved"]
        assert (d["id"], d["type"], d["chat_type"]) == (said.id, 11, 2 if private else 1)
        assert (resolved["button_id"], resolved["button_data"], resolved["message_id"]) == ("b7", "vote=1", "M1")
        if private:
            here = f"users/{d['user_openid']}"
        else:
            here = f"groups/{d['group_openid']}"
            assert d["group_member_openid"] == sandbox.member_openid("Bob")
        assert (await bot.call("PUT", f"/interactions/{d['id']}", json={"code": 0}))[0] == 200
        assert sandbox.acknowledged[0].id == said.id
        assert (await bot.post(here, msg_type=0, content="voted", event_id=said.event_id))[0] == 200
        assert (await sandbox.replies(said))[0].content == "voted"
