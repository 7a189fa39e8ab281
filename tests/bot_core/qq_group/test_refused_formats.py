"""Where the platform refuses a format, the medium is made anew, and goes as a file card in the end."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest
from PIL import Image as Picture

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError
from bot_core.openapi.values import FileType
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import MediaHost
from tests.bot_core.qq_group.conftest import mp4, png, wav
from tests.bot_core.qq_group.rescuing import media, warnings
from tests.bot_core.qq_group.uploading import outbox, sha256


@pytest.mark.asyncio
@pytest.mark.parametrize("by", ["direct", "host"])
async def test_a_picture_whose_format_is_refused_is_made_anew(by: str, host: MediaHost) -> None:
    async with Sandbox.open(SandboxOptions()) as sandbox:
        async with outbox(sandbox, host if by == "host" else "direct") as out:
            sandbox.faults.answer("files", status=400, code=850019)
            delivery = await out.image(png(1))
            arrived = await media(sandbox)
            content = await arrived.read()
            assert (arrived.content_type, arrived.file_type) == ("image/jpeg", FileType.IMAGE)
            assert (delivery.kind, delivery.way, delivery.content_type) == ("image", "bytes", "image/jpeg")
            assert "made anew as image/jpeg" in delivery.notes[-1]
            assert (await out.image(png(1), "G2")).way == "cache"  # under what was given
        with Picture.open(io.BytesIO(content)) as picture, Picture.open(io.BytesIO(png(1))) as given:
            assert picture.size == given.size


@pytest.mark.asyncio
async def test_what_is_transparent_becomes_a_png() -> None:
    out_bytes = io.BytesIO()
    Picture.new("RGBA", (20, 10), (1, 2, 3, 4)).save(out_bytes, "WEBP", lossless=True)
    async with Sandbox.open(SandboxOptions(strict_images=True)) as sandbox, outbox(sandbox) as out:
        assert (await out.image(out_bytes.getvalue())).content_type == "image/png"


@pytest.mark.asyncio
async def test_a_voice_whose_format_is_refused_is_made_anew(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019)
        [delivery] = (await out.send(Chain().voice(wav()))).deliveries
        arrived = await media(sandbox)
        assert (await arrived.read()).startswith(b"\x02#!SILK_V3")
    assert (delivery.kind, arrived.file_type) == ("voice", FileType.VOICE)
    assert "made anew as audio/silk" in delivery.notes[-1]


@pytest.mark.asyncio
async def test_a_format_that_is_refused_again_goes_as_a_file_card(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019, times=2)
        delivery = await out.image(png(1))
        arrived = await media(sandbox)
        assert (arrived.file_type, arrived.sha256, arrived.file_name) == (FileType.FILE, sha256(png(1)), "image.png")
        assert (delivery.kind, delivery.tries) == ("file", 3)
        assert "file card" in delivery.notes[-1]
        again = await out.image(png(1), "G2")  # and is known to be one
        assert (again.kind, again.way) == ("file", "cache")
        assert sandbox.calls["files"] == 3


@pytest.mark.asyncio
async def test_a_card_is_told_of_once_and_is_tried_as_a_picture_again(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox) as out:
        for _ in range(2):
            sandbox.faults.answer("files", status=400, code=850019, times=2)
            assert (await out.image(png(1))).kind == "file"
            out.pauses.now += 599
            assert (await out.image(png(1), "G2")).kind == "file"
            out.pauses.now += 1
        [line] = warnings(caplog, "file card")
        assert line.startswith("image.png goes as a file card, as the platform does not take its format (image/png, ")
        assert "850019" in line
        delivery = await out.image(png(1), "G3")
        assert (delivery.kind, delivery.way, delivery.content_type) == ("image", "bytes", "image/png")


@pytest.mark.asyncio
async def test_what_is_made_anew_is_told_of(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot_core.qq_group")
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019)
        delivery = await out.image(png(1))
    [line] = [one for one in caplog.messages if "anew" in one]
    assert line.startswith(
        f"image.png was made anew as image/jpeg ({delivery.size} bytes), as the platform does not take it as image/png"
        f" ({len(png(1))} bytes): "
    )
    assert not warnings(caplog, "")


@pytest.mark.asyncio
@pytest.mark.parametrize("content", [png(1)[:50], png(1)[:16] + b"\xff" * 100], ids=len)
async def test_a_picture_that_cannot_be_made_anew_goes_as_a_file_card_at_once(sandbox: Sandbox, content: bytes) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019)
        assert (await out.image(content)).kind == "file"
        assert (await media(sandbox)).sha256 == sha256(content)
        assert sandbox.calls["files"] == 2


@pytest.mark.asyncio
async def test_one_card_for_all_that_want_it_at_once(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019, times=2)
        deliveries = await asyncio.gather(*(out.image(png(1), f"G{number}") for number in range(5)))
        assert {one.kind for one in deliveries} == {"file"}
        assert sandbox.calls["files"] == 3


@pytest.mark.asyncio
async def test_a_video_goes_as_a_file_card_at_once(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=500, code=850019)
        assert (await out.video(mp4())).kind == "file"
        assert sandbox.calls["files"] == 2


@pytest.mark.asyncio
async def test_what_is_refused_in_every_form_is_the_first_refusal(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850019, times=3)
        with pytest.raises(MediaRefusedError, match="850019"):
            await out.image(png(1))
        sandbox.faults.answer("files", status=400, code=850019)
        with pytest.raises(MediaRefusedError, match="850019"):
            await out.send(Chain().file(b"%PDF-1.7", "a.pdf"))
        assert sandbox.calls["files"] == 4
