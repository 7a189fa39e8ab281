"""Events that can be answered, and buttons that are acknowledged at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot_core import AmiyaBot, Chain, Event, Message
from bot_core.adapter import Adapter, MessageHandle
from bot_core.errors import BotError, ReplyContextError
from bot_core.qq_group import QQGroupChainBuilderOptions, qq_group
from bot_core.qq_group.events import incoming
from bot_core.sandbox import Said, Sandbox
from tests.bot_core.qq_group.conftest import Bot
from tests.bot_core.qq_group.sending_kit import Kit, many

pytestmark = pytest.mark.asyncio


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


def pressed(sandbox: Sandbox, number: int = 1, *, private: bool = False, kind: int = 11) -> dict[str, Any]:
    where: dict[str, Any] = {"group_openid": sandbox.group_openid(), "group_member_openid": "M1"}
    if private:
        where = {"user_openid": sandbox.user_openid()}
    resolved = {"button_id": f"b{number}", "button_data": "payload", "user_id": ""}
    return {"id": f"inter-{number}", "type": kind, **where, "data": {"type": kind, "resolved": resolved}}


async def acknowledged(sandbox: Sandbox, count: int = 1) -> None:
    more = asyncio.Event()
    unsubscribe = sandbox.subscribe(lambda _: more.set())
    try:
        async with asyncio.timeout(5):
            while len(sandbox.acknowledged) < count:
                more.clear()
                await more.wait()
    finally:
        unsubscribe()


async def happened(kit: Kit, bot: Bot, name: str, data: dict[str, Any]) -> tuple[Said, Event]:
    said = await kit.sandbox.emit(name, data)
    await bot.until(lambda: any(isinstance(one, Event) and one.event_id == said.event_id for one in bot.received))
    [event] = [one for one in bot.received if isinstance(one, Event) and one.event_id == said.event_id]
    return said, event


@pytest.mark.parametrize("private", [False, True])
async def test_who_presses_a_button_gets_an_answer(sandbox: Sandbox, tmp_path: Path, private: bool) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "resource"))
    make = qq_group("secret", default_chain_builder_options=options, api_base=sandbox.api_base)
    bot = AmiyaBot(appid="1020", token="", adapter=make)
    results: list[Any] = []
    chains: list[str] = []

    @bot.on_event("INTERACTION_CREATE")
    async def press(event: Event, instance: Adapter) -> None:
        words = f"{event.button_id} {event.button_data} {event.user_openid} {event.channel_openid}"
        results.append(await event.reply(words))
        results.append(await event.reply(Chain().text("and"), timeout=5))
        results.append(event.replies_left)

    @bot.message_before_send
    async def before(chain: Chain, factory_name: str, instance: Adapter) -> None:
        chains.append(factory_name)

    running = asyncio.create_task(bot.start())
    try:
        await sandbox.connected()
        said = await sandbox.emit("INTERACTION_CREATE", pressed(sandbox, private=private))
        first, second = await sandbox.replies(said, 2)
        await acknowledged(sandbox)
    finally:
        await bot.close()
        await running
    user, group = (sandbox.user_openid(appid="1020"), "") if private else ("M1", sandbox.group_openid(appid="1020"))
    assert first.content == f"b1 payload {user} {group}"
    assert (first.event_id, first.msg_id, first.msg_seq, second.msg_seq) == (said.event_id, None, 1, 2)
    assert isinstance(results[0], MessageHandle)
    assert results[2] == (2 if private else 3)
    assert len(chains) == 2
    assert [(one.id, one.code) for one in sandbox.acknowledged] == [("inter-1", 0)]


@pytest.mark.parametrize(
    ("name", "answerable"),
    [
        ("GROUP_ADD_ROBOT", True),
        ("GROUP_MSG_RECEIVE", True),
        ("GROUP_MEMBER_ADD", True),
        ("GROUP_DEL_ROBOT", False),
        ("GROUP_MSG_REJECT", False),
        ("FRIEND_ADD", True),
        ("C2C_MSG_RECEIVE", True),
        ("FRIEND_DEL", False),
        ("C2C_MSG_REJECT", False),
        ("MESSAGE_AUDIT_PASS", False),
    ],
)
async def test_which_events_can_be_answered(kit: Kit, name: str, answerable: bool) -> None:
    openid = (
        {}
        if name.startswith("MESSAGE")
        else {"group_openid": kit.sandbox.group_openid(appid="1020"), "op_member_openid": "M"}
    )
    if name.startswith(("FRIEND", "C2C")):
        openid = {"openid": kit.sandbox.user_openid(appid="1020")}
    async with kit.start(intents=1 << 24 | 1 << 25 | 1 << 26 | 1 << 27) as bot:
        said, event = await happened(kit, bot, name, {"timestamp": 1784600000, **openid})
        if answerable:
            [handle] = await bot.adapter.send_event_reply(Chain().text("hello"), event)
            assert handle.message_id == kit.sandbox.arrived[0].id
            assert kit.sandbox.arrived[0].event_id == said.event_id
            assert event.reply_deadline is not None
        else:
            with pytest.raises(ReplyContextError, match=f"no answer to {name}"):
                await bot.adapter.send_event_reply(Chain().text("hello"), event)
            assert (event.reply_deadline, event.replies_left) == (None, 0)
            assert not kit.sandbox.calls["messages"]


async def test_answers_to_an_event_have_a_budget_too(kit: Kit) -> None:
    async with kit.start() as bot:
        _, event = await happened(kit, bot, "INTERACTION_CREATE", pressed(kit.sandbox))
        assert event.replies_left == 5
        with pytest.raises(ReplyContextError, match="takes 5 replies"):
            await bot.adapter.send_event_reply(many(None, 6), event)
        kit.sandbox.faults.lose_answer("messages")
        [handle] = await bot.adapter.send_event_reply(Chain().text("once"), event)
        assert handle.attempts == 2
        kit.time.later = 1900
        with pytest.raises(ReplyContextError, match="taken for 1800 s"):
            await bot.adapter.send_event_reply(Chain().text("late"), event)
    assert len(kit.sandbox.arrived) == 1


async def test_an_event_outside_of_a_bot_says_so(kit: Kit) -> None:
    event = incoming(kit.adapter(), "FRIEND_ADD", {"openid": "U1"}, "FRIEND_ADD:1")
    assert isinstance(event, Event)
    assert (event.user_openid, event.channel_openid, event.is_direct) == ("U1", "", True)
    with pytest.raises(BotError, match="did not come through a running bot"):
        await event.reply("hi")


async def test_it_is_acknowledged_while_every_handler_is_busy(sandbox: Sandbox, tmp_path: Path) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "resource"))
    make = qq_group(
        "secret", default_chain_builder_options=options, api_base=sandbox.api_base, max_handlers=1, shutdown_grace=0.1
    )
    bot = AmiyaBot(appid="1020", token="", adapter=make)
    busy, free, handled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @bot.on_message(keywords="work")
    async def work(data: Message) -> None:
        busy.set()
        await free.wait()

    @bot.on_event("INTERACTION_CREATE")
    async def press(event: Event, instance: Adapter) -> None:
        handled.set()

    running = asyncio.create_task(bot.start())
    try:
        await sandbox.connected()
        await sandbox.say("work")
        await busy.wait()
        await sandbox.emit("INTERACTION_CREATE", pressed(sandbox))
        await acknowledged(sandbox)
        assert not handled.is_set()
        free.set()
        async with asyncio.timeout(5):
            await handled.wait()
    finally:
        await bot.close()
        await running
    assert sandbox.acknowledged[0].seconds < 1


async def test_an_acknowledgement_that_fails_is_tried_again(kit: Kit) -> None:
    async with kit.start() as bot:
        kit.sandbox.faults.answer("interactions", status=500)
        kit.sandbox.faults.cut("interactions")
        await happened(kit, bot, "INTERACTION_CREATE", pressed(kit.sandbox))
        await acknowledged(kit.sandbox)
    assert kit.sandbox.calls["interactions"] == 3


async def test_an_acknowledgement_that_is_refused_is_a_warning(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    async with kit.start() as bot:
        kit.sandbox.faults.answer("interactions", status=400, code=630003)
        await happened(kit, bot, "INTERACTION_CREATE", pressed(kit.sandbox))
    assert "button inter-1 could not be acknowledged" in caplog.text
    assert kit.sandbox.calls["interactions"] == 1


async def test_what_wants_no_acknowledgement_gets_none_and_a_repetition_none_either(kit: Kit) -> None:
    async with kit.start() as bot:
        await happened(kit, bot, "INTERACTION_CREATE", pressed(kit.sandbox, kind=13))
        await kit.sandbox.emit("INTERACTION_CREATE", {"type": 11})
        await kit.hear(bot)
    assert not kit.sandbox.calls["interactions"]


async def test_it_is_acknowledged_even_where_the_bot_takes_nothing_more(kit: Kit) -> None:
    adapter = kit.adapter()
    taken, free = asyncio.Event(), asyncio.Event()

    async def receive(_: Message | Event) -> None:
        taken.set()
        await free.wait()

    async with adapter.open(), asyncio.TaskGroup() as tasks:
        tasks.create_task(adapter.listen(receive), name="listen")
        await kit.sandbox.connected()
        await kit.sandbox.emit("INTERACTION_CREATE", pressed(kit.sandbox))
        await taken.wait()
        await acknowledged(kit.sandbox)
        free.set()
        adapter.stop()
