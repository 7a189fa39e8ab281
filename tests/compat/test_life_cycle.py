"""COMPAT, the table of life-cycle hooks: when each is called, and what it may change or stop."""

from __future__ import annotations

from typing import Any

import pytest

from bot_core import Chain, Event, Message
from tests.fakes.adapter import make_bot, running, settled


@pytest.mark.asyncio
async def test_life_cycle_hooks_in_their_order_with_their_arguments() -> None:
    bot, adapter = make_bot()
    seen: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        async def hook(*given: Any) -> None:
            seen.append((name, *(type(value) for value in given[:-1]), given[-1] is adapter))

        return hook

    names = ("message_created", "message_before_handle", "message_before_send", "message_after_send")
    for name in (*names, "message_after_handle"):
        getattr(bot, name)(note(name))

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> str:
        return "b"

    @bot.on_message(keywords="silent")
    async def silent(data: Message) -> None: ...

    async with running(bot):
        await adapter.say("a")
        await settled()
        await adapter.say("silent")
        await settled()
    assert seen == [
        ("message_created", Message, True),
        ("message_before_handle", Message, str, True),
        ("message_before_send", Chain, str, True),
        ("message_after_send", Chain, str, True),
        ("message_after_handle", Chain, str, True),
        ("message_created", Message, True),
        ("message_before_handle", Message, str, True),
        ("message_after_handle", type(None), str, True),
    ]


@pytest.mark.asyncio
async def test_message_created_replaces_or_stops() -> None:
    bot, adapter = make_bot()

    @bot.message_created
    async def created(data: Message, instance: Any) -> Message | bool | None:
        if data.text == "drop":
            return False
        if data.text == "replace":
            return adapter.message("replaced")
        return None

    @bot.on_message(keywords=["drop", "replace", "keep"])
    async def handler(data: Message) -> str:
        return data.text

    async with running(bot):
        for text in ("drop", "replace", "keep"):
            await adapter.say(text)
            await settled()
    assert adapter.texts == ["replaced", "keep"]


@pytest.mark.asyncio
async def test_message_before_handle_all_run_and_any_false_stops() -> None:
    bot, adapter = make_bot()
    ran: list[str] = []

    @bot.message_before_handle
    async def no(data: Message, factory_name: str, instance: Any) -> bool:
        ran.append("no")
        return False

    @bot.message_before_handle
    async def yes(data: Message, factory_name: str, instance: Any) -> bool:
        ran.append("yes")
        return True

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> str:
        return "never"

    async with running(bot):
        await adapter.say("a")
        await settled()
    assert ran == ["no", "yes"]
    assert adapter.sent == []


@pytest.mark.asyncio
async def test_message_before_send_changes_in_place_or_replaces() -> None:
    bot, adapter = make_bot()

    @bot.message_before_send
    async def sign(chain: Chain, factory_name: str, instance: Any) -> None:
        chain.text(" - signed")

    @bot.message_before_send
    async def replace(chain: Chain, factory_name: str, instance: Any) -> Chain | None:
        return Chain().text("replaced") if "bad" in adapter_text(chain) else None

    def adapter_text(chain: Chain) -> str:
        return "".join(getattr(element, "content", "") for element in chain.chain)

    @bot.on_message(keywords="say")
    async def handler(data: Message) -> str:
        return data.text.removeprefix("say ")

    async with running(bot):
        data = await adapter.say("say bad")
        await settled()
        await adapter.say("say good")
        await settled()
    assert adapter.texts == ["replaced", "good - signed"]
    assert adapter.sent[0].data is data


@pytest.mark.asyncio
async def test_a_failing_message_after_send_does_not_fail_the_send(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    @bot.message_after_send
    async def fail(chain: Chain, factory_name: str, instance: Any) -> None:
        raise ValueError("bad hook")

    handles: list[Any] = []

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> None:
        handles.append(await data.send("b"))

    async with running(bot):
        await adapter.say("a")
        await settled()
    assert handles[0].message_id
    assert "bad hook" in caplog.text


@pytest.mark.asyncio
async def test_message_before_waiter_set_may_replace() -> None:
    bot, adapter = make_bot()
    got: list[str | None] = []

    @bot.message_before_waiter_set
    async def replace(data: Message, waiter: Any, instance: Any) -> Message | None:
        assert (waiter.type, waiter.force, waiter.check_alive()) == ("user", False, True)
        return adapter.message(data.text.upper())

    @bot.on_message(keywords="ask")
    async def handler(data: Message) -> None:
        answer = await data.wait()
        got.append(answer.text if answer else None)

    async with running(bot):
        await adapter.say("ask")
        await settled()
        await adapter.say("blue")
        await settled()
    assert got == ["BLUE"]


@pytest.mark.asyncio
async def test_event_created_replaces_or_stops() -> None:
    bot, adapter = make_bot()
    seen: list[str] = []

    @bot.event_created
    async def created(event: Event, instance: Any) -> Event | bool | None:
        answers: dict[str, Event | bool] = {"A": False, "B": Event(instance, "REPLACED", {})}
        return answers.get(event.event_name)

    @bot.on_event()
    async def handler(event: Event, instance: Any) -> None:
        seen.append(event.event_name)

    async with running(bot):
        for name in ("A", "B", "C"):
            await adapter.happen(name)
            await settled()
    assert seen == ["REPLACED", "C"]
