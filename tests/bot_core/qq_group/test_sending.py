"""Never twice, never lost: against the sandbox over sockets, with faults."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from pathlib import Path

import pytest

from bot_core import ChainBuilder
from bot_core.chain import Chain
from bot_core.errors import (
    AuthenticationError,
    OpenAPIError,
    PartlySentError,
    PayloadError,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    ReplyContextError,
    TargetError,
)
from bot_core.openapi.values import Scene, Target
from bot_core.sandbox import Sandbox
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.sending_kit import Kit, arrived, many, send, text

pytestmark = pytest.mark.asyncio


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


async def test_answers_that_get_lost_do_not_make_a_second_message(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.lose_answer("messages", times=2)
        [handle] = await send(bot, text(data))
    assert arrived(kit.sandbox) == [(said.id, 1)]
    assert (handle.attempts, handle.message_id) == (3, "")
    assert [refused.code for refused in kit.sandbox.refused] == [40054005, 40054005]


@pytest.mark.parametrize(
    ("status", "code", "html"), [(502, 0, True), (504, 0, True), (502, 0, False), (504, 504001, False)]
)
async def test_a_proxy_that_answers_is_unclear_too(kit: Kit, status: int, code: int, html: bool) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=status, code=code, html=html)
        [handle] = await send(bot, text(data))
    assert arrived(kit.sandbox) == [(said.id, 1)]
    assert handle.attempts == 2


@pytest.mark.parametrize(("status", "code"), [(500, 50055001), (500, 0), (503, 0), (400, 40054006), (429, 0)])
async def test_after_a_clear_refusal_the_next_try_has_a_new_number(kit: Kit, status: int, code: int) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=status, code=code)
        [handle] = await send(bot, text(data))
    assert arrived(kit.sandbox) == [(said.id, 2)]
    assert handle.attempts == 2
    assert kit.time.slept[0] > 0


async def test_once_unclear_the_number_stays_whatever_else_goes_wrong(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.lose_answer("messages")
        kit.sandbox.faults.answer("messages", status=500, code=50055001, times=2)
        [handle] = await send(bot, text(data))
    assert arrived(kit.sandbox) == [(said.id, 1)]
    assert handle.attempts == 4


async def test_a_number_that_somebody_else_used_is_not_taken_for_delivered(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        target = Target(Scene.GROUP, data.channel_openid)
        await bot.adapter.api.post_message(target, {"msg_type": 0, "content": "x", "msg_id": said.id, "msg_seq": 1})
        [handle] = await send(bot, text(data))
    assert arrived(kit.sandbox) == [(said.id, 1), (said.id, 2)]
    assert handle.message_id


async def test_what_answers_nothing_is_not_repeated_after_an_unclear_failure(kit: Kit) -> None:
    async with kit.start() as bot:
        group = kit.sandbox.group_openid()
        kit.sandbox.faults.lose_answer("messages")
        with pytest.raises(OpenAPIError, match="it may have arrived all the same"):
            await bot.adapter.send_message(Chain().text("news"), channel_id=group)
        assert len(kit.sandbox.arrived) == 1
        kit.sandbox.faults.answer("messages", status=500, code=50055001)
        [handle] = await bot.adapter.send_message(Chain().text("news"), channel_id=group)
    assert len(kit.sandbox.arrived) == 2
    assert (handle.attempts, handle.proactive) == (2, True)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, 40054010, PayloadError),
        (400, 40054002, TargetError),
        (400, 22009, QuotaError),
        (400, 11253, PermissionDeniedError),
        (401, 11245, AuthenticationError),
        (404, 0, OpenAPIError),
    ],
)
async def test_what_no_repetition_helps_is_not_repeated(
    kit: Kit, status: int, code: int, error: type[Exception]
) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=status, code=code, times=2)
        with pytest.raises(error):
            await send(bot, text(data))
        assert kit.sandbox.faults.left("messages") == 1
        assert not kit.time.slept


async def test_a_code_that_nobody_knows_is_judged_by_its_status_and_logged(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=500, code=987654)
        [handle] = await send(bot, text(data))
        assert handle.attempts == 2
    assert re.search(r"not known here: .*code 987654.*trace id \w+", caplog.text)


async def test_a_code_for_one_more_try_gets_one_more(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=11252, times=3)
        with pytest.raises(OpenAPIError, match="tried 2 times"):
            await send(bot, text(data))
        assert kit.sandbox.faults.left("messages") == 1


@pytest.mark.parametrize("limit", [None, 5.0])
async def test_it_gives_up_when_its_time_is_over(kit: Kit, limit: float | None) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=500, code=50055001, times=1000)
        with pytest.raises(OpenAPIError, match=r"tried \d+ times") as raised:
            await send(bot, text(data), timeout=limit)
    total = sum(kit.time.slept)
    assert (limit or 60) - 9 < total < (limit or 60)
    assert raised.value.code == 50055001
    assert raised.value.trace_id


async def test_it_gives_up_when_the_time_for_replies_is_over(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.time.later = 310.0  # five seconds of grace are left
        kit.sandbox.faults.answer("messages", status=500, code=50055001, times=1000)
        with pytest.raises(OpenAPIError, match=r"tried \d+ times"):
            await send(bot, text(data))
    assert sum(kit.time.slept) < 5.5


async def test_a_call_that_hangs_is_cut_by_the_limit(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.stall("messages", seconds=5)
        with pytest.raises(OpenAPIError, match=r"no answer within 0\.2 s.*may have arrived"):
            await send(bot, text(data), timeout=0.2)


async def test_an_upload_that_hangs_is_cut_by_the_limit(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.stall("files", seconds=5)
        with pytest.raises(OpenAPIError, match=r"image was not at the platform within 0\.2 s.*longer timeout"):
            await send(bot, Chain(data).image(png()), timeout=0.2)
    assert not kit.sandbox.arrived


async def test_a_message_that_failed_does_not_swallow_the_next_and_leaves_it_its_place(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=40034006)
        with pytest.raises(PartlySentError, match=r"4 of 5 messages were sent - 1: .*40034006") as raised:
            await send(bot, many(data, 5))
        assert bot.adapter.replies_left(data) == 1
    assert arrived(kit.sandbox) == [(said.id, seq) for seq in (2, 3, 4, 5)]
    assert [type(error) for error in raised.value.errors] == [PayloadError]
    assert len(raised.value.handles) == 4


async def test_a_message_that_may_have_arrived_keeps_its_place(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.cut("messages", times=1000)
        with pytest.raises(OpenAPIError, match="may have arrived"):
            await send(bot, text(data), timeout=2)
        assert bot.adapter.replies_left(data) == 4


async def test_the_result_tells_what_it_took(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        [first] = await send(bot, Chain(data).text("look").image(png()))
        [second] = await send(bot, Chain(data).image(png()))
    assert (first.attempts, first.proactive) == (1, False)
    assert first.trace_id
    assert first.trace_id != second.trace_id
    assert [delivery.way for delivery in (*first.deliveries, *second.deliveries)] == ["url", "cache"]


async def test_a_medium_that_is_refused_at_sending_is_uploaded_again_under_the_rules(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        await send(bot, Chain(data, at=False).image(png()))
        kit.sandbox.expire_files()
        kit.sandbox.faults.lose_answer("messages")
        [handle] = await send(bot, Chain(data, at=False).image(png()))
    assert arrived(kit.sandbox)[0] == (said.id, 1)
    assert len(kit.sandbox.arrived) == 2
    assert handle.attempts >= 3


@pytest.mark.parametrize("code", [304080, 304082, 304083, 40034004])
async def test_these_codes_call_for_another_upload_at_once(kit: Kit, code: int) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=code)
        [handle] = await send(bot, Chain(data, at=False).image(png()))
    assert kit.sandbox.calls["files"] == 2
    assert (handle.attempts, len(kit.sandbox.arrived)) == (2, 1)
    assert not kit.time.slept


async def test_one_token_is_fetched_for_fifty_sends_at_once(kit: Kit) -> None:
    async with kit.start() as bot:
        heard = [await kit.hear(bot, f"hi {number}") for number in range(50)]
        await asyncio.gather(*(send(bot, text(data)) for _, data in heard))
        before = kit.sandbox.calls["token"]
        kit.sandbox.revoke_tokens()
        handles = await asyncio.gather(*(send(bot, text(data)) for _, data in heard))
    assert kit.sandbox.calls["token"] == before + 1
    assert {handle.attempts for [handle] in handles} == {1}
    assert sorted(arrived(kit.sandbox)) == sorted((said.id, seq) for said, _ in heard for seq in (1, 2))


async def test_the_rate_limit_is_waited_out(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=429, html=True, times=3)
        [handle] = await send(bot, text(data))
        assert handle.attempts == 4
        kit.sandbox.faults.answer("messages", status=429, html=True, times=1000)
        with pytest.raises(RateLimitedError, match="tried"):
            await send(bot, text(data), timeout=10)


def break_something(sandbox: Sandbox, which: int) -> None:
    match which:
        case 0:
            sandbox.faults.lose_answer("messages")
        case 1:
            sandbox.faults.cut("messages")
        case 2:
            sandbox.faults.answer("messages", status=500, code=50055001)
        case 3:
            sandbox.faults.answer("messages", status=502, html=True)
        case 4:
            sandbox.faults.answer("messages", status=429)
        case _:
            sandbox.faults.answer("messages", status=400, code=40034006)


async def test_whatever_happens_nothing_arrives_twice_and_what_is_called_sent_is_there(kit: Kit) -> None:
    """A hundred messages with up to four faults each, drawn with a fixed seed."""
    chance = random.Random(6)
    sent = lost = 0
    async with kit.start(pace=None) as bot:
        for number in range(100):
            said, data = await kit.hear(bot, f"hi {number}")
            for _ in range(chance.randrange(5)):
                break_something(kit.sandbox, chance.randrange(6))
            failure = None
            try:
                await send(bot, text(data))
            except OpenAPIError as error:
                failure = error
            kit.sandbox.faults.clear()
            there = sum(one.msg_id == said.id for one in kit.sandbox.arrived)
            if failure is None:
                assert there == 1, number
                sent += 1
            else:
                assert there <= ("may have arrived" in str(failure)), (number, failure)
                lost += 1
    assert sent > 40
    assert lost > 10


# --- a medium that becomes a file card


def shown(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return what people see: text, and the type of the medium."""
    return [(one.content, one.media.file_type.name if one.media is not None else "") for one in sandbox.arrived]


def refuse_format(sandbox: Sandbox) -> None:
    """Refuse the next picture as it is and made anew, so that it becomes a card."""
    sandbox.faults.answer("files", status=400, code=850019, times=2)


async def test_the_text_of_a_picture_that_becomes_a_file_card_goes_by_itself(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        refuse_format(kit.sandbox)
        chain = Chain(data, at=False).text("look").image(png()).text("and").image(png(1))
        words, card, picture = await send(bot, chain)
        assert data.replies_left == 2
    assert shown(kit.sandbox) == [("look", ""), ("", "FILE"), ("and", "IMAGE")]
    assert arrived(kit.sandbox) == [(said.id, 1), (said.id, 2), (said.id, 3)]
    assert (words.deliveries, [one.kind for one in card.deliveries]) == ((), ["file"])
    assert picture.message_id


async def test_a_card_whose_text_only_calls_the_name_is_one_message(kit: Kit) -> None:
    """The mention that the chain began with by itself is not worth a message, and a reply."""
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        refuse_format(kit.sandbox)
        [card] = await send(bot, Chain(data, reference=True).text(" ").image(png()))
        assert (data.replies_left, [one.kind for one in card.deliveries]) == (4, ["file"])
    assert shown(kit.sandbox) == [("", "FILE")]
    assert arrived(kit.sandbox) == [(said.id, 1)]
    assert kit.sandbox.arrived[0].body["message_reference"]["message_id"]


async def test_whom_the_author_mentions_beside_a_card_is_mentioned(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        refuse_format(kit.sandbox)
        await send(bot, Chain(data, at=False).at().image(png()))
        await send(bot, Chain(data).at("U7").image(png()))
    assert shown(kit.sandbox) == [
        (f"<@{data.user_id}>", ""), ("", "FILE"), (f"<@{data.user_id}>\n<@U7>", ""), ("", "FILE"),
    ]  # fmt: skip


async def test_with_v_each_medium_is_told_with_its_way(
    kit: Kit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bot_core.qq_group")
    cat = tmp_path / "cat.png"
    await asyncio.to_thread(cat.write_bytes, png())
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        link = (await kit.sandbox.attachment(png(1), filename="dog.png"))["url"]
        await send(bot, Chain(data).text("look").image(str(cat)).image(f"{link}?sign=secret"))
        await send(bot, Chain(data).image(str(cat)))
        kit.sandbox.faults.answer("files", status=400, code=850019, times=2)
        await send(bot, Chain(data).image(png(2)))
        await send(bot, Chain(data).markdown_content("![a](cat)", images={"cat": png(3)}))
    lines = [one for one in caplog.messages if " -> " in one]
    facts = f"(image, image/png, {len(png())} bytes, "
    assert re.fullmatch(rf"cat\.png -> url http://127\.0\.0\.1:\d+/\S+ {re.escape(facts)}1 try\)", lines[0])
    assert lines[1].endswith(" (image, size not known, 1 try)")
    assert lines[2] == f"cat.png -> cache {facts}0 tries)"
    assert lines[3].startswith(
        f"image.png -> card by bytes (image, image/png, {len(png(2))} bytes, 3 tries, a file card"
    )
    assert lines[4].startswith("cat -> url http://127.0.0.1:")
    assert len(lines) == 5
    assert "secret" not in "".join(lines)


async def test_so_does_the_text_of_a_picture_that_is_too_large_to_be_shown_as_one(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")
    large = png() + bytes(20 * 1024 * 1024)
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        assert len(await send(bot, Chain(data, at=False).text("look").image(large))) == 2
    assert shown(kit.sandbox) == [("look", ""), ("", "IMAGE")]
    assert kit.sandbox.arrived[1].media is not None
    assert kit.sandbox.arrived[1].media.as_card


async def test_such_a_text_needs_a_reply_of_its_own(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        await send(bot, many(data, 3))
        refuse_format(kit.sandbox)
        with pytest.raises(PartlySentError, match=r"1 of 2 messages were sent - 1: .*takes 5 replies.*2: sent$"):
            await send(bot, Chain(data, at=False).text("look").image(png()).markdown_content("after"))
        assert shown(kit.sandbox)[3:] == [("after", "")]
        assert data.replies_left == 1


async def test_such_a_text_takes_the_place_and_the_rest_goes_out_unasked(kit: Kit) -> None:
    async with kit.start(proactive_fallback=True) as bot:
        said, data = await kit.hear(bot)
        await send(bot, many(data, 4))
        refuse_format(kit.sandbox)
        handles = await send(bot, Chain(data, at=False).text("look").image(png()))
    assert shown(kit.sandbox)[4:] == [("look", ""), ("", "FILE")]
    assert sorted(handle.proactive for handle in handles) == [False, True]
    assert [number for msg_id, number in arrived(kit.sandbox) if msg_id == said.id] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("code", "tried"), [(40054010, True), (40054002, False)])
async def test_such_a_text_that_is_refused_stops_the_card_only_where_it_would_fare_no_better(
    kit: Kit, code: int, *, tried: bool
) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        refuse_format(kit.sandbox)
        kit.sandbox.faults.answer("messages", status=400, code=code)
        with pytest.raises(PartlySentError if tried else TargetError, match=f"{code}") as raised:
            await send(bot, Chain(data, at=False).text("look").image(png()))
        assert shown(kit.sandbox) == [("", "FILE")] * tried
        assert data.replies_left == 5 - tried
    assert str(raised.value).startswith("1 of 2 messages were sent" if tried else "POST ")


# --- how long it may take


async def test_an_upload_ends_with_the_time_for_replies(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.time.later = 314.9  # of 15 seconds of grace
        kit.sandbox.faults.stall("files", seconds=5)
        with pytest.raises(ReplyContextError, match="replies are taken for 300 s"):
            await send(bot, Chain(data).image(png()))
    assert not kit.sandbox.arrived


async def test_what_takes_too_long_to_make_ready_is_cut_by_the_limit(kit: Kit) -> None:
    class Hangs(ChainBuilder):
        async def get_image(self, _: str | bytes) -> str | bytes:
            await asyncio.Event().wait()
            raise AssertionError

    async with kit.start(builder=Hangs()) as bot:
        _, data = await kit.hear(bot)
        for chain in (Chain(data).image(png()), Chain(data).image(png()).image(png(1))):
            with pytest.raises(OpenAPIError, match=r"the media were not ready within 0\.05 s"):
                await send(bot, chain, timeout=0.05)
        assert data.replies_left == 5


@pytest.mark.parametrize("timeout", [0, -1.5, float("nan")])
async def test_without_any_time_nothing_is_sent(kit: Kit, timeout: float) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        with pytest.raises(OpenAPIError, match=f"no time for it: timeout={timeout}"):
            await send(bot, text(data), timeout=timeout)
    assert not kit.sandbox.arrived


@pytest.mark.asyncio
async def test_a_fault_of_the_platform_is_waited_out_whatever_its_code_calls_for(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=500, code=850012, times=4)
        await send(bot, text(data))
        assert len(await kit.sandbox.replies(said)) == 1
        assert len(kit.time.slept) == 4
        assert 0 < kit.time.slept[0] < kit.time.slept[-1]


@pytest.mark.asyncio
async def test_a_link_that_is_refused_is_named_without_its_query(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        with pytest.raises(PayloadError, match=r"its links are of https://a\.example\.com$"):
            await send(bot, text(data, "see https://a.example.com/x?key=secret, or https://a.example.com"))
