"""Where one way fails the next is taken: the medium arrives, once, and the log says what to change."""

from __future__ import annotations

import asyncio
import io
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image as Picture

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError, OpenAPIError, TargetError
from bot_core.openapi.values import FileType
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.probe import probe
from bot_core.sandbox import Arrived, Sandbox, SandboxOptions
from qqmedia import (
    ChainBuilder,
    HostPolicy,
    MediaHost,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia.guard import GuardedSession
from qqmedia.testing import MemoryDriver, Resolved, memory_host
from tests.bot_core.qq_group.conftest import mp4, png, wav
from tests.bot_core.qq_group.uploading import outbox, sha256, web_server
from tests.fakes.tls import make_private_ca
from tests.waiting import until

LARGE = png(side=600) + bytes(2000)


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest_asyncio.fixture
async def host(driver: MemoryDriver) -> AsyncIterator[MediaHost]:
    async with memory_host(driver, policy=HostPolicy(retry_wait=0.0, retries=0, put_timeout=0.2)) as host:
        yield host


def warnings(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and words in one.getMessage()]


async def media(sandbox: Sandbox) -> Any:
    arrived: Arrived = await sandbox.next_arrival()
    assert arrived.media is not None
    return arrived.media


# --- the platform cannot fetch what we host


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [850026, 40034001])
async def test_a_hosted_url_that_cannot_be_fetched_goes_up_as_bytes(
    sandbox: Sandbox, host: MediaHost, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    async with outbox(sandbox, host) as out:
        sandbox.faults.answer("files", status=400, code=code, times=2)
        delivery = await out.image(png(1))
        arrived = await media(sandbox)
        assert (arrived.way, arrived.sha256) == ("file_data", sha256(png(1)))
        assert (delivery.way, delivery.url, delivery.tries) == ("bytes", None, 3)
        assert len(delivery.trace_ids) == 3
        await until(lambda: warnings(caplog, "could not fetch"))
        [line] = warnings(caplog, "could not fetch")
    assert f"{code}" in line
    assert "http://127.0.0.1" in line
    assert "Seen from here: HTTP 200, image/png" in line
    assert "private addresses" in line
    assert len(sandbox.arrived) == 1


@pytest.mark.asyncio
async def test_one_failure_is_forgiven(sandbox: Sandbox, host: MediaHost, caplog: pytest.LogCaptureFixture) -> None:
    async with outbox(sandbox, host) as out:
        sandbox.faults.answer("files", status=400, code=850026)
        assert (await out.image(png(1))).way == "url"
    assert not warnings(caplog, "could not fetch")


@pytest.mark.asyncio
async def test_its_host_is_passed_over_for_ten_minutes_and_told_of_once_an_hour(
    sandbox: Sandbox, host: MediaHost, driver: MemoryDriver, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox, host) as out:
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        await out.image(png(1))
        before = sandbox.calls["files"]
        assert (await out.image(png(2))).way == "bytes"
        assert sandbox.calls["files"] == before + 1
        assert len(driver.puts) == 1  # not stored for nothing
        out.pauses.now += 600
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        assert (await out.image(png(3))).way == "bytes"
        out.pauses.now += 600
        assert (await out.image(png(4))).way == "url"
        await until(lambda: warnings(caplog, "could not fetch"))
        out.pauses.now += 3600
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        await out.image(png(5))
        await until(lambda: len(warnings(caplog, "could not fetch")) == 2)


@pytest.mark.asyncio
async def test_a_fetch_that_takes_too_long_goes_up_as_bytes(
    sandbox: Sandbox, host: MediaHost, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox, host, fetch_timeout=0.1) as out:
        sandbox.faults.stall("files", seconds=30, times=2)
        assert (await out.image(png(1))).way == "bytes"
        await until(lambda: warnings(caplog, "could not fetch"))
        assert (await out.image(png(2))).way == "bytes"
        assert sandbox.calls["files"] == 4


@pytest.mark.asyncio
async def test_a_platform_that_is_busy_is_no_reason_to_pass_a_host_over(
    sandbox: Sandbox, host: MediaHost, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox, host) as out:
        sandbox.faults.answer("files", status=503, html=True, times=3)
        assert (await out.image(png(1))).way == "bytes"
        assert (await out.image(png(2))).way == "url"
    assert not warnings(caplog, "could not fetch")


@pytest.mark.asyncio
async def test_what_no_other_way_mends_is_not_tried(sandbox: Sandbox, host: MediaHost) -> None:
    async with outbox(sandbox, host) as out:
        sandbox.faults.answer("files", status=400, code=850018)
        with pytest.raises(TargetError, match="muted"):
            await out.image(png(1))
        assert sandbox.calls["files"] == 1


# --- the driver


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error", [StorageUnavailableError("down"), StorageQuotaError("full"), StoragePermissionError("no"), OSError("odd")]
)
async def test_a_driver_that_fails_is_no_reason_not_to_arrive(
    sandbox: Sandbox, host: MediaHost, driver: MemoryDriver, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async with outbox(sandbox, host) as out:
        driver.fail(error)
        delivery = await out.image(png(1))
        assert (await media(sandbox)).sha256 == sha256(png(1))
        assert delivery.way == "bytes"
        assert (await out.image(png(2))).way == "bytes"
        assert len(driver.puts) == 1  # it rests
        out.pauses.now += 60
        assert (await out.image(png(3))).way == "url"
    [line] = warnings(caplog, "could not be stored")
    assert str(error) in line


@pytest.mark.asyncio
async def test_a_driver_that_is_too_slow_is_no_reason_either(
    sandbox: Sandbox, host: MediaHost, driver: MemoryDriver, caplog: pytest.LogCaptureFixture
) -> None:
    async with outbox(sandbox, host) as out:
        driver.stall()
        assert (await out.image(png(1))).way == "bytes"
        driver.resume()
    assert "put_timeout" in warnings(caplog, "could not be stored")[0]


@pytest.mark.asyncio
async def test_of_several_drivers_the_first_that_works_is_taken(sandbox: Sandbox) -> None:
    first, second = MemoryDriver(name="first"), MemoryDriver(name="second")
    policy = HostPolicy(retry_wait=0.0, retries=0)
    names = ["first", "second", "direct"]
    async with (
        MediaHost(names, plugins=[first, second], platform_on_loopback=True, policy=policy) as host,
        outbox(sandbox, host) as out,
    ):
        first.fail(StorageUnavailableError("down"))
        assert (await out.image(png(1))).way == "url"
        assert (len(first.puts), len(second.puts)) == (1, 1)
        for one in (first, second):
            one.fail(*[StorageUnavailableError("down")] * 9)
        assert (await out.image(png(2))).way == "bytes"
    assert [one.media.sha256 for one in sandbox.arrived if one.media] == [sha256(png(1)), sha256(png(2))]


@pytest.mark.asyncio
async def test_a_list_of_names_works_while_the_cloud_is_away(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "COS_BUCKET": "pics-1250000000", "COS_REGION": "ap-guangzhou", "COS_SECRET_ID": "id", "COS_SECRET_KEY": "key",
        "COS_ENDPOINT_URL": "http://127.0.0.1:1", "HOST_RETRIES": "0", "LOCAL_PORT": "0", "LOCAL_HOST": "127.0.0.1",
        "LOCAL_RESOURCE_PATH": str(tmp_path / "resource"),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"QQMEDIA_{name}", value)
    async with outbox(sandbox, ["cos", "local", "direct"]) as out:
        delivery = await out.image(png(1))
        assert (await media(sandbox)).sha256 == sha256(png(1))
    assert delivery.way == "url"
    assert "/resource/" in str(delivery.url)


# --- the format


def webp() -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (20, 10), (1, 2, 3)).save(out, "WEBP")
    return out.getvalue()


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


# --- links of the author


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
async def test_a_link_that_is_refused_for_its_format_is_fetched_and_made_anew() -> None:
    async with Sandbox.open(SandboxOptions(strict_images=True)) as sandbox, outbox(sandbox) as out:
        link = (await sandbox.attachment(webp(), filename="a.webp"))["url"]
        assert (await out.image(link)).content_type == "image/jpeg"


@pytest.mark.asyncio
async def test_a_link_to_a_voice_that_is_no_silk_is_encoded(sandbox: Sandbox) -> None:
    link = (await sandbox.attachment(wav(), filename="a.wav"))["url"]
    async with outbox(sandbox) as out:
        [delivery] = (await out.send(Chain().voice(link))).deliveries
        arrived = await media(sandbox)
    assert (arrived.file_type, arrived.content_type) == (FileType.VOICE, "audio/silk")
    assert delivery.tries == 2


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


# --- what the platform will not have any more


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [304080, 304082, 304083, 40034004])
@pytest.mark.parametrize("given", ["bytes", "link"])
async def test_an_upload_that_is_refused_when_it_is_sent_is_done_again_once(
    sandbox: Sandbox, code: int, given: str
) -> None:
    link = (await sandbox.attachment(png(1), filename="a.png"))["url"]
    async with outbox(sandbox, options=QQGroupChainBuilderOptions(download_media=True)) as out:
        await out.image(png(1))
        sandbox.faults.answer("messages", status=400, code=code)
        delivery = await out.image(png(1) if given == "bytes" else link)
        assert delivery.way == "bytes"
        assert sandbox.calls["files"] == 2
        assert (await out.image(png(1))).way == "cache"


@pytest.mark.asyncio
async def test_a_rescued_link_whose_upload_is_refused_is_uploaded_again(sandbox: Sandbox) -> None:
    link = (await sandbox.attachment(png(1), filename="a.png"))["url"]
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        sandbox.faults.answer("messages", status=400, code=304080)
        assert (await out.image(link)).way == "bytes"
        assert sandbox.calls["files"] == 4


@pytest.mark.asyncio
async def test_hiccups_are_survived(sandbox: Sandbox) -> None:
    async with outbox(sandbox) as out:
        sandbox.faults.answer("files", status=500, times=4)
        delivery = await out.image(png(1))
        assert (delivery.way, delivery.tries) == ("bytes", 5)
        sandbox.faults.answer("files", status=429, code=40023001, times=2)
        await out.image(png(2))
        sandbox.faults.answer("files", status=500, times=100)
        with pytest.raises(OpenAPIError, match="HTTP 500"):
            await out.image(png(3))


# --- the look at a URL


class Names:
    """`cdn.example` is public and stands on loopback; `inside.example` is private."""

    async def resolve(self, name: str) -> list[Resolved]:
        match name:
            case "cdn.example":
                return [Resolved("93.184.216.34", connect_to="127.0.0.1")]
            case "inside.example":
                return [Resolved("192.168.1.5")]
        raise OSError(None, "no such name")


async def site(request: web.BaseRequest) -> web.StreamResponse:
    match request.path:
        case "/gone.png":
            raise web.HTTPNotFound
        case "/hang.png":
            await asyncio.Event().wait()
        case "/away.png":
            raise web.HTTPFound("/cat.png")
        case "/in.png":
            raise web.HTTPFound("http://127.0.0.1/cat.png")
    return web.Response(body=png(1), content_type="image/png")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("url", "seen", "cause"),
    [
        ("http://cdn.example:{port}/cat.png", "HTTP 200, image/png", "the port: {port}"),
        ("http://cdn.example:{port}/gone.png", "HTTP 404", "answers with an error"),
        ("http://cdn.example:{port}/hang.png", "no answer within 0.2 s", "too slow"),
        ("http://cdn.example:{port}/away.png", "after a redirect", "the port: {port}"),
        ("http://cdn.example:{port}/in.png", "private network", "private addresses"),
        ("http://inside.example/cat.png", "private network", "private addresses"),
        ("http://10.1.2.3/cat.png", "private network", "private addresses"),
        ("http://cdn.example:1/cat.png", "cannot be connected", "the port (1;"),
        ("http://nowhere.example/cat.png", "cannot be connected", "nothing answers"),
        ("ftp://cdn.example/cat.png", "only http and https", "address is wrong"),
    ],
)
async def test_a_look_says_what_is_wrong(url: str, seen: str, cause: str) -> None:
    async with web_server(site) as base:
        port = base.rpartition(":")[2]
        session = GuardedSession(resolver=Names())
        finding = await probe(session, url.format(port=port), limit_seconds=0.2)
        await session.aclose()
    assert seen in finding.seen
    assert cause.format(port=port) in finding.cause


@pytest.mark.asyncio
async def test_a_look_knows_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    ca = await asyncio.to_thread(make_private_ca, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, ca.cert_file, ca.key_file)
    runner = web.ServerRunner(web.Server(site))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    session = GuardedSession(everything=True)
    finding = await probe(session, f"https://127.0.0.1:{runner.addresses[0][1]}/cat.png")
    await session.aclose()
    await runner.cleanup()
    assert finding.seen.startswith("TLS fails: ")
    assert "certificate" in finding.cause


@pytest.mark.asyncio
async def test_a_slow_answer_is_told_by_its_time() -> None:
    times = iter([0.0, 9.5])
    async with web_server(site) as base:
        session = GuardedSession(everything=True)
        finding = await probe(session, f"{base}/cat.png", clock=lambda: next(times))
        await session.aclose()
    assert "in 9.5 s" in finding.seen
    assert "too slow" in finding.cause


@pytest.mark.asyncio
async def test_a_bot_that_ends_while_it_looks_has_said_it_all_the_same(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    class Elsewhere(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            return f"{base}/a.png"

    async with web_server(hang) as base:
        async with outbox(sandbox, Elsewhere()) as out:
            sandbox.faults.answer("files", status=400, code=850026, times=2)
            assert (await out.image(png(1))).way == "bytes"
            assert not warnings(caplog, "could not fetch")
        [line] = warnings(caplog, "could not fetch")
    assert "as the bot ended" in line
