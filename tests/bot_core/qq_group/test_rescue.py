"""Where one way fails the next is taken: the medium arrives, once, and the log says what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot_core.errors import OpenAPIError, TargetError
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import HostPolicy, MediaHost, StoragePermissionError, StorageQuotaError, StorageUnavailableError
from qqmedia.testing import MemoryDriver
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.rescuing import media, warnings
from tests.bot_core.qq_group.uploading import outbox, sha256
from tests.waiting import until


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
@pytest.mark.parametrize("given", ["bytes", "link"])
async def test_a_url_that_is_given_up_is_told_of_once_in_ten_minutes(
    sandbox: Sandbox, host: MediaHost, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    link = (await sandbox.attachment(png(1), filename="a.png"))["url"] + "?sign=secret"
    async with outbox(sandbox, host) as out:
        for number, told in ((1, 1), (2, 1), (3, 2)):
            out.pauses.now += 600 if number == 3 else 0
            sandbox.faults.answer("files", status=500, code=850012, times=2)
            what = png(number) if given == "bytes" else f"{link}&number={number}"
            assert (await out.image(what, f"G{number}")).way in {"bytes", "cache"}
            assert len(warnings(caplog, "did not take the URL http://127.0.0.1")) == told
        assert (await out.image(png(4) if given == "bytes" else link)).way == "url"  # its host is not passed over
    assert all("850012" in line for line in warnings(caplog, "did not take"))
    assert "secret" not in caplog.text


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
