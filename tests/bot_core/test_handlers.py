"""Registering handlers."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

import pytest

from bot_core import AmiyaBot, Message, qq_group
from bot_core.errors import OpenAPIError, PartlySentError
from qqmedia import MediaSourceError, StorageError
from tests.fakes.adapter import make_bot, running


def test_a_handler_that_never_gets_a_message_is_told_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    bot = AmiyaBot(appid="1", token="2", adapter=qq_group(client_secret="3"))

    def plain(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapped(data: Message) -> None:
            await function(data)

        return wrapped

    @bot.on_message()
    @plain
    async def forgotten(data: Message) -> None: ...

    @bot.on_message(keywords="x")
    async def wanted(data: Message) -> None: ...

    line = forgotten.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]
    [message] = caplog.messages
    assert f"forgotten ({__file__}:{line}) has neither keywords nor verify" in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keywords": "x", "level": "high"}, "level is a number; got 'high'"),
        ({"keywords": "x", "check_prefix": ["a", 5]}, r"check_prefix takes a word or a list of words; got \['a', 5\]"),
        ({"keywords": ["x", 5]}, "keywords are str, .* got 5"),
    ],
)
def test_what_would_stop_every_message_is_refused_where_it_is_written(given: Any, words: str) -> None:
    bot = AmiyaBot(appid="1", token="2", adapter=qq_group(client_secret="3"))
    with pytest.raises(TypeError, match=words):
        bot.on_message(**given)
    with pytest.raises(TypeError, match="set_prefix_keywords takes a word or a list of words; got 5"):
        bot.set_prefix_keywords(5)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_an_error_without_words_is_told_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    bot, adapter = make_bot()
    told = asyncio.Event()

    @bot.on_message(keywords="late")
    async def late(data: Message) -> None:
        raise TimeoutError

    @bot.on_exception()
    async def tell(error: Exception, instance: Any, data: Any) -> None:
        told.set()

    async with running(bot):
        await adapter.say("late")
        await asyncio.wait_for(told.wait(), 5)
    assert [message for message in caplog.messages if message.endswith("late failed: TimeoutError")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (MediaSourceError("no file cat.png"), 0),
        (OpenAPIError("it was refused"), 0),
        (PartlySentError("some", errors=[OpenAPIError("it was refused")]), 0),
        (PartlySentError("some", errors=[OpenAPIError("it was refused"), KeyError("theirs")]), 1),
        (StorageError("the driver failed"), 1),
        (KeyError("theirs"), 1),
    ],
    ids=str,
)
async def test_with_v_an_error_that_says_all_has_no_traceback_and_others_have_theirs(
    caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    caplog.set_level(logging.DEBUG, "bot_core")
    bot, adapter = make_bot()
    told = asyncio.Event()

    @bot.on_message(keywords="cat")
    async def cat(data: Message) -> None:
        raise error

    @bot.on_exception()
    async def tell(error: Exception, instance: Any, data: Any) -> None:
        told.set()

    async with running(bot):
        await adapter.say("cat")
        await asyncio.wait_for(told.wait(), 5)
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR and " failed" in one.getMessage()]) == 1
    assert len([one for one in caplog.records if one.exc_info]) == lines
