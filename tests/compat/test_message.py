"""COMPAT, `Message`: its attributes and answers."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from bot_core import Chain, Message
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
