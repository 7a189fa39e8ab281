"""A link that the platform cannot fetch, or will not take any more, is fetched here or starts again."""

from __future__ import annotations

import io

import pytest
from PIL import Image as Picture

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError
from bot_core.openapi.values import FileType
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import ChainBuilder
from tests.bot_core.qq_group.conftest import png, wav
from tests.bot_core.qq_group.rescuing import media, warnings
from tests.bot_core.qq_group.uploading import outbox, sha256
from tests.waiting import until

LARGE = png(side=600) + bytes(2000)


def webp() -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (20, 10), (1, 2, 3)).save(out, "WEBP")
    return out.getvalue()


@pytest.mark.asyncio
async def test_a_link_that_the_platform_cannot_fetch_is_fetched_here(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    link = (await sandbox.attachment(LARGE, filename="a.png"))["url"]
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        delivery = await out.image(link)
        arrived = await media(sandbox)
        assert (arrived.way, arrived.sha256) == ("file_data", sha256(LARGE))
        assert (delivery.way, delivery.size, delivery.tries) == ("bytes", len(LARGE), 3)
        # Its host is passed over now, and what was uploaded is known.
        assert (await out.image(link, "G2")).way == "cache"
        assert sandbox.calls["files"] == 3
        await until(lambda: warnings(caplog, "could not fetch"))


@pytest.mark.asyncio
async def test_other_links_of_its_host_are_fetched_here_too_as_the_log_says(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    link = (await sandbox.attachment(png(1), filename="a.png"))["url"]
    async with outbox(sandbox) as out:
        with pytest.raises(MediaRefusedError, match="404"):
            await out.image(f"{sandbox.api_base}/sandbox/media/nothing")
        assert (await out.image(link)).way == "bytes"
        await until(lambda: warnings(caplog, "could not fetch"))
    [line] = warnings(caplog, "could not fetch")
    host = sandbox.api_base.partition("//")[2].partition("/")[0]
    assert f"for 10 minutes bytes go up in place of URLs of {host}, where they can be had from here" in line


@pytest.mark.asyncio
async def test_a_link_that_is_refused_for_its_format_is_fetched_and_made_anew() -> None:
    async with Sandbox.open(SandboxOptions(strict_images=True)) as sandbox, outbox(sandbox) as out:
        link = (await sandbox.attachment(webp(), filename="a.webp"))["url"]
        assert (await out.image(link)).content_type == "image/jpeg"


@pytest.mark.asyncio
async def test_a_link_to_a_voice_that_is_no_silk_is_encoded(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    link = (await sandbox.attachment(wav(), filename="a.wav"))["url"]
    async with outbox(sandbox) as out:
        [delivery] = (await out.send(Chain().voice(link))).deliveries
        arrived = await media(sandbox)
    assert (arrived.file_type, arrived.content_type) == (FileType.VOICE, "audio/silk")
    assert delivery.tries == 2
    assert len(warnings(caplog, "did not take the URL")) == 1


@pytest.mark.asyncio
async def test_a_link_that_nobody_can_fetch_is_an_error_that_says_both(sandbox: Sandbox) -> None:
    link = f"{sandbox.api_base}/sandbox/media/nothing?sign=secret"
    async with outbox(sandbox) as out:
        for _ in range(2):  # the second time its host is passed over
            with pytest.raises(
                MediaRefusedError, match=r"850026.*could not be uploaded from here either.*404"
            ) as caught:
                await out.image(link)
            assert caught.value.code == 850026
            assert "secret" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_link_that_is_passed_over_and_cannot_be_fetched_here_is_given_to_the_platform_after_all(
    sandbox: Sandbox,
) -> None:
    link = (await sandbox.attachment(png(1), filename="a.png"))["url"]
    async with outbox(sandbox, options=QQGroupChainBuilderOptions(media_max_bytes=10)) as out:
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        with pytest.raises(MediaRefusedError, match=r"has \d+ bytes, 10 are allowed"):
            await out.image(link)
        delivery = await out.image(link)
        assert (delivery.way, delivery.tries) == ("url", 1)


@pytest.mark.asyncio
async def test_a_builders_link_that_cannot_be_fetched_starts_again_from_what_the_author_gave(sandbox: Sandbox) -> None:
    class Elsewhere(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            return "http://127.0.0.1:1/gone.png"

        async def get_voice(self, voice_file: str) -> str | bytes:
            return "http://127.0.0.1:1/gone.silk"

    async with outbox(sandbox, Elsewhere()) as out:
        delivery = await out.image(png(1))
        assert (delivery.way, (await media(sandbox)).sha256) == ("bytes", sha256(png(1)))
        await out.send(Chain().voice(wav()))
        assert (await media(sandbox)).content_type == "audio/silk"


@pytest.mark.asyncio
async def test_a_file_object_that_the_builder_has_read_is_taken_from_its_link(sandbox: Sandbox) -> None:
    link = (await sandbox.attachment(png(2), filename="a.png"))["url"]

    class Reads(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            return link

    async with outbox(sandbox, Reads()) as out:
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        await out.image(io.BytesIO(png(1)))
        assert (await media(sandbox)).sha256 == sha256(png(2))


@pytest.mark.asyncio
async def test_a_builders_bytes_are_known_by_what_they_are(sandbox: Sandbox) -> None:
    class Stamps(ChainBuilder):
        def __init__(self) -> None:
            self.asked = 0

        async def get_image(self, image: str | bytes) -> str | bytes:
            self.asked += 1
            return png(9)

    builder = Stamps()
    async with outbox(sandbox, builder) as out:
        await out.image(png(1))
        assert (await out.image(png(2))).way == "cache"
    assert (builder.asked, sandbox.calls["files"]) == (2, 1)
