"""How often and how long a message can be answered, and what happens beyond that."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot_core.chain import Chain
from bot_core.errors import OpenAPIError, PartlySentError, PayloadError, ReplyContextError
from bot_core.qq_group.reply import ReplyLimits
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import ConfigurationError
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.sending_kit import Kit, arrived, many, send, text

pytestmark = pytest.mark.asyncio


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


async def test_a_chain_that_needs_more_than_is_left_sends_nothing(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        await send(bot, many(data, 3))
        with pytest.raises(ReplyContextError, match="takes 5 replies, 3 are used, and this chain needs 3"):
            await send(bot, many(data, 3))
        assert len(kit.sandbox.arrived) == 3
        await send(bot, many(data, 2))
    assert not kit.sandbox.refused


async def test_with_the_fallback_the_rest_goes_out_unasked(kit: Kit) -> None:
    async with kit.start(proactive_fallback=True) as bot:
        said, data = await kit.hear(bot)
        handles = await send(bot, many(data, 7))
        assert [handle.proactive for handle in handles] == [False] * 5 + [True] * 2
        assert bot.adapter.replies_left(data) == 0
    assert [one.msg_id for one in kit.sandbox.arrived] == [said.id] * 5 + [None] * 2
    assert [one.content for one in kit.sandbox.arrived] == [f"part {number}" for number in range(1, 8)]


async def test_the_limits_are_settings(kit: Kit) -> None:
    async with kit.start(reply_limits=ReplyLimits(group_replies=2, group_seconds=10)) as bot:
        _, data = await kit.hear(bot)
        with pytest.raises(ReplyContextError, match="takes 2 replies"):
            await send(bot, many(data, 3))
        kit.time.later = 60
        with pytest.raises(ReplyContextError, match="replies are taken for 10 s"):
            await send(bot, text(data))


@pytest.mark.parametrize("private", [False, True])
async def test_too_late_says_so_before_anything_is_sent(kit: Kit, private: bool) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot, private=private)
        kit.time.later = 4000 if private else 400
        with pytest.raises(ReplyContextError, match=r"came \d+ s ago; replies are taken for (300|3600) s"):
            await send(bot, Chain(data).image(png()))
        assert bot.adapter.replies_left(data) == 0
    assert not kit.sandbox.calls["messages"]
    assert not kit.sandbox.calls["files"]


async def test_too_late_goes_out_unasked_with_the_fallback(kit: Kit) -> None:
    async with kit.start(proactive_fallback=True) as bot:
        _, data = await kit.hear(bot, private=True)
        kit.time.later = 4000
        [handle] = await send(bot, text(data))
    assert handle.proactive
    assert [one.msg_id for one in kit.sandbox.arrived] == [None]


async def test_a_handler_can_ask_what_is_left(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        assert data.replies_left == 5
        await send(bot, many(data, 2))
        assert data.replies_left == 3
        deadline = data.reply_deadline
        assert deadline is not None
        assert deadline.tzinfo is UTC
        assert abs((deadline - datetime.now(UTC)).total_seconds() - 300) < 5
        _, private = await kit.hear(bot, private=True)
        assert private.replies_left == 4
        assert private.reply_deadline is not None
        assert abs(private.reply_deadline.timestamp() - time.time() - 3600) < 5


async def test_where_the_platform_counts_otherwise_it_is_believed(tmp_path: Path) -> None:
    async with Sandbox.open(SandboxOptions(group_replies=2)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start() as bot:
            _, data = await kit.hear(bot)
            with pytest.raises(PartlySentError, match=r"2 of 3 messages were sent.*40034128"):
                await send(bot, many(data, 3))
            assert data.replies_left == 0
            _, data = await kit.hear(bot)
            with pytest.raises(PartlySentError, match=r"2 of 5 messages were sent.*40034128.*4: not tried") as raised:
                await send(bot, many(data, 5))
            assert len(raised.value.handles) == 2
            assert data.replies_left == 0
            with pytest.raises(ReplyContextError, match="takes 5 replies"):
                await send(bot, text(data))


async def test_where_the_platform_counts_otherwise_the_rest_goes_out_unasked(tmp_path: Path) -> None:
    async with Sandbox.open(SandboxOptions(group_replies=2)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start(proactive_fallback=True) as bot:
            said, data = await kit.hear(bot)
            handles = await send(bot, many(data, 5))
        assert [one.msg_id for one in sandbox.arrived] == [said.id] * 2 + [None] * 3
        assert [handle.proactive for handle in handles] == [False] * 2 + [True] * 3
        assert len(sandbox.refused) == 1


async def test_what_may_have_arrived_is_not_sent_unasked_as_well(tmp_path: Path) -> None:
    async with Sandbox.open(SandboxOptions(group_replies=1)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start(proactive_fallback=True) as bot:
            _, data = await kit.hear(bot)
            sandbox.faults.cut("messages")
            sandbox.faults.answer("messages", status=400, code=40034128)
            with pytest.raises(ReplyContextError, match="may have arrived"):
                await send(bot, text(data))
        assert not sandbox.arrived


async def test_long_text_is_cut_within_the_plan(kit: Kit) -> None:
    words = "\n\n".join(f"paragraph {number} " + "x" * 60 for number in range(6))
    async with kit.start(text_limit=200) as bot:
        said, data = await kit.hear(bot)
        await send(bot, Chain(data, at=False).text(words).image(png()))
        texts = [one.content for one in kit.sandbox.arrived]
        assert "".join(texts) == words
        assert kit.sandbox.arrived[-1].media is not None
        assert {one.msg_id for one in kit.sandbox.arrived} == {said.id}
        _, data = await kit.hear(bot)
        with pytest.raises(ReplyContextError, match="this chain needs"):
            await send(bot, Chain(data, at=False).text(words * 4))
        assert len(kit.sandbox.arrived) == len(texts)


async def test_text_that_is_too_long_for_the_platform_after_all_is_cut_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = "\n".join(f"line {number} " + "x" * 60 for number in range(14))
    async with Sandbox.open(SandboxOptions(text_limit=300)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start(text_limit=4000) as bot:
            said, data = await kit.hear(bot)
            handles = await send(bot, Chain(data, at=False, reference=True).text(words).image(png()))
            texts = [one.content for one in sandbox.arrived]
            assert "".join(texts) == words
            assert [one.media is not None for one in sandbox.arrived] == [False] * (len(texts) - 1) + [True]
            assert ["message_reference" in one.body for one in sandbox.arrived] == [True] + [False] * (len(texts) - 1)
            assert {one.msg_id for one in sandbox.arrived} == {said.id}
            assert data.replies_left == 5 - len(texts) == 5 - len(handles)
            assert sandbox.calls["files"] == 1
            refused = len(sandbox.refused)
            _, data = await kit.hear(bot)
            await send(bot, text(data, words))
            assert len(sandbox.refused) == refused  # what was learnt is kept
    assert "it is cut at" in caplog.text


async def test_text_that_is_too_long_and_for_which_no_reply_is_left_is_an_error(tmp_path: Path) -> None:
    async with Sandbox.open(SandboxOptions(text_limit=300)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start(text_limit=4000) as bot:
            _, data = await kit.hear(bot)
            await send(bot, many(data, 4))
            with pytest.raises(ReplyContextError, match="takes 5 replies, 5 are used"):
                await send(bot, text(data, "x" * 400))
            assert (data.replies_left, len(sandbox.arrived)) == (1, 4)
        async with kit.start(text_limit=None) as bot:
            _, data = await kit.hear(bot)
            with pytest.raises(PayloadError, match="40054007"):
                await send(bot, text(data, "x" * 400))


async def test_replies_of_every_kind_are_in_one_ledger(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot, private=True)
        chat = f"/v2/users/{data.user_openid}"
        typing = {"msg_type": 6, "input_notify": {"input_type": 1, "input_second": 30}, "msg_id": said.id, "msg_seq": 1}
        await bot.adapter.api.post(f"{chat}/messages", typing)
        assert data.replies_left == 3
        piece = {"input_mode": "replace", "content_type": "markdown", "msg_id": said.id, "msg_seq": 2}
        begun = await bot.adapter.api.post(
            f"{chat}/stream_messages", {**piece, "index": 0, "input_state": 1, "content_raw": "Hel"}
        )
        last = {**piece, "index": 1, "input_state": 10, "content_raw": "Hello", "stream_msg_id": begun["id"]}
        await bot.adapter.api.post(f"{chat}/stream_messages", last)
        assert data.replies_left == 2
        [handle] = await send(bot, text(data))
        assert (handle.attempts, data.replies_left) == (1, 1)
        with pytest.raises(ReplyContextError, match="takes 4 replies, 3 are used"):
            await send(bot, many(data, 2))
        with pytest.raises(OpenAPIError):
            await bot.adapter.api.post(f"{chat}/messages", {**typing, "msg_seq": 1})  # used before
        assert data.replies_left == 1


async def test_limits_that_make_no_sense_are_refused(kit: Kit) -> None:
    with pytest.raises(ConfigurationError, match="group_replies must be a number above 0"):
        ReplyLimits(group_replies=0)
    for wrong in ({"pace": "slow"}, {"text_limit": 10}, {"reply_limits": 5}):
        with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} must be"):
            kit.adapter(**wrong)


async def test_numbers_of_different_chats_do_not_meet(kit: Kit) -> None:
    async with kit.start() as bot:
        one, first = await kit.hear(bot, group="a")
        two, second = await kit.hear(bot, group="b")
        await send(bot, many(first, 2))
        await send(bot, many(second, 2))
    assert arrived(kit.sandbox) == [(one.id, 1), (one.id, 2), (two.id, 1), (two.id, 2)]
