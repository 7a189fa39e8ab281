"""One upload for all that want the same, in whatever chat, as far as the platform lets it."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

import pytest

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError, TargetError
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import Reach
from qqmedia.testing import MemoryDriver, memory_host
from tests.bot_core.qq_group.conftest import mp4, png, wav
from tests.bot_core.qq_group.uploading import KIB, MIB, Outbox, outbox, sha256

pytestmark = pytest.mark.asyncio


async def test_eight_groups_at_once_are_one_upload(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        deliveries = await asyncio.gather(*(out.image(png(1), f"G{number}") for number in range(8)))
    assert sandbox.calls["files"] == 1
    assert sorted(one.way for one in deliveries) == ["bytes", *["cache"] * 7]
    assert [one.tries for one in deliveries if one.cached] == [0] * 7


async def test_a_refusal_is_shared_by_all_that_wait_and_is_tried_anew(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850031)
        chats = (out.image(png(1), f"G{number}") for number in range(3))
        failed = await asyncio.gather(*chats, return_exceptions=True)
        assert [type(one) for one in failed] == [MediaRefusedError] * 3
        assert sandbox.calls["files"] == 1
        assert (await out.image(png(1))).way == "bytes"


async def test_a_chat_that_takes_nothing_does_not_fail_those_that_wait_for_its_upload(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850018)
        tasks = [asyncio.create_task(out.image(png(1), f"G{number}")) for number in range(4)]
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [TargetError] + [type(None)] * 3
        assert sandbox.calls["files"] == 2


async def test_groups_may_have_an_upload_each(sandbox: Sandbox) -> None:
    async with outbox(sandbox, reuse_across_chats=False) as out:
        await asyncio.gather(*(out.image(png(1), f"G{number % 2}") for number in range(8)))
    assert sandbox.calls["files"] == 2


async def refuse_abroad(sandbox: Sandbox, out: Outbox, shade: int, abroad: str) -> None:
    """Send it at home, then abroad where the platform will not have it."""
    await out.image(png(shade), "home")
    sandbox.faults.answer("messages", status=400, code=304080)
    await out.image(png(shade), abroad)


async def test_reuse_ends_when_the_platform_refuses_it(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async with outbox(sandbox) as out:
        await refuse_abroad(sandbox, out, 1, "G1")
        await out.image(png(5), "home")
        assert (await out.image(png(5), "G1")).way == "cache"  # one refusal may be anything
        assert not lines(caplog)
        await refuse_abroad(sandbox, out, 2, "G1")
        assert "reuse_across_chats=False" in lines(caplog)[0]
        await out.image(png(9), "home")
        assert (await out.image(png(9), "G1")).way == "bytes"
        assert (await out.image(png(9), "G1")).way == "cache"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "uploaded for another" in one.getMessage()]


async def test_one_that_was_good_elsewhere_and_expired_says_nothing_about_reuse(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox) as out:
        for shade in (1, 2, 3):
            for group in ("home", "G1", "G2"):
                await out.image(png(shade), group)
        sandbox.expire_files()
        for shade in (1, 2, 3):
            await out.image(png(shade), "G3")
        assert (await out.image(png(1), "G4")).way == "cache"
    assert not lines(caplog)


@pytest.mark.parametrize("by", ["local", "direct", "a private address"])
async def test_everything_arrives_at_any_size(by: str, tmp_path: Path) -> None:
    picture, clip, card = png(side=400), mp4(12 * MIB), b"%PDF-1.7" + bytes(4 * MIB)
    options = QQGroupChainBuilderOptions("127.0.0.1", 0, tmp_path) if by == "local" else QQGroupChainBuilderOptions()
    async with (
        Sandbox.open(SandboxOptions(inline_body_bytes=5 * MIB)) as sandbox,
        memory_host(MemoryDriver(reach=Reach.PRIVATE)) as private,
        outbox(sandbox, by if by in ("local", "direct") else private, options=options) as out,
    ):
        chain = Chain().text("all").image(picture).voice(wav()).video(clip).file(card, "paper.pdf")
        handles = await out.adapter.send_message(chain, channel_id="G1")
    arrived = [one.media for one in sandbox.arrived if one.media is not None]
    assert [handle.deliveries[0].kind for handle in handles] == ["image", "voice", "video", "file"]
    assert [one.sha256 for one in arrived if one.content_type != "audio/silk"] == [
        sha256(picture), sha256(clip), sha256(card)
    ]  # fmt: skip
    ways = [handle.deliveries[0].way for handle in handles]
    assert ways == (["url"] * 4 if by == "local" else ["bytes", "bytes", "chunks", "chunks"])
    assert not [one for one in sandbox.refused if one.status == 413]


async def test_a_video_that_cannot_be_made_playable_goes_as_a_file_card_where_that_is_set(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QQMEDIA_VIDEO_OTHERWISE", "card")
    monkeypatch.setenv("QQMEDIA_VIDEO_MAX_BYTES", str(256 * KIB))
    monkeypatch.setenv("PATH", "")  # no ffmpeg
    clip = tmp_path / "holiday.mp4"
    await asyncio.to_thread(clip.write_bytes, mp4(300 * KIB))
    async with outbox(sandbox) as out:
        for way in ("bytes", "cache"):
            delivery = await out.video(clip)
            assert (delivery.kind, delivery.way, delivery.notes[0][:11]) == ("file", way, "a file card")
        assert (await out.video(mp4(100 * KIB))).kind == "video"
    media = sandbox.arrived[0].media
    assert media is not None
    assert (media.file_type.name, media.file_name, media.size) == ("FILE", "holiday.mp4", len(mp4(300 * KIB)))


async def test_a_delivery_says_what_happened(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with outbox(sandbox, inline_limit=KIB) as out:
        delivery = await out.video(mp4(3 * KIB))
    assert (delivery.kind, delivery.way, delivery.size) == ("video", "chunks", len(mp4(3 * KIB)))
    assert delivery.tries == 4  # prepare, one part, its finish, the merge
    assert len(delivery.trace_ids) >= 2
    assert delivery.content_type == "video/mp4"


@pytest.mark.parametrize("size", [1, 65_537, 262_145, 768 * KIB, 1_000_001, 3 * MIB])
async def test_what_goes_up_in_one_request_is_what_was_given(sandbox: Sandbox, size: int, tmp_path: Path) -> None:
    content, path = random.Random(size).randbytes(size), tmp_path / "a.bin"
    await asyncio.to_thread(path.write_bytes, content)
    async with outbox(sandbox) as out:
        for given in (content, path):
            [delivery] = (await out.send(Chain().file(given, f"{type(given).__name__}.bin"))).deliveries
            assert delivery.way == "bytes"
            arrived = (await sandbox.next_arrival()).media
            assert arrived is not None
            assert (arrived.sha256, arrived.size) == (sha256(content), size)


async def test_a_body_that_is_made_while_it_is_sent_can_be_sent_again_with_another_token(sandbox: Sandbox) -> None:
    content = random.Random(1).randbytes(MIB)
    async with outbox(sandbox) as out:
        await out.image(png(1))
        sandbox.revoke_tokens()
        await out.send(Chain().file(content, "a.bin"))
    assert [one.media.sha256 for one in sandbox.arrived if one.media][1:] == [sha256(content)]
    assert sandbox.calls["files"] == 3
    assert sandbox.calls["token"] == 2
