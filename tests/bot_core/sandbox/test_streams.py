"""Texts that grow (PLATFORM 3.6)."""

from __future__ import annotations

from typing import Any

import pytest


async def piece(bot: Any, said: Any, number: int, text: str, **more: Any) -> tuple[int, Any]:
    body = {
        "input_mode": "append", "input_state": 1, "index": number, "content_type": "markdown", "content_raw": text,
        "msg_id": said.id, "msg_seq": 7, **more,
    }  # fmt: skip
    return await bot.call("POST", f"/v2/users/{said.target.openid}/stream_messages", json=body)


@pytest.mark.asyncio
async def test_a_text_grows_and_arrives_once(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("tell", private=True)
        status, first = await piece(bot, said, 0, "Hel")
        assert status == 200
        assert not sandbox.arrived
        more = {"stream_msg_id": first["id"]}
        _, second = await piece(bot, said, 1, "lo", **more)
        assert second["remain_msg_len"] == first["remain_msg_len"] - 2
        status, last = await piece(bot, said, 2, "Hello there", input_mode="replace", input_state=10, **more)
        assert (status, last["id"]) == (200, first["id"])
        [arrived] = await sandbox.replies(said)
        assert (arrived.id, arrived.content, arrived.msg_type) == (first["id"], "Hello there", 2)
        status, answer = await bot.post(f"users/{said.target.openid}", content="x", msg_id=said.id, msg_seq=7)
        assert answer["code"] == 40054005
        assert (await piece(bot, said, 3, "!", **more))[1]["code"] == 40007


@pytest.mark.asyncio
async def test_a_stream_is_one_of_the_answers(play: Any) -> None:
    async with play(user_replies=1) as (sandbox, bot):
        said = await sandbox.say("tell", private=True)
        assert (await piece(bot, said, 0, "Hel"))[0] == 200
        assert (await piece(bot, said, 0, "Hel", msg_seq=8))[1]["code"] == 40034128
        assert (await bot.post(f"users/{said.target.openid}", content="x", msg_id=said.id))[1]["code"] == 40034128


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"index": 2}, 40007),
        ({"input_mode": "replace", "content_raw": "Bye"}, 40007),
        ({"input_mode": "prepend"}, 40007),
        ({"stream_msg_id": "other"}, 40007),
        ({"stream_msg_id": ""}, 40007),
        ({"msg_seq": 8}, 40007),
        ({"content_raw": "x" * 20_001}, 40007),
        ({"content_raw": None}, 12002),
        ({"input_state": 2}, 12002),
    ],
)
async def test_a_piece_that_does_not_fit(play: Any, changes: dict[str, Any], code: int) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("tell", private=True)
        _, first = await piece(bot, said, 0, "Hel")
        status, answer = await piece(bot, said, 1, "lo", **{"stream_msg_id": first["id"], **changes})
        assert (status, answer["code"]) == (400, code)


@pytest.mark.asyncio
async def test_groups_have_no_streams(play: Any) -> None:
    async with play() as (_, bot):
        assert (await bot.call("POST", "/v2/groups/G/stream_messages", json={}))[0] == 404
