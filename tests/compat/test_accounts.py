"""COMPAT, `MultipleAccounts`."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from bot_core import Message, MultipleAccounts
from bot_core.errors import AuthenticationError, BotError
from qqmedia.errors import ConfigurationError
from tests.fakes.adapter import make_bot, running, settled


def test_it_takes_bots_or_one_list_and_is_a_container() -> None:
    one, two = make_bot("1")[0], make_bot("2")[0]
    for accounts in (MultipleAccounts(one, two), MultipleAccounts([one, two])):
        assert list(accounts) == [one, two]
        assert accounts["1"] is one
        assert accounts["3"] is None
        assert "2" in accounts
        assert 2 in accounts
        assert "3" not in accounts


def test_two_bots_of_one_appid_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="appid 1 already"):
        MultipleAccounts(make_bot("1")[0], make_bot("1")[0])


@pytest.mark.asyncio
async def test_handlers_reach_every_account_and_each_keeps_its_own() -> None:
    (one, first), (two, second) = make_bot("1"), make_bot("2")
    accounts = MultipleAccounts(one, two)
    accounts.set_prefix_keywords("amiya")
    created: list[str] = []

    @accounts.on_message(keywords="hello")
    async def shared(data: Message) -> str:
        return f"shared by {data.instance.appid}"

    @one.on_message(keywords="own")
    async def own(data: Message) -> str:
        return "own"

    @accounts.message_created
    async def hook(data: Message, instance: Any) -> None:
        created.append(instance.appid)

    @accounts.on_exception()
    async def told(error: Exception, instance: Any, data: Any) -> None:
        created.append(f"error in {instance.appid}")

    @two.on_message(keywords="fail")
    async def fail(data: Message) -> None:
        raise ValueError("bad")

    async with running(accounts):
        for adapter in (first, second):
            await adapter.say("amiya hello")
            await adapter.say("amiya own")
            await settled()
        await second.say("amiya fail")
        await settled()
    assert sorted(first.texts) == ["own", "shared by 1"]
    assert second.texts == ["shared by 2"]
    assert created == ["1", "1", "2", "2", "2", "error in 2"]
    assert one.prefix_keywords == accounts.prefix_keywords == ["amiya"]


@pytest.mark.asyncio
async def test_append_and_del_while_running() -> None:
    (one, first), (two, second), (three, third) = make_bot("1"), make_bot("2"), make_bot("3")
    accounts = MultipleAccounts(one)
    async with running(accounts):
        assert accounts.append(two) is two
        assert accounts.append(three, False, False) is three
        async with asyncio.timeout(1):
            await second.listening.wait()
        assert third.opened == 0
        del accounts["1"]
        async with asyncio.timeout(1):
            await one.close()
        assert (first.closed, second.closed) == (1, 0)
        assert "1" not in accounts
        with pytest.raises(ConfigurationError, match="already"):
            accounts.append(make_bot("2")[0])
        with pytest.raises(KeyError):
            del accounts["1"]
    assert (second.closed, third.opened) == (1, 0)


@pytest.mark.asyncio
async def test_accounts_that_are_gone_are_let_go(caplog: pytest.LogCaptureFixture) -> None:
    accounts = MultipleAccounts(make_bot("1")[0])

    async def come_and_go(*, fails: bool, deleted: bool) -> weakref.ref[Any]:
        bot, adapter = make_bot("2")
        if fails:
            adapter.fatal = AuthenticationError("invalid appid or secret")
        accounts.append(bot)
        await settled()
        if deleted:
            del accounts["2"]
        await bot.close()
        return weakref.ref(bot)

    async with running(accounts):
        known = [
            await come_and_go(fails=False, deleted=True),
            await come_and_go(fails=True, deleted=False),  # dead: the next one takes its place
            await come_and_go(fails=True, deleted=True),
        ]
        await settled()
        caplog.clear()  # it holds the errors, with their frames
        gc.collect()
        assert [one() for one in known] == [None] * 3
        assert len(list(accounts)) == 1


@pytest.mark.asyncio
async def test_it_may_begin_empty_and_outlive_its_last_account() -> None:
    accounts = MultipleAccounts()
    async with running(accounts):
        await settled()
        bot, adapter = make_bot("1")
        accounts.append(bot)
        await adapter.listening.wait()
        del accounts["1"]
        await bot.close()
        await settled()
        with pytest.raises(BotError, match="run already"):
            await accounts.start()
    with pytest.raises(BotError, match="closed"):
        await accounts.start()


@pytest.mark.asyncio
async def test_one_failing_account_does_not_touch_the_others(caplog: pytest.LogCaptureFixture) -> None:
    (one, first), (two, second) = make_bot("1"), make_bot("2")
    second.fatal = AuthenticationError("invalid appid or secret")
    accounts = MultipleAccounts(one, two)
    task = asyncio.create_task(accounts.start(launch_browser=True))
    await first.listening.wait()
    await settled()
    assert not task.done()
    assert "account 2 ended: AuthenticationError: invalid appid or secret" in caplog.text
    replacement, adapter = make_bot("2")
    accounts.append(replacement)  # the dead one gives its place
    await adapter.listening.wait()
    await accounts.close()
    await task


@pytest.mark.asyncio
async def test_when_all_are_dead_it_raises_what_the_first_died_of() -> None:
    (one, first), (two, second) = make_bot("1"), make_bot("2")
    first.fatal, second.fatal = AuthenticationError("first"), AuthenticationError("second")
    with pytest.raises(AuthenticationError, match="first"):
        await MultipleAccounts(one, two).start()


@pytest.mark.asyncio
async def test_close_from_a_handler_ends_all() -> None:
    (one, first), (two, second) = make_bot("1"), make_bot("2")
    accounts = MultipleAccounts(one, two)

    @accounts.on_message(keywords="stop")
    async def stop(data: Message) -> str:
        await accounts.close()
        return "bye"

    task = asyncio.create_task(accounts.start())
    await asyncio.gather(first.listening.wait(), second.listening.wait())
    await first.say("stop")
    async with asyncio.timeout(0.4):
        await task
    assert (first.texts, first.closed, second.closed) == (["bye"], 1, 1)


@pytest.mark.asyncio
async def test_cancelling_it_ends_every_account() -> None:
    (one, first), (two, second) = make_bot("1"), make_bot("2")
    task = asyncio.create_task(MultipleAccounts(one, two).start())
    await asyncio.gather(first.listening.wait(), second.listening.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (first.closed, second.closed) == (1, 1)


@pytest.mark.asyncio
async def test_a_timed_task_of_all_runs_once_with_the_accounts() -> None:
    accounts = MultipleAccounts(make_bot("1")[0], make_bot("2")[0])
    runs: list[Any] = []

    @accounts.timed_task()
    async def task(given: Any) -> None:
        runs.append(given)

    async with running(accounts):
        await settled()
    assert runs == [accounts]


def test_removing_an_account_is_told_and_one_that_is_not_there_is_an_error_that_says_who_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    accounts = MultipleAccounts(make_bot("1")[0], make_bot("2")[0])
    caplog.set_level("INFO", "bot_core.accounts")
    with pytest.raises(KeyError, match=r"there is no account with appid 999; there are: 1, 2"):
        del accounts["999"]
    del accounts["1"]
    assert [record.getMessage() for record in caplog.records] == ["account 1 is removed"]
    assert "1" not in accounts
