"""A wrong argument is refused where it is given, by its name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from bot_core import AmiyaBot, Chain, Event, InlineKeyboard, Message, MultipleAccounts, qq_group
from bot_core.elements import Text
from bot_core.qq_group.render import plan_chain
from tests.fakes.adapter import make_bot, running

# What follows says things that a type checker would not let pass.
accounts: Any = MultipleAccounts
event: Any = Event
keyboard: Any = InlineKeyboard


async def handler(*given: Any) -> None: ...


def _bot() -> Any:
    return AmiyaBot(appid="1", token="", adapter=qq_group(client_secret="s"))


@pytest.mark.parametrize("level", [0, -1, True, 1.5, Fraction(1, 2), float("inf")])
def test_any_number_is_a_level(level: Any) -> None:
    bot = _bot()
    bot.on_message("games", ("x", re.compile("y")), None, ["!"], True, False, level)(handler)
    assert [keyword.level for keyword in bot.message_handlers[0].keywords] == [level, level]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda bot: bot.on_message(handler), r"@on_message needs parentheses: write @on_message\(...\) above handler"),
        (lambda bot: bot.on_event(handler), "@on_event needs parentheses"),
        (lambda bot: bot.on_exception(handler), "@on_exception needs parentheses"),
        (lambda bot: bot.timed_task(handler), "@timed_task needs parentheses"),
        (lambda bot: bot.on_message(keywords="x")(None), "on_message takes a function; got None"),
        (lambda bot: bot.on_message(verify="x"), "verify takes a function; got 'x'"),
        (lambda bot: bot.on_message(keywords="x", level=float("nan")), "level is a number; got nan"),
        (lambda bot: bot.on_event(["GROUP_ADD_ROBOT", 5]), "on_event takes a word or a list of words"),
        (lambda bot: bot.on_event()(5), "on_event takes a function; got 5"),
        (lambda bot: bot.on_exception("ValueError"), "on_exception takes classes of exceptions; got 'ValueError'"),
        (lambda bot: bot.on_exception([ValueError, 5]), "on_exception takes classes of exceptions; got 5"),
        (lambda bot: bot.on_exception()(5), "on_exception takes a function; got 5"),
        (lambda bot: bot.timed_task(each="5"), "each is a number; got '5'"),
        (lambda bot: bot.timed_task(each=5)(5), "timed_task takes a function; got 5"),
        (lambda bot: bot.message_created(5), "message_created takes a function; got 5"),
        (lambda bot: bot.set_group_config("games"), r"set_group_config takes GroupConfig\(...\); got 'games'"),
        (lambda _: accounts(5), r"MultipleAccounts takes AmiyaBot\(...\), or a list of them; got 5"),
        (lambda _: accounts().append(5), "MultipleAccounts takes .*; got 5"),
        (lambda bot: accounts([bot, None]), "MultipleAccounts takes .*; got None"),
    ],
)
def test_what_is_registered(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(_bot())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda chain: type(chain)("hello"), r"a Chain begins with the message .* Chain\(data\).*; got 'hello'"),
        (lambda chain: chain.markdown_content(None), "content of markdown_content is a str; got None"),
        (lambda chain: chain.markdown_content("x", images=["cat"]), r"images is a mapping .*; got \['cat'\]"),
        (lambda chain: chain.markdown_content("x", images={"cat": None}), "images is .*; got None under 'cat'"),
        (lambda chain: chain.markdown_content("x", keyboard=5), "keyboard is an InlineKeyboard.*; got 5"),
        (lambda chain: chain.markdown_template("id", None), "params is a list of mappings; got None"),
        (lambda chain: chain.ark(23, "kv"), "kv is a list of mappings; got 'kv'"),
        (lambda _: keyboard().add_row().add_button(5, "label"), "button is an id, a str, or a Button; got 5"),
        (
            lambda _: keyboard().add_row().add_button("1", "label", permission_specify_user_ids="U1"),
            "given as a list of ids; got 'U1'",
        ),
    ],
)
def test_what_is_said(call: Callable[[Any], Any], words: str) -> None:
    chain = Chain(at=False)
    with pytest.raises(TypeError, match=words):
        call(chain)
    assert chain.chain == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda data: data.send("x", timeout="5"), "timeout is a number; got '5'"),
        (lambda data: data.wait("x", max_time="5"), "max_time is a number; got '5'"),
        (lambda data: data.wait("x", max_time=None), "max_time is a number; got None"),
        (lambda data: data.wait("x", level="5"), "level is a number; got '5'"),
        (lambda data: data.wait("x", data_filter="5"), "data_filter takes a function; got '5'"),
        (lambda data: data.wait_channel("x", max_time="6"), "max_time is a number; got '6'"),
        (lambda data: data.bot.send_message(None, channel_id="G"), "send_message takes a Chain or a str; got None"),
        (lambda data: event(data.instance, "E", {}).reply("x", timeout="6"), "timeout is a number; got '6'"),
    ],
)
async def test_what_a_handler_asks_for(call: Callable[[Any], Any], words: str) -> None:
    bot, adapter = make_bot()
    raised: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    @bot.on_message(keywords="go")
    async def go(data: Message) -> None:
        try:
            await call(data)
        except TypeError as error:
            raised.set_result(error)

    async with running(bot):
        await adapter.say("go")
        error = await asyncio.wait_for(raised, 5)
    assert adapter.sent == []
    assert re.search(words, str(error))


def test_what_is_no_element_of_a_chain_is_named() -> None:
    chain: list[Any] = [Text("x"), "junk"]
    with pytest.raises(TypeError, match=r"chain\.chain holds 'junk', which is no element"):
        plan_chain(chain)


@pytest.mark.parametrize(
    ("call", "given", "says"),
    [
        (qq_group, {"clientsecret": "s"}, "qq_group has no argument 'clientsecret'; did you mean 'client_secret'?"),
        (qq_group, {"keep_sesion": True}, "qq_group has no argument 'keep_sesion'; did you mean 'keep_session'?"),
        (_bot().on_message, {"keyword": "hi"}, "on_message has no argument 'keyword'; did you mean 'keywords'?"),
        (_bot().on_message, {"zzz": 1}, "on_message has no argument 'zzz'; there are group_id, keywords, "),
    ],
)
def test_an_argument_that_is_misspelt_is_told_with_the_one_that_was_meant(
    call: Callable[..., object], given: dict[str, object], says: str
) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(says)}"):
        call(**given)
