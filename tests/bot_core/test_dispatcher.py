"""How many handlers run at once, what waits, and how a bot ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from bot_core import AmiyaBot, Message, WaitEventCancel
from bot_core.slots import Delivery, current_delivery
from tests.fakes.adapter import make_bot, running, settled


class Work:
    """A handler that lasts until its gate is opened, or it is cut off.

    Attributes:
        begun: Texts of the messages that it was given.
        ended: Of those that it has done with, in whatever way.
        most: How many of it ran at once.
    """

    def __init__(self, bot: AmiyaBot, keywords: str = "") -> None:
        self.gate = asyncio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most = 0
        bot.on_message(keywords=keywords)(self.handle)

    async def handle(self, data: Message) -> None:
        self.begun.append(data.text)
        self.most = max(self.most, len(self.begun) - len(self.ended))
        try:
            await self.gate.wait()
        finally:
            self.ended.append(data.text)


@pytest.mark.asyncio
async def test_at_most_max_handlers_run_at_once_and_the_rest_waits_in_order() -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 3
    work = Work(bot)
    async with running(bot):
        for number in range(10):
            await adapter.say(str(number))
        await settled()
        assert work.begun == ["0", "1", "2"]
        work.gate.set()
        await settled()
    assert work.begun == [str(number) for number in range(10)]
    assert work.most == 3


@pytest.mark.asyncio
async def test_when_the_backlog_is_full_receive_waits_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 1
    work = Work(bot)
    async with running(bot):
        taken = 0

        async def flood() -> None:
            nonlocal taken
            for _ in range(1500):
                await adapter.say("x")
                taken += 1

        flooding = asyncio.create_task(flood())
        await asyncio.wait({flooding}, timeout=0.2)
        assert taken == 1025  # one runs, 1024 wait
        assert caplog.text.count("reading from the platform pauses") == 1
        work.gate.set()
        async with asyncio.timeout(5):
            await flooding
            while len(work.ended) < 1500:
                await settled()


@pytest.mark.asyncio
async def test_a_burst_for_quick_handlers_is_no_backlog(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    handled = 0

    @bot.on_message(keywords="")
    async def handler(_data: Message) -> None:
        nonlocal handled
        handled += 1

    async with running(bot):
        for number in range(4 * adapter.max_handlers + 2000):
            await adapter.say("x")
            assert not bot.status().events_waiting
            assert handled >= number - 32  # the first does not wait for the last
        await settled()
    assert handled == 4 * adapter.max_handlers + 2000
    assert "pauses" not in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("in_a_task_of_its_own", [False, True])
async def test_a_handler_that_waits_takes_no_place(in_a_task_of_its_own: bool) -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 2
    got: list[str] = []

    @bot.on_message(keywords="ask")
    async def handler(data: Message) -> None:
        waiting = data.wait()
        answer = await (asyncio.create_task(waiting) if in_a_task_of_its_own else waiting)
        got.append(answer.text if answer else "nothing")

    async with running(bot):
        for user in range(20):
            await adapter.say("ask", user=f"U{user}")
        await settled()
        for user in range(20):
            await adapter.say(f"answer {user}", user=f"U{user}")
        await settled()
    assert sorted(got) == sorted(f"answer {user}" for user in range(20))


@pytest.mark.asyncio
@pytest.mark.parametrize("lets_it_wait", [False, True])  # before the handler returns, or afterwards
async def test_a_task_that_waits_after_its_handler_returned_makes_no_room(lets_it_wait: bool) -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 2
    tasks = []
    slow = Work(bot, "slow")

    @bot.on_message(keywords="ask")
    async def ask(data: Message) -> None:
        tasks.append(asyncio.create_task(data.wait()))
        if lets_it_wait:
            await asyncio.sleep(0)

    async with running(bot):
        for user in range(6):
            await adapter.say("ask", user=f"U{user}")
        await settled()
        assert bot.status().handlers_running == 0
        for user in range(12):
            await adapter.say("slow", user=f"V{user}")
        await settled()
        assert (slow.most, bot.status().handlers_running) == (2, 2)
        for user in range(6):
            await adapter.say("an answer", user=f"U{user}")
        slow.gate.set()
        assert [answer is not None for answer in await asyncio.gather(*tasks)] == [True] * 6
        await settled()
        assert (slow.most, bot.status().handlers_running) == (2, 0)


@pytest.mark.asyncio
async def test_running_handlers_finish_within_the_grace_and_can_send() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="slow")
    async def slow(data: Message) -> str:
        await asyncio.sleep(0.05)
        return "done"

    async with running(bot):
        await adapter.say("slow")
        await settled()
        await bot.close()
        assert adapter.texts == ["done"]
        assert adapter.closed == 1


@pytest.mark.asyncio
async def test_after_the_grace_handlers_are_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    adapter.shutdown_grace = 0.03
    work = Work(bot)
    async with running(bot):
        await adapter.say("endless")
        await settled()
        async with asyncio.timeout(1):
            await bot.close()
    assert work.ended == ["endless"]
    assert "1 handlers did not finish within 0.03 s" in caplog.text


@pytest.mark.asyncio
async def test_a_handler_that_refuses_to_be_cancelled_is_left_behind_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot, adapter = make_bot()
    adapter.shutdown_grace = 0
    release = asyncio.Event()

    @bot.on_message(keywords="stubborn")
    async def stubborn(data: Message) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with running(bot):
        await adapter.say("stubborn")
        await settled()
        async with asyncio.timeout(1.9):
            await bot.close()
        release.set()
    assert "does not end although it was cancelled" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("channel", [False, True])
async def test_waits_are_told_at_once_that_it_is_over(channel: bool, caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    adapter.shutdown_grace = 5
    told: list[str] = []

    @bot.on_message(keywords="ask")
    async def handler(data: Message) -> None:
        for _ in range(2):
            try:
                await (data.wait_channel() if channel else data.wait())
            except WaitEventCancel as error:
                told.append(str(error))

    async with running(bot):
        await adapter.say("ask")
        await settled()
        async with asyncio.timeout(1):
            await bot.close()
    assert told == ["the bot is being closed"] * 2
    assert caplog.text == ""


@pytest.mark.asyncio
async def test_what_comes_after_close_is_not_taken() -> None:
    bot, adapter = make_bot()
    work = Work(bot)
    async with running(bot):
        await adapter.say("before")
        closing = asyncio.create_task(bot.close())
        await settled()
        await adapter.say("after")
        work.gate.set()
        await closing
    assert work.begun == ["before"]


@pytest.mark.asyncio
async def test_messages_that_waited_when_the_bot_ended_are_counted_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot, adapter = make_bot()
    adapter.max_handlers, adapter.shutdown_grace = 1, 0.02
    Work(bot)
    async with running(bot):
        for _ in range(4):
            await adapter.say("x")
        await settled()
    assert "before it came to 3 messages" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("while_it_waits_for_them", [False, True])
async def test_cancelling_start_ends_handlers_at_once_and_passes_through(while_it_waits_for_them: bool) -> None:
    bot, adapter = make_bot()
    adapter.shutdown_grace = 60
    work = Work(bot)
    task = asyncio.create_task(bot.start())
    await adapter.listening.wait()
    await adapter.say("x")
    await settled()
    if while_it_waits_for_them:
        bot.stop()
        await settled()
        assert work.ended == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await task
    assert (work.ended, adapter.closed) == (["x"], 1)


@pytest.mark.asyncio
async def test_a_timed_task_that_runs_may_finish_when_the_bot_ends() -> None:
    bot, _ = make_bot()
    steps: list[str] = []

    @bot.timed_task()
    async def task(given: Any) -> None:
        steps.append("begun")
        await asyncio.sleep(0.03)
        steps.append("finished")

    async with running(bot):
        await settled()
    assert steps == ["begun", "finished"]


@pytest.mark.asyncio
async def test_two_thousand_messages_through_two_hundred_handlers(record_property: Any) -> None:
    bot, adapter = make_bot()
    answered = 0

    def register(number: int) -> None:
        @bot.on_message(keywords=f"command{number:03}" if number % 2 else [f"word{number:03}", f"term{number:03}"])
        async def handler(data: Message) -> None:
            nonlocal answered
            answered += 1

    for number in range(200):
        register(number)
    messages = [adapter.message(f"please run command{number % 200:03} now") for number in range(2000)]
    async with running(bot):
        begun = time.process_time()
        for message in messages:
            await adapter.receive(message)
        await settled()
        spent = time.process_time() - begun
    print(f"\n2000 messages, 200 handlers: {spent * 1000:.0f} ms CPU, {spent / 2000 * 1e6:.0f} us each")
    record_property("cpu_ms", spent * 1000)
    assert answered == 1000


@pytest.mark.asyncio
async def test_the_sender_learns_when_a_handler_has_finished_and_not_when_it_was_cut_off() -> None:
    bot, adapter = make_bot()
    adapter.max_handlers, adapter.shutdown_grace = 1, 0
    finished: list[str] = []
    gates = {name: asyncio.Event() for name in ("first", "second", "third")}

    @bot.on_message(keywords="")
    async def handler(data: Message) -> None:
        await gates[data.text].wait()

    async def deliver(name: str) -> Delivery:
        delivery = Delivery(lambda: finished.append(name))
        token = current_delivery.set(delivery)
        await adapter.say(name)
        current_delivery.reset(token)
        return delivery

    async with running(bot):
        deliveries = [await deliver(name) for name in gates]  # the second and third wait for a place
        await settled()
        assert finished == []
        assert all(delivery.taken for delivery in deliveries)
        gates["first"].set()
        await settled()
        assert finished == ["first"]
        gates["second"].set()
        await settled()
        assert finished == ["first", "second"]
    assert finished == ["first", "second"]


@pytest.mark.asyncio
async def test_a_handler_that_cancelled_itself_has_finished_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    finished = []

    @bot.on_message(keywords="")
    async def handler(_data: Message) -> None:
        lookup = asyncio.create_task(asyncio.sleep(60))
        lookup.cancel()
        await lookup

    async with running(bot):
        current_delivery.set(Delivery(lambda: finished.append(1)))
        await adapter.say("hi")
        await settled()
    assert finished == [1]
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert record.getMessage() == "a handler ended, as something that it awaited was cancelled"
    assert "await lookup" in caplog.text


@pytest.mark.asyncio
async def test_what_comes_while_the_bot_ends_is_left_for_the_next_process() -> None:
    bot, adapter = make_bot()
    finished: list[str] = []

    @bot.on_message(keywords="")
    async def handler(data: Message) -> None:
        raise AssertionError

    async with running(bot):
        bot.stop()
        delivery = Delivery(lambda: finished.append("late"))
        current_delivery.set(delivery)
        await adapter.say("late")
        await settled()
    assert delivery.taken
    assert finished == []


@pytest.mark.asyncio
async def test_what_nobody_would_send_again_is_handled_although_the_bot_ends() -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 1
    handled: list[str] = []

    @bot.on_message(keywords="")
    async def handler(data: Message) -> None:
        handled.append(data.text)

    async with running(bot):
        bot.stop()
        current_delivery.set(Delivery(lambda: None, final=True))
        await adapter.say("late")
        await adapter.say("later")
    assert handled == ["late", "later"]


@pytest.mark.asyncio
async def test_status_counts_who_runs_who_waits_and_what_waits() -> None:
    bot, adapter = make_bot()
    adapter.max_handlers = 1
    work = Work(bot, "work")

    @bot.on_message(keywords="ask")
    async def ask(data: Message) -> None:
        await data.wait()

    def counts() -> tuple[int, int, int]:
        status = bot.status()
        return status.handlers_running, status.handlers_parked, status.events_waiting

    assert counts() == (0, 0, 0)
    async with running(bot):
        await adapter.say("ask", user="A")
        await settled()
        assert counts() == (0, 1, 0)
        for user in ("B", "C", "D"):
            await adapter.say("work", user=user)
        await settled()
        assert counts() == (1, 1, 2)
        assert bot.status().shards == ()  # this adapter cannot tell
        work.gate.set()
        await settled()
        assert counts() == (0, 1, 0)
    assert counts() == (0, 0, 0)
