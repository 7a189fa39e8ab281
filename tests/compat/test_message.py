"""COMPAT, `Message`: its attributes, answers, and conversations."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from typing import Any

import pytest

from bot_core import AmiyaBot, Chain, Message, WaitEventCancel, WaitEventOutOfFocus
from bot_core.adapter import MessageHandle
from bot_core.errors import BotError
from qqmedia.errors import ConfigurationError
from tests.fakes.adapter import FakeAdapter, make_bot, running, settled


def test_attributes_and_their_defaults() -> None:
    adapter = FakeAdapter("1")
    data = Message(adapter, {"id": "raw"})
    assert data.instance is adapter
    assert data.message == {"id": "raw"}
    assert data.bot is None
    assert data.verify is None
    assert abs(data.time - time.time()) <= 1
    strings = (
        "message_id message_type voice audio video text text_prefix text_digits text_unsigned text_original user_id"
        " user_openid channel_id channel_openid guild_id src_guild_id nickname avatar reference_message_id event_id"
    )
    assert {name: getattr(data, name) for name in strings.split()} == dict.fromkeys(strings.split(), "")
    for name in ("face", "image", "files", "at_target", "attachments"):
        assert getattr(data, name) == []
    for name in ("is_at", "is_at_all", "is_admin", "is_direct"):
        assert getattr(data, name) is False


def test_set_text_strips_and_derives() -> None:
    data = Message(FakeAdapter("1"))
    data.set_text("  roll 三十五, please!  ")
    assert data.text == "roll 三十五, please!"
    assert data.text_original == "  roll 三十五, please!  "
    assert data.text_digits == "roll 35, please!"
    assert data.text_unsigned == "roll 三十五 please"
    data.set_text("other", set_original=False)
    assert (data.text, data.text_digits) == ("other", "other")
    assert data.text_original == "  roll 三十五, please!  "


def test_what_is_derived_can_be_set_until_the_text_is_set_anew() -> None:
    data = FakeAdapter("1").message("三")
    data.text_digits, data.text_unsigned, data.text_words = "x", "y", ["z"]
    copy = data.copy()
    assert (copy.text_digits, copy.text_unsigned, copy.text_words) == ("x", "y", ["z"])
    data.set_text("四!")
    assert (data.text_digits, data.text_unsigned) == ("4!", "四")


def test_copy_shares_no_list() -> None:
    data = FakeAdapter("1").message("a")
    data.face.append("5")
    copy = data.copy()
    copy.face.append("6")
    copy.set_text("b")
    assert (data.face, data.text) == (["5"], "a")
    assert (copy.face, copy.message_id, copy.instance) == (["5", "6"], data.message_id, data.instance)


def test_a_message_in_one_line_for_the_log() -> None:
    data = FakeAdapter("1").message("two\nlines")
    data.nickname, data.is_admin, data.image = "Ann", True, ["https://a"]
    assert str(data) == "Bot:1 Channel:G1 User:U1(admin) Ann: two lines[image]"


@pytest.mark.blocking  # the segmenter reads its dictionary
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_text_words() -> None:
    pytest.importorskip("jieba")
    data = FakeAdapter("1").message("查询 三十五 号 Weather")
    assert {"查询", "35", "weather"} <= set(data.text_words)


def test_text_words_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot_core import texts

    texts._segmenter.cache_clear()
    texts._words.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[words\]"'):
        _ = FakeAdapter("1").message("text").text_words


# Answers


@pytest.mark.asyncio
async def test_a_str_goes_out_without_a_mention_and_a_chain_as_it_was_made() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="str")
    async def plain(data: Message) -> str:
        return "plain"

    @bot.on_message(keywords="chain")
    async def chain(data: Message) -> Chain:
        return Chain(data).text("chain")

    async with running(bot):
        for text in ("str", "chain"):
            await adapter.say(text)
            await settled()
    assert [[type(element).__name__ for element in chain.chain] for chain in adapter.sent] == [["Text"], ["At", "Text"]]


@pytest.mark.asyncio
@pytest.mark.parametrize("falsy", [None, "", False, 0, []])
async def test_a_falsy_result_sends_nothing(falsy: Any) -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> Any:
        return falsy

    async with running(bot):
        await adapter.say("a")
        await settled()
    assert adapter.sent == []


@pytest.mark.asyncio
async def test_send_returns_one_handle_several_or_none() -> None:
    bot, adapter = make_bot()
    sent: list[Any] = []

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> None:
        sent.append(await data.send(Chain(data).text("one")))
        sent.append(await data.send(Chain(data).image(b"1").image(b"2")))
        sent.append(await data.send(Chain(data, at=False)))

    async with running(bot):
        await adapter.say("a")
        await settled()
        one, several, nothing = sent
        assert isinstance(one, MessageHandle)
        assert (one.response, one.response.json, one.instance) == ({"id": "S2"}, {"id": "S2"}, adapter)
        assert one.data is not None
        assert one.data.text == "a"
        assert [handle.message_id for handle in several] == ["S3", "S4"]
        assert nothing is None
        await one.recall()
    assert adapter.recalled == [("S2", "target")]


@pytest.mark.asyncio
async def test_recall_of_the_received_message() -> None:
    bot, adapter = make_bot()

    @bot.on_message(keywords="a")
    async def handler(data: Message) -> None:
        await data.recall()

    async with running(bot):
        data = await adapter.say("a")
        await settled()
    assert adapter.recalled == [(data.message_id, data)]
    assert data.bot is bot


@pytest.mark.asyncio
async def test_a_message_without_a_bot_cannot_be_answered() -> None:
    with pytest.raises(BotError, match="running bot"):
        await Message(FakeAdapter("1")).send("a")


# wait


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


# wait_channel


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
