"""COMPAT, `Message.wait_channel`: a conversation with a whole group."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot_core import Message, WaitEventCancel, WaitEventOutOfFocus
from tests.fakes.adapter import make_bot, running, settled


@pytest.mark.asyncio
async def test_wait_channel_gets_messages_of_anybody_and_queues_them_until_closed() -> None:
    bot, adapter = make_bot()
    got: list[tuple[str, str]] = []
    passed_on: list[str] = []

    @bot.on_message(keywords="game", level=1)
    async def game(data: Message) -> None:
        event = None
        while len(got) < 3:
            event = await data.wait_channel("guess!" if not got else None, clean=False)
            assert event is not None
            got.append((event.message.user_id, event.message.text))
            await settled()  # others go on talking meanwhile
        assert event is not None
        assert event.event.check_alive()
        event.close_event()

    @bot.on_message(keywords="", level=0)
    async def anything(data: Message) -> None:
        passed_on.append(data.text)

    async with running(bot):
        await adapter.say("game")
        assert await adapter.arrived() == ["guess!"]
        for user in ("U1", "U2", "U3"):
            await adapter.say(f"from {user}", user=user)
        await adapter.say("elsewhere", group="G2")
        for _ in range(5):
            await settled()
        await adapter.say("after")
        await settled()
    assert got == [("U1", "from U1"), ("U2", "from U2"), ("U3", "from U3")]
    assert passed_on == ["elsewhere", "after"]


@pytest.mark.asyncio
async def test_wait_channel_clean_empties_the_queue_first() -> None:
    bot, adapter = make_bot()
    got: list[str] = []
    go_on = asyncio.Event()

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        for _ in range(2):
            event = await data.wait_channel(max_time=1)
            got.append(event.message.text if event else "nothing")
            await go_on.wait()

    async with running(bot):
        await adapter.say("game")
        await settled()
        await adapter.say("first")
        await adapter.say("stale")
        await settled()
        go_on.set()
        await settled()
        await adapter.say("fresh")
        await settled()
    assert got == ["first", "fresh"]


@pytest.mark.asyncio
async def test_wait_channel_times_out_with_none_and_closes() -> None:
    bot, adapter = make_bot()
    got: list[Any] = []

    @bot.on_message(keywords="game")
    async def game(data: Message) -> str:
        got.append(await data.wait_channel(max_time=0.02))
        return "over"

    @bot.on_message(keywords="later")
    async def later(data: Message) -> str:
        return "handled"

    async with running(bot):
        await adapter.say("game")
        assert await adapter.arrived() == ["over"]
        await adapter.say("later")
        assert await adapter.arrived(2) == ["over", "handled"]
    assert got == [None]


@pytest.mark.asyncio
async def test_wait_channel_open_between_calls_ends_when_nobody_asks_again() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        assert await data.wait_channel(max_time=0.03)

    @bot.on_message(keywords="later", level=0)
    async def later(data: Message) -> str:
        return data.text

    async with running(bot):
        await adapter.say("game")
        await settled()
        await adapter.say("an answer")
        await settled()
        await adapter.say("later: swallowed")
        await asyncio.sleep(0.05)
        await adapter.say("later: handled")
        assert await adapter.arrived() == ["later: handled"]


@pytest.mark.asyncio
async def test_another_conversation_takes_the_group_over(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    got: list[Any] = []

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        try:
            event = await data.wait_channel()
        except WaitEventOutOfFocus as error:
            got.append(type(error))
            raise
        got.append((data.text, event.message.text) if event else None)

    async with running(bot):
        await adapter.say("game 1")
        await settled()
        await adapter.say("game 2", user="U2")
        await settled()
        await adapter.say("guess")
        await settled()
    assert got == [WaitEventOutOfFocus, ("game 2", "guess")]
    assert caplog.text == ""


@pytest.mark.asyncio
async def test_wait_channel_filters_and_consumes() -> None:
    bot, adapter = make_bot()
    got: list[str] = []

    async def number(data: Message) -> bool:
        return data.text.isdecimal()

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        event = await data.wait_channel(data_filter=number)
        got.append(event.message.text if event else "nothing")

    async with running(bot):
        await adapter.say("game")
        await settled()
        for text in ("red", "7"):
            await adapter.say(text, user="U2")
        await settled()
    assert got == ["7"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("force", "goes_to"), [(False, "user"), (True, "channel")])
async def test_a_users_own_wait_goes_before_that_of_the_group_unless_forced(force: bool, goes_to: str) -> None:
    bot, adapter = make_bot()
    got: list[str] = []

    @bot.on_message(keywords="ask")
    async def ask(data: Message) -> None:
        if await data.wait():
            got.append("user")

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        if await data.wait_channel(force=force):
            got.append("channel")

    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("game", user="U2")
        await settled()
        await adapter.say("blue")
        await settled()
        assert got == [goes_to]


@pytest.mark.asyncio
async def test_wait_channel_in_a_private_chat_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="game", direct_only=True)
    async def game(data: Message) -> None:
        await data.wait_channel()

    async with running(bot):
        await adapter.say("game", direct=True)
        await settled()
    assert "in a private chat use wait" in caplog.text


@pytest.mark.asyncio
async def test_wait_channel_that_fails_gives_the_group_back(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    async def broken(data: Message) -> bool:
        raise ZeroDivisionError("bad filter")

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        await data.wait_channel(data_filter=broken)

    @bot.on_message(keywords="hello", level=0)
    async def hello(data: Message) -> str:
        return "hi"

    async with running(bot):
        await adapter.say("game")
        await settled()
        await adapter.say("guess")
        await settled()
        await adapter.say("hello")
        assert await adapter.arrived() == ["hi"]
    assert "game failed: bad filter" in caplog.text


@pytest.mark.asyncio
async def test_close_event_ends_a_call_that_waits_with_wait_event_cancel() -> None:
    bot, adapter = make_bot()
    got: list[Any] = []

    @bot.on_message(keywords="game")
    async def game(data: Message) -> None:
        first = await data.wait_channel()
        assert first is not None
        asyncio.get_running_loop().call_soon(first.close_event)
        try:
            await data.wait_channel()
        except WaitEventCancel as error:
            got.append(type(error))

    async with running(bot):
        await adapter.say("game")
        await settled()
        await adapter.say("guess")
        await settled()
    assert got == [WaitEventCancel]
