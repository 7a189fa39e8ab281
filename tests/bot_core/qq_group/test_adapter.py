"""The adapter against the sandbox, over real sockets: what comes in, what arrives, and that once is enough."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest

from bot_core.chain import Chain
from bot_core.errors import BotError
from bot_core.message import Event, Message
from bot_core.openapi.values import FileType
from bot_core.sandbox import Sandbox
from tests.bot_core.qq_group.conftest import Start, mp4, png, wav
from tests.bot_core.qq_group.uploading import sha256
from tests.waiting import until

pytestmark = pytest.mark.asyncio


# --- what arrives


async def test_a_text_reply_is_one_call(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).text("hello")) as bot:
        said = await sandbox.say("hi")
        [answer] = await sandbox.replies(said)
        await bot.until(lambda: bot.handles)
    assert answer.content == f"<@{sandbox.member_openid()}>\nhello"
    assert (answer.msg_id, answer.msg_seq) == (said.id, 1)
    assert (bot.handles[0].message_id, bot.handles[0].target) == (answer.id, answer.target)
    assert sandbox.calls["messages"] == 1
    assert not sandbox.refused


async def test_text_and_picture_are_one_message(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).text("look").image(png())) as bot:
        said = await sandbox.say("picture")
        [answer] = await sandbox.replies(said)
        await bot.until(lambda: bot.handles)
    assert answer.content == "look"
    assert answer.media is not None
    assert (answer.media.sha256, answer.media.way) == (sha256(png()), "url")
    [delivery] = bot.handles[0].deliveries
    assert (delivery.kind, delivery.way, delivery.size) == ("image", "url", len(png()))
    assert (delivery.content_type, delivery.url) == ("image/png", answer.media.url)


async def test_several_pictures_arrive_in_their_order(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    pictures = [png(1), png(2), png(3)]
    on_disk = tmp_path / "two.png"
    await asyncio.to_thread(on_disk.write_bytes, pictures[1])
    given = [pictures[0], on_disk, io.BytesIO(pictures[2])]
    async with start(lambda data: Chain(data, at=False).image(given)):
        said = await sandbox.say("pictures")
        answers = await sandbox.replies(said, 3)
    assert [one.media.sha256 for one in answers if one.media] == [sha256(one) for one in pictures]
    assert [one.msg_seq for one in answers] == [1, 2, 3]


async def test_a_voice_becomes_silk(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).voice(wav())):
        said = await sandbox.say("voice")
        [answer] = await sandbox.replies(said)
        assert answer.media is not None
        content = await answer.media.read()
    assert answer.media.file_type is FileType.VOICE
    assert content.startswith(b"\x02#!SILK_V3")


async def test_video_and_file_travel_behind_their_text(sandbox: Sandbox, start: Start) -> None:
    def answer(data: Message) -> Chain:
        return Chain(data, at=False).text("both").video(mp4()).file(b"%PDF-1.7 ...", "paper.pdf")

    async with start(answer):
        said = await sandbox.say("video")
        text, video, card = await sandbox.replies(said, 3)
    assert text.content == "both"
    assert video.media is not None
    assert (video.media.file_type, video.media.sha256) == (FileType.VIDEO, sha256(mp4()))
    assert card.media is not None
    assert (card.media.file_type, card.media.file_name) == (FileType.FILE, "paper.pdf")


async def test_a_private_chat(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).text(f"{data.is_direct} {data.text}").image(png())):
        said = await sandbox.say("psst", private=True)
        [answer] = await sandbox.replies(said)
    assert answer.content == "True psst"
    assert answer.target == said.target
    assert answer.media is not None


@pytest.mark.parametrize("full", [True, False])
async def test_messages_of_either_event_are_understood(sandbox: Sandbox, start: Start, full: bool) -> None:
    async with start(lambda data: Chain(data, at=False).text(f"{data.text}/{data.is_at}")):
        answers = []
        for name in ("GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"):
            said = await sandbox.say("hi", full=full, event_name=name)
            answers += await sandbox.replies(said)
    assert [one.content for one in answers] == ["hi/True", "hi/True"]


async def test_a_reply_can_quote(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, reference=True).text("yes")) as bot:
        said = await sandbox.say("really?")
        [answer] = await sandbox.replies(said)
    [message] = bot.received
    assert isinstance(message, Message)
    assert message.message is not None
    assert f"msg_idx={answer.body['message_reference']['message_id']}" in message.message["message_scene"]["ext"]


async def test_other_events_arrive_raw(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda _: None) as bot:
        data = {"timestamp": 1784600000, "group_openid": sandbox.group_openid(appid="1020"), "op_member_openid": "M"}
        await sandbox.emit("GROUP_ADD_ROBOT", data)
        await bot.until(lambda: bot.received)
    [event] = bot.received
    assert isinstance(event, Event)
    assert (event.event_name, event.data) == ("GROUP_ADD_ROBOT", data)


async def test_the_platform_says_what_the_bot_is_called(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda _: None) as bot:
        await sandbox.say("hi")
        await bot.until(lambda: bot.received)
        assert bot.adapter.bot_name == sandbox.options.bot_name


async def test_an_event_that_comes_again_is_dropped(sandbox: Sandbox, start: Start) -> None:
    data = {"id": "M1", "group_openid": "G1", "author": {"member_openid": "U1"}, "content": "once"}
    async with start(lambda _: None) as bot:
        await sandbox.emit("GROUP_AT_MESSAGE_CREATE", data)
        await sandbox.emit("GROUP_MESSAGE_CREATE", data)
        await sandbox.emit("GROUP_AT_MESSAGE_CREATE", data | {"id": "M2"})
        await bot.until(lambda: len(bot.received) == 2)
    assert [one.message_id for one in bot.received if isinstance(one, Message)] == ["M1", "M2"]


async def test_what_cannot_be_read_is_skipped_and_told_once_and_the_bot_lives(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda data: Chain(data).text("alive")) as bot:
        for _ in range(2):
            for data in ({}, {"id": 1, "author": []}, {"id": "M", "group_openid": None, "mentions": {"a": 1}}):
                await sandbox.emit("GROUP_AT_MESSAGE_CREATE", data)
        said = await sandbox.say("still there?")
        assert await sandbox.replies(said)
    (line,) = (record.getMessage() for record in caplog.records if "skipped" in record.getMessage())
    told = "GROUP_AT_MESSAGE_CREATE skipped: it has no message id or names no chat; not said again"
    assert line == f"bot {bot.adapter.appid}: {told}"


@pytest.mark.parametrize(
    "case",
    [
        ("BRAND_NEW", {"id": 1}, "'BRAND_NEW' is no event that this version knows: handed to on_event as it is"),
        ("GROUP_ADD_ROBOT", [1], "GROUP_ADD_ROBOT has data of type list, not an object: handed to on_event without it"),
        (
            "GROUP_MESSAGE_CREATE",
            {"group_openid": "G", "author": {"member_openid": "U"}, "content": 5},
            "GROUP_MESSAGE_CREATE has content of type int, not text: handled as far as it goes",
        ),
        ("GROUP_MESSAGE_CREATE", {"group_openid": "G"}, "GROUP_MESSAGE_CREATE names no author: handled without"),
    ],
    ids=["unknown name", "wrong type", "field of a wrong type", "field missing"],
)
async def test_an_odd_event_is_handed_on_and_told_once(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture, case: tuple[str, object, str]
) -> None:
    name, data, told = case
    async with start(lambda _: None) as bot:
        for number in range(3):
            own = data | {"id": f"M{number}"} if isinstance(data, dict) else data
            sandbox.send_frame(json.dumps({"op": 0, "id": f"{name}:{number}", "t": name, "s": 90 + number, "d": own}))
        await bot.until(lambda: len(bot.received) == 3)
    assert [line.getMessage() for line in caplog.records if name in line.getMessage()] == [
        f"bot {bot.adapter.appid}: {told}; not said again"
    ]


async def test_documented_events_are_not_remarked_upon(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda _: None) as bot:
        await sandbox.emit("GROUP_DEL_ROBOT", {"group_openid": "G"})
        await sandbox.emit("FORUM_THREAD_CREATE", {})
        await sandbox.say("hi")
        await bot.until(lambda: len(bot.received) == 3)
    assert "not said again" not in caplog.text


# --- once is enough


async def test_the_same_picture_is_uploaded_once(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).image(png())) as bot:
        for group in ("friends", "work", "friends"):
            await sandbox.replies(await sandbox.say("again", group=group))
        await bot.until(lambda: len(bot.handles) == 3)
        assert sandbox.calls["files"] == 1
        # A private chat is another world to the platform.
        await sandbox.replies(await sandbox.say("again", private=True))
        assert sandbox.calls["files"] == 2
    assert [handle.deliveries[0].way for handle in bot.handles[:3]] == ["url", "cache", "cache"]


async def test_eight_equal_pictures_at_once_are_one_upload(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).image(png())):
        said = [await sandbox.say("now", group=f"g{number}") for number in range(8)]
        await asyncio.gather(*(sandbox.replies(one) for one in said))
        assert sandbox.calls["files"] == 1


async def test_file_cards_of_another_name_are_other_uploads(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).file(b"%PDF-1.7", data.text)):
        for name in ("a.pdf", "b.pdf"):
            [answer] = await sandbox.replies(await sandbox.say(name))
            assert answer.media is not None
            assert answer.media.file_name == name


async def test_a_file_info_that_expired_is_uploaded_again(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).image(png())):
        await sandbox.replies(await sandbox.say("one"))
        sandbox.expire_files()
        [answer] = await sandbox.replies(await sandbox.say("two"))
    assert answer.media is not None
    assert answer.msg_seq == 2
    assert sandbox.calls["files"] == 2


async def test_an_answer_that_got_lost_is_not_sent_twice(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).text("once")) as bot:
        sandbox.faults.lose_answer("messages")
        said = await sandbox.say("hi")
        await bot.until(lambda: bot.handles)
        assert len(await sandbox.replies(said)) == 1
        assert sandbox.calls["messages"] == 2
        assert bot.handles[0].message_id == ""
        with pytest.raises(BotError, match="answer with its id got lost"):
            await bot.handles[0].recall()


async def test_a_cut_call_is_tried_once_more_under_the_same_number(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).text("hello")):
        sandbox.faults.cut("messages")
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.msg_seq == 1


# --- unasked, and taken back


async def test_unasked_to_a_group_and_to_a_user(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda _: None) as bot:
        await sandbox.say("hi")
        group, user = sandbox.group_openid(), sandbox.user_openid()
        await bot.adapter.send_message(Chain().text("to both"), user_id=user, channel_id=group)
        [handle] = await bot.adapter.send_message(Chain().text("to the user").image(png()), user_id=user)
        first, second = await sandbox.next_arrival(), await sandbox.next_arrival()
        with pytest.raises(BotError, match="channel_id"):
            await bot.adapter.send_message(Chain().text("to nobody"))
        with pytest.raises(BotError, match="answers no message"):
            await bot.adapter.send_chain(Chain().text("to nobody"))
    assert (first.target.openid, second.target.openid) == (group, user)
    assert first.msg_id is None
    assert handle.message_id == second.id


async def test_messages_are_recalled(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).text("oops")) as bot:
        said = await sandbox.say("hi")
        await bot.until(lambda: bot.handles)
        await bot.handles[0].recall()
        await bot.adapter.recall_message(said.id, data=bot.received[0])
        with pytest.raises(BotError, match="needs the chat"):
            await bot.adapter.recall_message(said.id)
    assert [one.id for one in sandbox.recalled] == [bot.handles[0].message_id, said.id]


async def test_an_upload_whose_first_sender_gives_up_is_taken_over(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda _: None) as bot:
        send = bot.adapter.send_message
        sandbox.faults.stall("files", seconds=30)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            first = tasks.create_task(send(Chain().image(png()), channel_id="G1"))
            await until(lambda: sandbox.calls["files"])
            second = tasks.create_task(send(Chain().image(png()), channel_id="G2"))
            await asyncio.sleep(0.02)
            assert sandbox.calls["files"] == 1
            first.cancel()
        assert (await second)[0].deliveries[0].way == "url"
        assert sandbox.calls["files"] == 2
