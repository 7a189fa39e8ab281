"""COMPAT, `Message.wait`: the next message of the same user, and who else wants it."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from bot_core import AmiyaBot, Chain, Message, WaitEventCancel
from tests.fakes.adapter import make_bot, running, settled


def asks(bot: AmiyaBot, got: list[Any], **how: Any) -> None:
    """Register a handler for "ask" that waits and writes down what came of it."""

    @bot.on_message(keywords="ask")
    async def asking(data: Message) -> str | None:
        try:
            answer = await data.wait(**how)
        except WaitEventCancel as error:
            got.append(type(error))
            raise
        got.append(answer.text if answer else None)
        return f"got {got[-1]}"


def test_signatures_of_the_waits() -> None:
    wait = inspect.signature(Message.wait).parameters
    assert [(name, p.default) for name, p in wait.items()][1:] == [
        ("reply", None),
        ("force", False),
        ("max_time", 30),
        ("data_filter", None),
        ("level", 0),
    ]
    assert list(inspect.signature(Message.wait_channel).parameters)[1:] == [
        "reply",
        "force",
        "clean",
        "max_time",
        "data_filter",
        "level",
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("direct", [False, True])
async def test_wait_asks_and_gets_the_next_message_of_the_same_user_in_the_same_chat(direct: bool) -> None:
    bot, adapter = make_bot()
    got: list[Any] = []

    @bot.on_message(keywords="ask", allow_direct=True)
    async def handler(data: Message) -> None:
        answer = await data.wait(Chain(data, at=False).text("which colour?"))
        got.append((answer.text, answer.verify.weight) if answer and answer.verify else None)

    async with running(bot):
        await adapter.say("ask", direct=direct)
        assert await adapter.arrived() == ["which colour?"]
        await adapter.say("red", user="U2", direct=direct)
        await adapter.say("green", group="G2", direct=not direct)
        await adapter.say("blue", direct=direct)
        await settled()
    assert got == [("blue", 0)]


@pytest.mark.asyncio
async def test_wait_finds_an_answer_that_comes_before_the_question_is_acknowledged() -> None:
    bot, adapter = make_bot()
    got: list[Any] = []

    async def answer_at_once(chain: Chain) -> None:
        if not got:
            await adapter.say("blue")
            await settled()

    adapter.on_send = answer_at_once
    asks(bot, got, reply="which colour?")
    async with running(bot):
        await adapter.say("ask")
        await adapter.arrived(2)
    assert got == ["blue"]


@pytest.mark.asyncio
async def test_wait_returns_none_when_the_time_is_up() -> None:
    bot, adapter = make_bot()
    got: list[Any] = []
    asks(bot, got, max_time=0.02)
    async with running(bot):
        await adapter.say("ask")
        assert await adapter.arrived() == ["got None"]
        await adapter.say("too late")
        await settled()
    assert got == [None]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("handler_level", "wait_level", "force", "goes_to"),
    [
        (1, 0, False, "handler"),
        (1, 1, False, "wait"),
        (1, 2, False, "wait"),
        (1, 0, True, "wait"),
        (0, 0, False, "wait"),
    ],
)
async def test_wait_competes_by_level(handler_level: int, wait_level: int, force: bool, goes_to: str) -> None:
    bot, adapter = make_bot()
    got: list[Any] = []
    asks(bot, got, level=wait_level, force=force)

    @bot.on_message(keywords="help", level=handler_level)
    async def handler(data: Message) -> None:
        got.append("handler")

    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("help")
        await settled()
        assert got == [{"wait": "help"}.get(goes_to, goes_to)]


@pytest.mark.asyncio
async def test_wait_needs_no_prefix() -> None:
    bot, adapter = make_bot()
    bot.set_prefix_keywords("amiya")
    got: list[Any] = []
    asks(bot, got)
    async with running(bot):
        await adapter.say("amiya ask")
        await settled()
        await adapter.say("blue")
        await settled()
    assert got == ["blue"]


@pytest.mark.asyncio
async def test_wait_consumes_what_its_filter_refuses() -> None:
    bot, adapter = make_bot()
    got: list[Any] = []
    passed_on: list[str] = []

    async def number(data: Message) -> bool:
        await asyncio.sleep(0)
        return data.text.isdecimal()

    asks(bot, got, data_filter=number, level=1)

    @bot.on_message(keywords="")
    async def anything(data: Message) -> None:
        passed_on.append(data.text)

    async with running(bot):
        await adapter.say("ask")
        await settled()
        for text in ("red", "green", "42", "43"):  # at once: filtered one after another
            await adapter.say(text)
        await settled()
    assert got == ["42"]
    assert passed_on == ["43"]


@pytest.mark.asyncio
async def test_an_error_in_the_filter_is_raised_where_the_author_waits(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    async def broken(data: Message) -> bool:
        raise ZeroDivisionError("bad filter")

    asks(bot, [], data_filter=broken)
    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("blue")
        await settled()
    assert "asking failed: bad filter" in caplog.text


@pytest.mark.asyncio
async def test_a_newer_wait_of_the_same_user_ends_the_older_one_quietly(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    got: list[Any] = []
    asks(bot, got)
    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("ask")
        await settled()
        await adapter.say("blue")
        await settled()
    assert got == [WaitEventCancel, "blue"]
    assert caplog.text == ""


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["an answer", None])
async def test_another_handler_that_answers_ends_the_wait(answer: str | None) -> None:
    bot, adapter = make_bot()
    got: list[Any] = []
    asks(bot, got)

    @bot.on_message(keywords="help")
    async def handler(data: Message) -> str | None:
        return answer

    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("help")
        await settled()
        await adapter.say("blue")
        await settled()
    assert got == ([WaitEventCancel] if answer else ["blue"])


@pytest.mark.asyncio
async def test_a_conversation_of_several_waits() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="sum")
    async def handler(data: Message) -> str:
        first = await data.wait("first?")
        second = await first.wait("second?") if first else None
        return f"{int(first.text) + int(second.text)}" if first and second else "never mind"

    async with running(bot):
        await adapter.say("sum")
        await adapter.arrived(1)
        await adapter.say("20")
        await adapter.arrived(2)
        await adapter.say("22")
        assert await adapter.arrived(3) == ["first?", "second?", "42"]


@pytest.mark.asyncio
async def test_a_wait_outside_any_handler() -> None:
    bot, adapter = make_bot()
    asked: list[Message] = []

    @bot.on_message(keywords="ask")
    async def ask(data: Message) -> None:
        asked.append(data)

    async with running(bot):
        await adapter.say("ask")
        await settled()
        outside = asyncio.create_task(asked[0].wait())
        await settled()
        await adapter.say("blue")
        answer = await outside
    assert answer is not None
    assert answer.text == "blue"
