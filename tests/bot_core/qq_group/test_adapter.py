"""The adapter against the sandbox, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from bot_core.chain import Chain
from bot_core.errors import (
    AuthenticationError,
    BotError,
    PartlySentError,
    PayloadError,
    ReplyContextError,
    TargetError,
)
from bot_core.message import Event, Message
from bot_core.openapi.values import FileType
from bot_core.qq_group import QQGroupChainBuilderOptions, qq_group
from bot_core.sandbox import Sandbox, SandboxAccount, SandboxOptions
from qqmedia import (
    ConfigurationError,
    DriverNotFoundError,
    MediaFormatError,
    MediaSourceError,
)
from tests.bot_core.qq_group.conftest import Start, mp4, png, running, wav

pytestmark = pytest.mark.asyncio

PRIVATE = QQGroupChainBuilderOptions("192.0.2.1")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
    async with start(lambda data: Chain(data).text("alive")):
        for _ in range(2):
            for data in ({}, {"id": 1, "author": []}, {"id": "M", "group_openid": None, "mentions": {"a": 1}}):
                await sandbox.emit("GROUP_AT_MESSAGE_CREATE", data)
        said = await sandbox.say("still there?")
        assert await sandbox.replies(said)
    assert [line.getMessage() for line in caplog.records if "skipped" in line.getMessage()] == [
        "GROUP_AT_MESSAGE_CREATE skipped: it has no message id or names no chat; not said again"
    ]


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
    assert [line.getMessage() for line in caplog.records if name in line.getMessage()] == [f"{told}; not said again"]


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


# --- ways


async def test_bytes_go_up_where_the_platform_cannot_reach(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot_core")
    async with start(lambda data: Chain(data, at=False).image(png(side=300)), default_chain_builder="direct") as bot:
        [answer] = await sandbox.replies(await sandbox.say("picture"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png(side=300)))
    assert bot.handles[0].deliveries[0].way == "bytes"
    [line] = [one.getMessage() for one in caplog.records if "as bytes" in one.getMessage()]
    assert "public_url" in line


async def test_a_link_of_the_author_is_passed_on(sandbox: Sandbox, start: Start) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    async with start(lambda data: Chain(data, at=False).image(url=link), default_chain_builder="direct") as bot:
        [answer] = await sandbox.replies(await sandbox.say("link"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.url) == ("url", link)
    assert bot.handles[0].deliveries[0].url == link


@pytest.mark.parametrize("by", ["element", "options"])
async def test_a_link_can_be_fetched_here(sandbox: Sandbox, start: Start, by: str) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    options = QQGroupChainBuilderOptions(download_media=by == "options")
    download = True if by == "element" else None
    async with start(
        lambda data: Chain(data, at=False).image(url=link, download=download),
        default_chain_builder="direct",
        default_chain_builder_options=options,
    ):
        [answer] = await sandbox.replies(await sandbox.say("link"))
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png()))


async def test_a_download_has_a_limit(sandbox: Sandbox, start: Start) -> None:
    link = (await sandbox.attachment(png(), filename="a.png"))["url"]
    async with start(
        lambda data: Chain(data, at=False).image(url=link, download=True),
        default_chain_builder="direct",
        default_chain_builder_options=QQGroupChainBuilderOptions(media_max_bytes=10),
    ) as bot:
        await sandbox.say("link")
        assert "raise media_max_bytes" in str(await bot.error())


async def test_a_download_has_a_time_limit(sandbox: Sandbox, start: Start) -> None:
    hangs_up = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hangs_up.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        link = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
        async with start(
            lambda data: Chain(data, at=False).image(url=link, download=True),
            default_chain_builder="direct",
            default_chain_builder_options=QQGroupChainBuilderOptions(media_download_timeout=0.05),
        ) as bot:
            await sandbox.say("link")
            assert "raise media_download_timeout" in str(await bot.error())
        hangs_up.set()


async def test_a_link_to_nothing_is_an_error(sandbox: Sandbox, start: Start) -> None:
    link = f"{sandbox.api_base}/sandbox/media/nothing?sign=secret"
    async with start(lambda data: Chain(data, at=False).image(url=link, download=True)) as bot:
        await sandbox.say("link")
        error = await bot.error()
    assert isinstance(error, MediaSourceError)
    assert "404" in str(error)
    assert "secret" not in str(error)


# --- when something is wrong


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("missing.png", MediaSourceError),
        (".", MediaSourceError),
        (b"", MediaSourceError),
        (b"just text, called a picture", MediaFormatError),
        (42, MediaSourceError),
    ],
)
async def test_a_bad_medium_sends_nothing_and_the_bot_lives(
    sandbox: Sandbox, start: Start, bad: Any, error: type[Exception]
) -> None:
    def answer(data: Message) -> Chain:
        chain = Chain(data, at=False).text("before").image(png())
        return chain.image(bad) if data.text == "bad" else chain

    async with start(answer) as bot:
        said = await sandbox.say("bad")
        assert isinstance(await bot.error(), error)
        assert await sandbox.replies(await sandbox.say("good"))
        with pytest.raises(TimeoutError):
            await sandbox.replies(said, timeout=0.01)


async def test_a_message_that_failed_does_not_swallow_the_next(sandbox: Sandbox, start: Start) -> None:
    def answer(data: Message) -> Chain:
        return Chain(data, at=False).text("one").voice(wav()).text("see https://example.com").video(mp4())

    async with start(answer) as bot:
        said = await sandbox.say("all")
        error = await bot.error()
        answers = await sandbox.replies(said, 3)
    assert isinstance(error, PartlySentError)
    assert len(error.handles) == len(answers) == 3
    assert isinstance(error.errors[0], PayloadError)
    assert "3 of 4 messages were sent" in str(error)
    assert "40054010" in str(error)


async def test_after_a_hopeless_failure_the_rest_is_not_tried(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).text("one").voice(wav())) as bot:
        sandbox.faults.answer("messages", status=400, code=40054003)
        await sandbox.say("hi")
        assert isinstance(await bot.error(), TargetError)
        assert sandbox.calls["messages"] == 1


async def test_one_reply_too_many_is_refused_before_anything_is_sent(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data, at=False).image([png(number) for number in range(6)])) as bot:
        await sandbox.say("six")
        assert isinstance(await bot.error(), ReplyContextError)
        assert sandbox.calls["messages"] == sandbox.calls["files"] == 0


async def test_elements_without_a_form_are_left_out_with_a_warning(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda data: Chain(data, at=False).text("hi").face(5).tag("x")):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.content == "hi"
    assert "Face, Tag" in caplog.text


async def test_an_empty_chain_sends_nothing(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: None) as bot:
        await sandbox.say("hi")
        await bot.until(lambda: bot.received)
        [message] = bot.received
        assert isinstance(message, Message)
        assert await bot.adapter.send_chain(Chain(message, at=False)) == []
    assert sandbox.calls["messages"] == 0


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


# --- life


async def test_before_it_is_started_nothing_is_sent() -> None:
    adapter = qq_group("secret")("1020", "")
    with pytest.raises(BotError, match="not started"):
        await adapter.send_message(Chain().text("x"), channel_id="G")
    with pytest.raises(BotError, match="not started"):
        _ = adapter.api


async def test_after_it_was_closed_it_says_so(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda data: Chain(data).text("x")) as bot:
        await sandbox.say("hi")
        await bot.until(lambda: bot.received)
    for call in (
        bot.adapter.send_message(Chain().text("x"), channel_id="G"),
        bot.adapter.send_chain(Chain(bot.received[0]).text("x")),
    ):
        with pytest.raises(BotError, match="bot 1020 was closed, and reaches the platform no more"):
            await call
    with pytest.raises(BotError, match="was closed"):
        _ = bot.adapter.api


async def test_calls_made_while_it_opens_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    opening = asyncio.Event()

    async def send() -> None:
        await opening.wait()
        await adapter.send_message(Chain().text("early"), channel_id="G1")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(send())
        await asyncio.sleep(0)
        opening.set()
        async with adapter.open():
            await task
    assert (await sandbox.next_arrival()).content == "early"


async def test_it_can_be_started_again_after_it_ended(sandbox: Sandbox, tmp_path: Path) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    adapter = qq_group("secret", None, options, api_base=sandbox.api_base)("1020", "")
    for _ in range(2):
        async with running(adapter, lambda data: Chain(data).image(png()), sandbox):
            assert await sandbox.replies(await sandbox.say("hi"))


async def test_stopping_before_listening_is_no_error(sandbox: Sandbox) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    adapter.stop()
    async with adapter.open():
        adapter.stop()
        await adapter.listen(_never)


async def _never(_: Message | Event) -> None:
    raise AssertionError


async def test_a_wrong_secret_is_an_error_of_listen() -> None:
    accounts = (SandboxAccount(appid="1020", secret="right"),)
    async with Sandbox.open(SandboxOptions(accounts=accounts)) as sandbox:
        adapter = qq_group("wrong", "direct", api_base=sandbox.api_base)("1020", "")
        async with adapter.open():
            with pytest.raises(AuthenticationError):
                await adapter.listen(_never)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"default_chain_builder": "nowhere"}, DriverNotFoundError),
        ({"default_chain_builder": object()}, ConfigurationError),
        ({"default_chain_builder": ["direct", 5]}, ConfigurationError),
        ({"api_base": "not a url"}, ConfigurationError),
    ],
)
async def test_wrong_settings_show_when_it_opens(settings: dict[str, Any], error: type[Exception]) -> None:
    adapter = qq_group("secret", **settings)("1020", "")
    with pytest.raises(error):
        async with adapter.open():
            pass


async def test_two_bots_share_one_port_and_one_may_go(
    sandbox: Sandbox, start: Start, unused_tcp_port: int, tmp_path: Path
) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", unused_tcp_port, str(tmp_path / "shared"))
    async with start(lambda data: Chain(data).image(png(1)), "1", default_chain_builder_options=options):
        async with start(lambda data: Chain(data).image(png(2)), "2", default_chain_builder_options=options):
            for appid in ("1", "2"):
                [answer] = await sandbox.replies(await sandbox.say("hi", appid=appid))
                assert answer.media is not None
                assert f":{unused_tcp_port}/resource/" in str(answer.media.url)
        [answer] = await sandbox.replies(await sandbox.say("still", group="other", private=False, appid="1"))
        assert answer.media is not None


async def test_a_host_that_was_given_open_stays_open(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    async with qqmedia.open_host("local", platform_on_loopback=True, **local) as host:
        async with start(lambda data: Chain(data).image(png()), default_chain_builder=host):
            [answer] = await sandbox.replies(await sandbox.say("hi"))
            assert answer.media is not None
            assert answer.media.way == "url"
        assert str(await host.get_image(png())).startswith("http")


async def test_a_host_that_nobody_opened_opens_with_the_bot(
    sandbox: Sandbox, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody has to tell it that the platform is on this machine, too."""
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    host = qqmedia.open_host("local", **local)
    async with start(lambda data: Chain(data).image(png()), default_chain_builder=host):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        assert answer.media is not None
        assert answer.media.way == "url"
        assert "as bytes" not in caplog.text
    await host.aclose()


async def test_drivers_are_tried_in_their_order(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QQMEDIA_LOCAL_PORT", "0")
    monkeypatch.setenv("QQMEDIA_LOCAL_HOST", "127.0.0.1")
    async with start(
        lambda data: Chain(data).image(png()),
        default_chain_builder=["local", "direct"],
        default_chain_builder_options=QQGroupChainBuilderOptions(),
    ):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.way == "url"


async def test_options_of_the_server_reach_it_beside_other_drivers_too(
    sandbox: Sandbox, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lambda data: Chain(data).image(png()), default_chain_builder=["local", "direct"]):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        assert await asyncio.to_thread((tmp_path / "resource").is_dir)
    assert answer.media is not None
    assert answer.media.way == "url"
    assert "means nothing" not in caplog.text


async def test_the_environment_names_the_driver(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QQMEDIA_DRIVER", "direct")
    async with start(lambda data: Chain(data).image(png())):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.way == "file_data"
    # The options of the server that were given have no use then.
    assert "host, port, resource_path means nothing beside the driver direct" in caplog.text


async def test_a_private_address_is_told_once_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    async with qq_group("secret", default_chain_builder_options=options)("1020", "").open():
        [line] = [one for one in caplog.records if one.name == "bot_core.qq_group"]
    assert line.levelno == logging.INFO
    assert "media go to the platform as bytes" in line.getMessage()
    assert "QQMEDIA_LOCAL_PUBLIC_URL" in line.getMessage()


async def test_a_port_that_is_taken_is_one_warning_without_other_advice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    with socket.socket() as other:
        try:
            other.bind(("0.0.0.0", 8086))
            other.listen()
        except OSError:
            pass  # some other program has it, which is as good
        async with qq_group("secret")("1020", "").open():
            pass
    said = [one.getMessage() for one in caplog.records if one.name.startswith(("bot_core", "qqmedia"))]
    assert len(said) == 1
    assert "port 8086 is taken" in said[0]


async def test_a_public_address_needs_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    monkeypatch.setenv("QQMEDIA_LOCAL_PUBLIC_URL", "https://media.example.com")
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "r"))
    async with qq_group("secret", default_chain_builder_options=options)("1020", "").open():
        assert [one for one in caplog.records if one.name == "bot_core.qq_group"] == []


async def test_everything_goes_through_the_proxy() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        adapter = qq_group("secret", "direct", api_base="http://platform.invalid", proxy=address)("1020", "")
        async with adapter.open():
            with pytest.raises(BotError):
                await adapter.api.get_me()
    assert (await asked.get()).startswith(b"POST http://platform.invalid/app/getAppAccessToken")


async def test_an_upload_whose_first_sender_gives_up_is_taken_over(sandbox: Sandbox, start: Start) -> None:
    async with start(lambda _: None) as bot:
        send = bot.adapter.send_message
        sandbox.faults.stall("files", seconds=30)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            first = tasks.create_task(send(Chain().image(png()), channel_id="G1"))
            while not sandbox.calls["files"]:  # noqa: ASYNC110 - the sandbox has no event for it
                await asyncio.sleep(0.005)
            second = tasks.create_task(send(Chain().image(png()), channel_id="G2"))
            await asyncio.sleep(0.02)
            assert sandbox.calls["files"] == 1
            first.cancel()
        assert (await second)[0].deliveries[0].way == "url"
        assert sandbox.calls["files"] == 2


async def test_a_bot_whose_name_is_not_told_works_without(
    sandbox: Sandbox, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox.open(SandboxOptions(bot_name="")) as nameless:
        nameless.faults.answer("me", status=500)
        adapter = qq_group("secret", "direct", api_base=nameless.api_base)("1020", "")
        async with running(adapter, lambda data: Chain(data).text("hi"), nameless):
            assert await nameless.replies(await nameless.say("hi"))
    assert adapter.bot_name == ""
    assert "the name of bot 1020 is not known" in caplog.text


async def test_a_download_may_go_through_the_proxy_of_the_environment(
    sandbox: Sandbox, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        content = png(3)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        async with start(
            lambda data: Chain(data).image(url="http://pictures.invalid/a.png", download=True),
            default_chain_builder="direct",
            default_chain_builder_options=QQGroupChainBuilderOptions(media_trust_env=True),
        ):
            [answer] = await sandbox.replies(await sandbox.say("hi"))
    assert answer.media is not None
    assert answer.media.sha256 == sha256(png(3))


async def test_a_link_to_a_host_that_is_not_there_is_an_error(sandbox: Sandbox, start: Start) -> None:
    link = "http://127.0.0.1:1/a.png"
    async with start(lambda data: Chain(data).image(url=link, download=True)) as bot:
        await sandbox.say("hi")
        assert "cannot be fetched" in str(await bot.error())


async def test_starting_twice_is_an_error(sandbox: Sandbox) -> None:
    adapter = qq_group("secret", "direct", api_base=sandbox.api_base)("1020", "")
    async with adapter.open():
        with pytest.raises(BotError, match="started already"):
            async with adapter.open():
                pass


async def test_bytes_of_a_plugin_go_up_in_place_of_the_picture(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    class Stamp:
        @qqmedia.hookimpl
        def get_image(self, image: bytes) -> bytes:
            return png(8) if image == png() else image

    local = {"host": "127.0.0.1", "port": 0, "resource_path": str(tmp_path / "own")}
    async with (
        qqmedia.open_host("local", platform_on_loopback=True, plugins=[Stamp()], **local) as host,
        start(lambda data: Chain(data).image(png()), default_chain_builder=host) as bot,
    ):
        [answer] = await sandbox.replies(await sandbox.say("hi"))
        await bot.until(lambda: bot.handles)
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("file_data", sha256(png(8)))
    assert bot.handles[0].deliveries[0].way == "bytes"


async def test_two_shards_of_one_bot_each_answer(sandbox: Sandbox, start: Start, tmp_path: Path) -> None:
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "shared"))
    shards = [{"shard_index": index, "shards": 2, "default_chain_builder_options": options} for index in (0, 1)]
    async with (
        start(lambda data: Chain(data, at=False).text("zero").image(png()), **shards[0]),
        start(lambda data: Chain(data, at=False).text("one").image(png()), **shards[1]),
    ):
        for index, content in enumerate(("zero", "one")):
            [answer] = await sandbox.replies(await sandbox.say("who?", shard=index))
            assert answer.content == content
            assert answer.media is not None
