"""COMPAT, the table of `AmiyaBot` and the one of its life-cycle hooks."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

from bot_core import AmiyaBot, Chain, Event, Message, WaitEventCancel, WaitEventOutOfFocus, qq_group
from bot_core.errors import AuthenticationError, BotError
from qqmedia.errors import ConfigurationError, MediaError, MediaFormatError, MediaSourceError
from tests.fakes.adapter import FakeAdapter, make_bot, running, settled


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        (qq_group, "adapter=qq_group has to be called"),
        ("qq_group", "is 'qq_group', which is none"),
        (lambda appid, token: appid, "adapter=<lambda> made str, which is no adapter"),
    ],
)
def test_what_is_no_adapter_is_one_line(adapter: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        AmiyaBot("1001", adapter=adapter)
    assert str(caught.value).endswith('write adapter=qq_group(client_secret="...")')


def test_a_bot_needs_an_adapter_and_says_which() -> None:
    with pytest.raises(ConfigurationError, match=r"adapter=qq_group\(client_secret"):
        AmiyaBot(appid="1", token="2")


def test_positional_arguments_are_those_of_amiyabot() -> None:
    bot = AmiyaBot("1001", "token", False, FakeAdapter)
    assert (bot.appid, bot.instance.appid, bot.prefix_keywords) == ("1001", "1001", [])
    assert AmiyaBot(1001, adapter=FakeAdapter).appid == "1001"


# start and close


@pytest.mark.asyncio
async def test_start_takes_launch_browser_and_runs_until_close() -> None:
    bot, adapter = make_bot()
    task = asyncio.create_task(bot.start(True))
    await adapter.listening.wait()
    await settled()
    assert not task.done()
    await bot.close()
    assert (adapter.opened, adapter.closed) == (1, 1)
    await task
    await bot.close()  # again: nothing


@pytest.mark.asyncio
async def test_close_before_the_task_of_start_runs_ends_it() -> None:
    bot, adapter = make_bot()
    task = asyncio.create_task(bot.start())
    await bot.close()
    await task
    assert adapter.opened == 0


@pytest.mark.asyncio
async def test_start_twice_and_start_after_close_are_clear_errors() -> None:
    bot, _ = make_bot()
    async with running(bot):
        with pytest.raises(BotError, match="runs already"):
            await bot.start()
    with pytest.raises(BotError, match="was closed"):
        await bot.start()


@pytest.mark.asyncio
async def test_start_raises_a_fatal_login_as_it_is_and_closes_the_adapter() -> None:
    bot, adapter = make_bot()
    adapter.fatal = AuthenticationError("invalid appid or secret", code=100016)
    with pytest.raises(AuthenticationError) as caught:
        await bot.start()
    assert caught.value is adapter.fatal
    assert adapter.closed == 1


@pytest.mark.asyncio
async def test_two_bots_in_one_gather() -> None:
    one, first = make_bot("1")
    two, second = make_bot("2")
    both = asyncio.gather(one.start(), two.start())
    await asyncio.gather(first.listening.wait(), second.listening.wait())
    await one.close()
    assert second.closed == 0
    await two.close()
    await both


@pytest.mark.asyncio
async def test_close_from_inside_a_handler_lets_it_finish() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="stop")
    async def stop(data: Message) -> str:
        await bot.close()
        await asyncio.create_task(bot.close())
        return "bye"

    task = asyncio.create_task(bot.start())
    await adapter.listening.wait()
    await adapter.say("stop")
    async with asyncio.timeout(0.4):  # less than the grace: nobody waited for himself
        await task
    assert adapter.texts == ["bye"]


# send_message


@pytest.mark.asyncio
async def test_send_message_goes_to_group_or_user_and_returns_handles() -> None:
    bot, adapter = make_bot()
    async with running(bot):
        handles = await bot.send_message(Chain().text("a"), channel_id="G1")
        await bot.send_message(Chain().text("b"), "U1")
    assert [handle.message_id for handle in handles] == ["S1"]
    assert [where[1:] for where in adapter.proactive] == [("", "G1"), ("U1", "")]


# on_event


@pytest.mark.asyncio
async def test_on_event_handlers_for_all_run_before_those_for_one() -> None:
    bot, adapter = make_bot()
    seen: list[tuple[str, str]] = []

    @bot.on_event("GROUP_ADD_ROBOT")
    async def one(event: Event, instance: Any) -> None:
        seen.append(("one", event.event_name))

    @bot.on_event()
    async def everything(event: Event, instance: Any) -> None:
        assert instance is bot.instance
        assert (event.appid, event.data, event.instance) == ("1001", {"group_openid": "G"}, instance)
        seen.append(("all", event.event_name))

    @bot.on_event(["FRIEND_ADD", "FRIEND_DEL"])
    async def some(event: Event, instance: Any) -> None:
        seen.append(("some", event.event_name))

    async with running(bot):
        for name in ("GROUP_ADD_ROBOT", "FRIEND_DEL"):
            await adapter.happen(name, group_openid="G")
            await settled()
    assert seen == [
        ("all", "GROUP_ADD_ROBOT"),
        ("one", "GROUP_ADD_ROBOT"),
        ("all", "FRIEND_DEL"),
        ("some", "FRIEND_DEL"),
    ]


# on_exception


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MediaFormatError("x"), ["media"]),
        (ValueError("x"), ["value or key"]),
        (KeyError("x"), ["value or key"]),
        (OSError("x"), ["any", "any too"]),
    ],
)
async def test_on_exception_calls_the_most_specific_class(error: Exception, told: list[str]) -> None:
    bot, adapter = make_bot()
    seen: list[tuple[str, Exception, Any, Any]] = []

    def tell(name: str, *kinds: Any) -> None:
        @bot.on_exception(*kinds)
        async def handler(raised: Exception, instance: Any, data: Any) -> None:
            seen.append((name, raised, instance, data))

    tell("any")
    tell("media", MediaError)
    tell("value or key", [ValueError, KeyError])
    tell("any too", Exception)

    @bot.on_message(keywords="a")
    async def fail(data: Message) -> None:
        raise error

    async with running(bot):
        data = await adapter.say("a")
        await settled()
    assert [name for name, *_ in seen] == told
    assert all(rest == [error, adapter, data] for _, *rest in seen)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [WaitEventCancel("x"), WaitEventOutOfFocus("x")])
async def test_ended_waits_never_reach_on_exception_nor_the_log_as_errors(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bot, adapter = make_bot()
    seen: list[Exception] = []

    @bot.on_exception()
    async def told(raised: Exception, instance: Any, data: Any) -> None:
        seen.append(raised)

    @bot.on_message(keywords="a")
    async def fail(data: Message) -> None:
        raise error

    async with running(bot):
        await adapter.say("a")
        await settled()
    assert seen == []
    assert caplog.text == ""


@pytest.mark.asyncio
async def test_errors_of_event_handlers_reach_on_exception_and_the_next_handler_runs() -> None:
    bot, adapter = make_bot()
    seen: list[Any] = []

    @bot.on_event()
    async def fail(event: Event, instance: Any) -> None:
        raise ValueError("bad")

    @bot.on_event()
    async def fine(event: Event, instance: Any) -> None:
        seen.append("fine")

    @bot.on_exception(ValueError)
    async def told(raised: Exception, instance: Any, data: Any) -> None:
        seen.append(data.event_name)

    async with running(bot):
        await adapter.happen("FRIEND_ADD")
        await settled()
    assert seen == ["FRIEND_ADD", "fine"]


@pytest.mark.asyncio
async def test_a_failing_handler_is_logged_by_name_and_everything_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    @bot.on_exception()
    async def fails_too(raised: Exception, instance: Any, data: Any) -> None:
        raise RuntimeError("the exception handler fails itself")

    @bot.on_message(keywords="bad")
    async def my_broken_handler(data: Message) -> None:
        raise ZeroDivisionError("oh no")

    @bot.on_message(keywords="good")
    async def good(data: Message) -> str:
        return "fine"

    async with running(bot):
        await adapter.say("bad")
        await adapter.say("good")
        assert await adapter.arrived() == ["fine"]
    assert "my_broken_handler failed: oh no" in caplog.text
    assert "Traceback" in caplog.text
    assert "fails_too failed itself" in caplog.text


@pytest.mark.asyncio
async def test_an_error_of_ours_is_one_line_that_names_the_place_in_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    async def refuse(chain: Chain) -> None:
        raise MediaSourceError("image 'cat.png' does not exist")

    @bot.on_message(keywords="sent")
    async def sends(data: Message) -> None:
        await data.send(Chain(data).image("cat.png"))

    @bot.on_message(keywords="returned")
    async def returns(data: Message) -> Chain:
        return Chain(data).image("cat.png")

    adapter.on_send = refuse
    async with running(bot):
        await adapter.say("sent")
        await adapter.say("returned")
        await settled()
    (sent, returned) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    line = sends.__code__.co_firstlineno + 2
    assert sent.endswith(f"sends failed ({__file__}:{line}): MediaSourceError: image 'cat.png' does not exist")
    assert returned.endswith("returns failed: MediaSourceError: image 'cat.png' does not exist")
    assert "Traceback" not in caplog.text


@pytest.mark.asyncio
async def test_an_answer_of_a_wrong_type_is_an_error_that_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> Any:
        return 42

    async with running(bot):
        await adapter.say("a")
        await settled()
    assert "an answer is a Chain or a str, got int: 42" in caplog.text


# timed_task


@pytest.mark.asyncio
async def test_timed_task_runs_again_and_again_until_close() -> None:
    bot, _ = make_bot()
    runs: list[Any] = []
    enough = asyncio.Event()

    @bot.timed_task(each=0.01)
    async def task(given: Any) -> None:
        runs.append(given)
        if len(runs) == 2:
            raise ValueError("an error does not end it")
        if len(runs) == 4:
            enough.set()

    async with running(bot), asyncio.timeout(2):
        await enough.wait()
    count = len(runs)
    await asyncio.sleep(0.03)
    assert len(runs) == count
    assert set(runs) == {bot}


@pytest.mark.asyncio
async def test_timed_task_without_each_runs_once_and_run_when_added_runs_at_once() -> None:
    bot, _ = make_bot()
    runs: list[str] = []

    @bot.timed_task()
    async def once(given: Any) -> None:
        runs.append("once")

    @bot.timed_task(each=60, run_when_added=True)
    async def at_once(given: Any) -> None:
        runs.append("at once")

    @bot.timed_task(each=60)
    async def later(given: Any) -> None:
        runs.append("later")

    async with running(bot):
        await settled()

        @bot.timed_task(run_when_added=True)
        async def added(given: Any) -> None:
            runs.append("added while running")

        await settled()
    assert runs == ["once", "at once", "added while running"]


@pytest.mark.asyncio
async def test_a_timed_task_that_ran_for_the_last_time_is_let_go() -> None:
    bot, _ = make_bot()
    ran = 0

    def add() -> weakref.ref[Any]:
        @bot.timed_task()
        async def once(given: Any) -> None:
            nonlocal ran
            ran += 1

        return weakref.ref(once)

    async with running(bot):
        known = [add() for _ in range(20)]
        await settled()
        gc.collect()
        assert ran == 20
        assert [one() for one in known] == [None] * 20


@pytest.mark.asyncio
async def test_remove_timed_task_removes_exactly_this_tag() -> None:
    bot, _ = make_bot()
    runs: list[str] = []
    third = asyncio.Event()

    @bot.timed_task(each=0.01, sub_tag="news")
    async def news(given: Any) -> None:
        runs.append("news")
        bot.remove_timed_task("news")  # from within: it may finish
        await asyncio.sleep(0)
        runs.append("news finished")

    @bot.timed_task(each=0.01, sub_tag="newsletter")
    async def newsletter(given: Any) -> None:
        runs.append("newsletter")
        if runs.count("newsletter") == 3:
            third.set()

    async with running(bot), asyncio.timeout(2):
        await third.wait()
    assert [run for run in runs if run != "newsletter"] == ["news", "news finished"]


@pytest.mark.asyncio
@pytest.mark.blocking  # APScheduler reads the machine's time zone from a file
async def test_timed_task_with_a_trigger_of_apscheduler() -> None:
    bot, _ = make_bot()
    runs = asyncio.Semaphore(0)

    @bot.timed_task(trigger="cron", second="*")
    async def each_second(given: Any) -> None:
        runs.release()

    @bot.timed_task(each=0.02, jitter=0.001, max_instances=1)
    async def often(given: Any) -> None:
        runs.release()

    async with running(bot), asyncio.timeout(3):
        for _ in range(3):
            await runs.acquire()


@pytest.mark.blocking  # as above
def test_timed_task_refuses_nonsense() -> None:
    bot, _ = make_bot()

    async def task(given: Any) -> None: ...

    for how in ({"each": 0}, {"each": -1}, {"trigger": "moon"}, {"trigger": "cron", "hour": 99}, {"hours": 1}):
        with pytest.raises(ConfigurationError, match="timed_task"):
            bot.timed_task(**how)(task)


def test_timed_task_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apscheduler.triggers.cron", None)
    bot, _ = make_bot()

    async def task(given: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[cron\]"'):
        bot.timed_task(trigger="cron", hour=0)(task)


# Life-cycle hooks


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
