"""What a bot hears: payloads of PLATFORM 6."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.asyncio
async def test_a_mention_in_a_group(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("picture", user="Bob", group="cats", role="admin")
        frame = await bot.frame()
        assert frame["t"] == said.event_name == "GROUP_AT_MESSAGE_CREATE"
        assert frame["id"] == said.event_id
        assert frame["id"].startswith("GROUP_AT_MESSAGE_CREATE:")
        d = frame["d"]
        assert d["id"] == said.id
        assert d["content"] == " picture"
        assert d["group_openid"] == d["group_id"] == said.target.openid == sandbox.group_openid("cats")
        assert d["author"]["member_openid"] == sandbox.member_openid("Bob", "cats")
        assert (d["author"]["member_role"], d["author"]["username"]) == ("admin", "Bob")
        assert d["timestamp"].endswith("+08:00")
        assert d["message_scene"]["ext"][0].startswith("msg_idx=REFIDX_")
        assert len(d["group_openid"]) == 32


@pytest.mark.asyncio
async def test_documented_fields_only(play: Any) -> None:
    async with play() as (sandbox, bot):
        await sandbox.say("x", full=False)
        group = await bot.heard()
        assert set(group) == {"id", "content", "timestamp", "group_openid", "author"}
        assert set(group["author"]) == {"member_openid"}
        await sandbox.say("x", full=False, private=True)
        private = await bot.heard()
        assert set(private) == {"id", "content", "timestamp", "author"}
        assert set(private["author"]) == {"user_openid"}


@pytest.mark.asyncio
async def test_a_private_message(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("hi", user="Bob", private=True)
        frame = await bot.frame()
        assert frame["t"] == "C2C_MESSAGE_CREATE"
        assert frame["d"]["content"] == "hi"
        assert frame["d"]["author"]["user_openid"] == said.target.openid == sandbox.user_openid("Bob")
        assert "group_openid" not in frame["d"]


@pytest.mark.asyncio
async def test_a_mention_where_the_bot_reads_everything_keeps_its_tag(play: Any) -> None:
    async with play(full_receive=True) as (sandbox, bot):
        await sandbox.say("show pic")
        frame = await bot.frame()
        assert frame["t"] == "GROUP_MESSAGE_CREATE"
        [mention] = frame["d"]["mentions"]
        assert mention["is_you"] is True
        assert frame["d"]["content"] == f"<@{mention['member_openid']}> show pic"
        await sandbox.say("just talk", at=False)
        talk = await bot.heard()
        assert (talk["content"], talk["mentions"]) == ("just talk", [])


@pytest.mark.asyncio
async def test_openids_are_the_same_in_every_run(play: Any) -> None:
    openids = []
    for _ in range(2):
        async with play() as (sandbox, bot):
            await sandbox.say("x")
            openids.append((await bot.heard())["group_openid"])
    assert openids[0] == openids[1]


@pytest.mark.asyncio
async def test_an_attachment_can_be_downloaded(play: Any, png: Any) -> None:
    async with play() as (sandbox, bot):
        content = png(0)
        attachment = await sandbox.attachment(content, filename="cat.png")
        await sandbox.say("", attachments=[attachment])
        [got] = (await bot.heard())["attachments"]
        assert (got["content_type"], got["size"], got["filename"]) == ("image/png", len(content), "cat.png")
        async with bot.http.get(got["url"]) as response:
            assert await response.read() == content
            assert response.content_type == "image/png"


@pytest.mark.asyncio
async def test_nonsense_is_refused_before_anything_is_sent(play: Any) -> None:
    async with play() as (sandbox, _):
        for arguments in ({"group": "a", "private": True}, {"user": ""}, {"group": ""}):
            with pytest.raises(ValueError, match="say it in a group or in private"):
                await sandbox.say("x", **arguments)


@pytest.mark.asyncio
async def test_any_event_can_be_sent_and_answered_by_its_event_id(play: Any) -> None:
    async with play() as (sandbox, bot):
        group = sandbox.group_openid("cats")
        said = await sandbox.emit("GROUP_ADD_ROBOT", {"timestamp": 1784600000, "group_openid": group})
        frame = await bot.frame()
        assert frame["d"] == {"timestamp": 1784600000, "group_openid": group}
        status, _ = await bot.post(f"groups/{group}", msg_type=0, content="hello", event_id=frame["id"])
        assert status == 200
        [answer] = await sandbox.replies(said)
        assert (answer.event_id, answer.chat) == (frame["id"], "cats")
        await sandbox.emit("NOBODY_KNOWS_THIS", {})
        assert (await bot.frame())["t"] == "NOBODY_KNOWS_THIS"


@pytest.mark.asyncio
async def test_a_pressed_button_is_acknowledged(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.connect(intents=(1 << 25) | (1 << 26))
        data = {"id": "inter-1", "type": 11, "group_openid": sandbox.group_openid()}
        await sandbox.emit("INTERACTION_CREATE", data)
        status, _ = await bot.call("PUT", f"/interactions/{(await bot.heard())['id']}", json={"code": 0})
        assert status == 200
        [entry] = sandbox.acknowledged
        assert (entry.id, entry.code) == ("inter-1", 0)
        assert 0 <= entry.seconds < 5
        status, body = await bot.call("PUT", "/interactions/other", json={"code": 0})
        assert (status, body["code"]) == (400, 630001)


@pytest.mark.asyncio
@pytest.mark.parametrize("full", [True, False])
async def test_a_message_may_quote_another_one(play: Any, full: bool) -> None:
    async with play() as (sandbox, bot):
        await sandbox.say("what is that?", quote="a cat", full=full)
        d = await bot.heard()
    [quoted] = d["msg_elements"]
    assert (d["message_type"], quoted["message_type"], quoted["content"]) == (103, 103, "a cat")
    assert f"ref_msg_idx={quoted['msg_idx']}" in d["message_scene"]["ext"]
    assert quoted["msg_idx"].startswith("REFIDX_")
