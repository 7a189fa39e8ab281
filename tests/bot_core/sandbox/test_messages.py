"""Sending and recalling (PLATFORM 3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.mark.asyncio
async def test_an_answer_arrives_with_everything_that_was_sent(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("hello", group="cats")
        d = await bot.heard()
        status, body = await bot.post(
            f"groups/{d['group_openid']}", msg_type=0, content="hi", msg_id=d["id"], msg_seq=7
        )
        assert status == 200
        assert set(body) == {"id", "timestamp", "ext_info"}
        assert body["timestamp"].endswith("+08:00")
        assert body["ext_info"]["ref_idx"].startswith("REFIDX_")
        [answer] = await sandbox.replies(said)
        assert (answer.id, answer.content, answer.msg_seq, answer.msg_id) == (body["id"], "hi", 7, said.id)
        assert (answer.chat, answer.media, answer.number) == ("cats", None, 1)
        assert answer.body["msg_seq"] == 7
        assert answer.monotonic > said.monotonic
        assert await sandbox.next_arrival() is answer


@pytest.mark.asyncio
async def test_the_same_number_twice_is_a_duplicate_and_arrives_once(play: Any) -> None:
    async with play() as (sandbox, bot):
        await sandbox.say("hello")
        d = await bot.heard()
        target = f"groups/{d['group_openid']}"
        assert (await bot.post(target, msg_type=0, content="a", msg_id=d["id"]))[0] == 200
        status, body = await bot.post(target, msg_type=0, content="a", msg_id=d["id"], msg_seq=1)
        assert (status, body["code"], body["err_code"]) == (400, 40054005, 40054005)
        assert len(sandbox.arrived) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("private", "replies", "window"), [(False, 5, 300), (True, 4, 3600)])
async def test_the_reply_window_and_count(play: Any, clock: Any, private: bool, replies: int, window: int) -> None:
    async with play(clock=clock) as (sandbox, bot):

        async def ask() -> tuple[str, str]:
            said = await sandbox.say("hello", private=private)
            await bot.heard()
            return f"{said.target.scene}/{said.target.openid}", said.id

        target, msg_id = await ask()
        for seq in range(replies):
            assert (await bot.post(target, msg_type=0, content="x", msg_id=msg_id, msg_seq=seq))[0] == 200
        _, body = await bot.post(target, msg_type=0, content="x", msg_id=msg_id, msg_seq=99)
        assert body["code"] == 40034128
        _, body = await bot.post(target, msg_type=0, content="x", msg_id=msg_id, msg_seq=0)
        assert body["code"] == 40054005  # a repeat after a lost answer is told apart from one too many
        target, msg_id = await ask()
        clock.now += window
        assert (await bot.post(target, msg_type=0, content="x", msg_id=msg_id))[0] == 200
        clock.now += 1
        _, body = await bot.post(target, msg_type=0, content="x", msg_id=msg_id, msg_seq=2)
        assert body["code"] == 40034005


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msg_type": 0}, 50006),
        ({"msg_type": 0, "content": "  "}, 50006),
        ({"msg_type": 0, "content": 5}, 12002),
        ({"msg_type": 7, "content": "x"}, 22006),
        ({"msg_type": 0, "content": "x", "media": {"file_info": "x"}}, 22006),
        ({"msg_type": 7, "media": {"file_info": "x"}}, 304080),
        ({"msg_type": 7, "media": {"file_info": 5}}, 304080),
        ({"msg_type": 2, "content": "x", "markdown": {"content": "y"}}, 50037),
        ({"msg_type": 2}, 22006),
        ({"msg_type": 4, "embed": {}}, 22006),
        ({"msg_type": 6, "input_notify": {"input_type": 1, "input_second": 5}}, 22006),
        ({"msg_type": 99}, 22006),
        ({"msg_type": []}, 22006),
        ({"msg_type": 0, "content": "see https://example.com"}, 40054010),
        ({"msg_type": 0, "content": "x", "msg_id": "nobody"}, 40034024),
        ({"msg_type": 0, "content": "x", "msg_id": 5}, 40034024),
        ({"msg_type": 0, "content": "x", "event_id": "nobody"}, 40034025),
    ],
)
async def test_what_the_platform_refuses(play: Any, body: Any, code: int) -> None:
    async with play() as (sandbox, bot):
        status, answer = await bot.post(f"groups/{sandbox.group_openid()}", **body)
        assert (status, answer["code"]) == (400, code)
        assert not sandbox.arrived
        assert sandbox.refused[-1].code == code


@pytest.mark.asyncio
async def test_a_body_that_is_no_object(play: Any) -> None:
    async with play() as (_, bot):
        for data in (b"", b"{", b"[1]", b"\xff"):
            status, body = await bot.call("POST", "/v2/groups/G/messages", data=data)
            assert (status, body["code"]) == (400, 12002)


@pytest.mark.asyncio
async def test_markdown_typing_and_proactive_messages_arrive(play: Any) -> None:
    async with play() as (sandbox, bot):
        group, user = f"groups/{sandbox.group_openid()}", f"users/{sandbox.user_openid()}"
        await bot.post(group, msg_type=2, markdown={"content": "# hi"})
        await bot.post(user, msg_type=6, input_notify={"input_type": 1, "input_second": 60})
        await bot.post(user, msg_type=0, content="unasked, with https://example.com")
        markdown, typing, text = sandbox.arrived
        assert (markdown.content, markdown.msg_id) == ("# hi", None)
        assert typing.msg_type == 6
        assert text.content.startswith("unasked")


@pytest.mark.asyncio
async def test_a_message_answers_only_in_its_own_chat_and_scene(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("hello", group="cats")
        dogs = sandbox.group_openid("dogs")
        _, body = await bot.post(f"groups/{dogs}", msg_type=0, content="x", msg_id=said.id)
        assert body["code"] == 40034024
        _, body = await bot.post(f"users/{said.target.openid}", msg_type=0, content="x", msg_id=said.id)
        assert body["code"] == 11255


@pytest.mark.asyncio
async def test_recall_within_two_minutes(play: Any, clock: Any) -> None:
    async with play(clock=clock) as (sandbox, bot):
        group = f"groups/{sandbox.group_openid()}"
        sent = [(await bot.post(group, msg_type=0, content="x"))[1]["id"] for _ in range(2)]
        assert await bot.call("DELETE", f"/v2/{group}/messages/{sent[0]}") == (200, {})
        assert [entry.id for entry in sandbox.recalled] == sent[:1]
        said = await sandbox.say("rude words")
        assert (await bot.call("DELETE", f"/v2/{group}/messages/{said.id}"))[0] == 200
        clock.now += 121
        for message_id, code in ((sent[1], 40064004), ("nobody", 40061001)):
            _, body = await bot.call("DELETE", f"/v2/{group}/messages/{message_id}")
            assert body["code"] == code


@pytest.mark.asyncio
async def test_replies_says_what_is_missing_and_why(play: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("hello")
        group = f"groups/{said.target.openid}"
        await bot.post(group, msg_type=0, content="one", msg_id=said.id)
        await bot.post(group, msg_type=0, content="", msg_id=said.id, msg_seq=2)
        with pytest.raises(TimeoutError, match=r"1 of 2 answers to 'hello' within 0\.05 s \('one'\).*50006"):
            await sandbox.replies(said, 2, timeout=0.05)
        assert len(await sandbox.replies(said, 1)) == 1
        await sandbox.next_arrival()
        with pytest.raises(TimeoutError, match="no bot sent anything"):
            await sandbox.next_arrival(timeout=0.05)


@pytest.mark.asyncio
async def test_everything_that_happens_is_told_in_order(play: Any, until: Any) -> None:
    heard: list[str] = []
    async with play() as (sandbox, bot):
        stop = sandbox.subscribe(lambda happening: heard.append(type(happening).__name__))
        said = await sandbox.say("hello")
        group = f"groups/{said.target.openid}"
        _, sent = await bot.post(group, msg_type=0, content="one", msg_id=said.id)
        await bot.post(group, msg_type=0)
        await bot.call("DELETE", f"/v2/{group}/messages/{sent['id']}")
        sandbox.close_connections(4009)
        await until(lambda: "Connection" in heard)
        stop()
        await sandbox.say("nobody listens")
    assert heard == ["Said", "Arrived", "Refused", "Recalled", "Connection"]


@pytest.mark.asyncio
async def test_what_is_remembered_is_bounded(play: Any) -> None:
    async with play(kept=3, remembered_messages=2) as (sandbox, bot):
        group = sandbox.group_openid()
        said = [await sandbox.say(str(number)) for number in range(4)]
        for number in range(5):
            await bot.post(f"groups/{group}", msg_type=0, content=str(number))
        assert [entry.content for entry in sandbox.arrived] == ["2", "3", "4"]
        assert [entry.content for entry in await sandbox.arrived_since(4)] == ["4"]
        _, body = await bot.post(f"groups/{group}", msg_type=0, content="late", msg_id=said[0].id)
        assert body["code"] == 40034024
        assert (await bot.post(f"groups/{group}", msg_type=0, content="x", msg_id=said[3].id))[0] == 200


@pytest.mark.asyncio
async def test_a_bot_that_goes_away_in_the_middle_of_a_call_is_no_error_of_ours(
    play: Any, caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    async with play() as (sandbox, bot):
        host, port = sandbox.api_base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v2/groups/G/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {bot.headers['Authorization']}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\nabc".encode())
        await until(lambda: sandbox.calls["messages"] == 1)
        writer.transport.abort()
        assert (await bot.post(f"groups/{sandbox.group_openid()}", msg_type=0, content="x"))[0] == 200
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
