"""COMPAT, the table of `AmiyaBot`: how one is made, started and ended, what it sends, events, errors."""

from __future__ import annotations

import asyncio
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
