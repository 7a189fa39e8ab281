"""What is special about `s3`: what it says when it opens, its addresses, and what boto3 must not do."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

import qqmedia
from qqmedia import (
    HostPolicy,
    MediaKind,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageUnavailableError,
    SupportsCheck,
    SupportsDelete,
    Upload,
)
from qqmedia.testing import make_content, make_upload, open_driver
from qqmedia.testing._uploads import watched
from qqmedia_drivers.s3 import qqmedia_register_drivers
from tests.fakes.s3_server import S3Server, door
from tests.fakes.seaweedfs import VIRTUAL_HOST, SeaweedFS

SPEC = qqmedia_register_drivers()
MIB = 1024 * 1024
MakeUpload = Callable[..., Upload]


def video(size: int, **changes: Any) -> Upload:
    return make_upload(make_content(size, kind=MediaKind.VIDEO), kind=MediaKind.VIDEO, **changes)


async def fetched(url: str, server: S3Server) -> tuple[int, bytes, Any]:
    tls = ssl.create_default_context(cafile=server.ca_file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http, http.get(url) as answer:
        return answer.status, await answer.read(), answer.headers


async def stored(server: S3Server, name: str) -> Any:
    return await asyncio.to_thread(lambda: door(server).head_object(Bucket=server.bucket, Key=name))


# --- what it says when it opens


@pytest.mark.asyncio
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_wrong_secret_is_told_when_a_host_opens(s3_server: S3Server, scheme: str) -> None:
    with pytest.raises(StoragePermissionError) as caught:
        async with qqmedia.open_host("s3", **s3_server.settings(scheme, secret_access_key="guessed-6d1")):
            pass
    text = str(caught.value)
    assert text.startswith("driver 's3' cannot be used: ")
    assert "SignatureDoesNotMatch" in text
    assert "check secret_access_key (AWS_SECRET_ACCESS_KEY)" in text
    assert "guessed-6d1" not in text


@pytest.mark.asyncio
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_wrong_secret_stores_nothing(s3_server: S3Server, scheme: str) -> None:
    upload = make_upload()
    async with open_driver(SPEC, **s3_server.settings(scheme, prefix="w/", secret_access_key="guessed-6d1")) as driver:
        for body in (upload, video(6 * MIB)):
            with pytest.raises(StoragePermissionError, match="secret_access_key"):
                await driver.put(body)
    with pytest.raises(Exception, match="404"):
        await stored(s3_server, f"w/{upload.key}")


@pytest.mark.asyncio
async def test_an_unknown_key_is_told_by_its_setting(s3_server: S3Server) -> None:
    async with open_driver(SPEC, **s3_server.settings(access_key_id="AKNOBODY")) as driver:
        assert isinstance(driver, SupportsCheck)
        with pytest.raises(StoragePermissionError, match=r"InvalidAccessKeyId.*check access_key_id"):
            await driver.check()


@pytest.mark.asyncio
async def test_a_missing_bucket_is_told_with_address_and_region(s3_server: S3Server) -> None:
    with pytest.raises(StorageNotFoundError, match=rf"no bucket 'nowhere' at http\S+ in region {s3_server.region}"):
        async with qqmedia.open_host("s3", **s3_server.settings(bucket="nowhere")):
            pass


@pytest.mark.asyncio
async def test_a_wrong_region_is_told_with_the_right_one(juice: S3Server) -> None:
    """boto3 by itself would follow the region silently, in every single request."""
    with pytest.raises(StorageMisconfiguredError, match=r"region=eu-west-1 is wrong .* right one is cn-test-1"):
        async with qqmedia.open_host("s3", **juice.settings(region="eu-west-1")):
            pass
    async with open_driver(SPEC, **juice.settings(region="eu-west-1")) as driver:
        with pytest.raises(StorageMisconfiguredError, match="right one is cn-test-1"):
            await driver.put(make_upload())


@pytest.mark.asyncio
async def test_check_false_asks_nothing(s3_server: S3Server) -> None:
    async with qqmedia.open_host("s3", check=False, **s3_server.settings(secret_access_key="guessed-6d1")) as host:
        with pytest.raises(StoragePermissionError, match=r"driver 's3' could not store \S+: .*secret_access_key"):
            await host.get_image(make_content(10))


@pytest.mark.asyncio
async def test_a_key_that_may_only_put_is_a_warning_and_puts(
    seaweed: SeaweedFS, caplog: pytest.LogCaptureFixture
) -> None:
    key = {"access_key_id": seaweed.put_only_access_key, "secret_access_key": seaweed.put_only_secret_key}
    settings = seaweed.settings(public_base_url=f"{seaweed.http_url}/{seaweed.bucket}", **key)
    content = make_content(321, seed="put only")
    async with qqmedia.open_host("s3", platform_on_loopback=True, **settings) as host:
        [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "the key may not read in bucket 'pics' (AccessDenied)" in warning.getMessage()
        async with host.prepare(MediaKind.IMAGE, content) as upload:
            await host.publish(upload)
            assert (await stored(seaweed, f"qqmedia/{upload.key}"))["ContentLength"] == 321


@pytest.mark.asyncio
async def test_a_store_that_does_not_answer_is_a_warning(
    seaweed: SeaweedFS, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = seaweed.settings(endpoint_url=f"http://127.0.0.1:{unused_tcp_port}")
    policy = HostPolicy(retries=0)
    async with qqmedia.open_host("s3", policy=policy, **settings) as host:
        assert "may work later" in caplog.text
        with pytest.raises(StorageUnavailableError, match=rf"is endpoint_url \S+:{unused_tcp_port} right"):
            await host.get_image(make_content(10))


@pytest.mark.asyncio
async def test_an_untrusted_certificate_is_told_by_verify(s3_server: S3Server) -> None:
    with pytest.raises(StorageMisconfiguredError, match=r"not trusted.*\(PEM\) in verify"):
        async with qqmedia.open_host("s3", **s3_server.settings("https", verify=True)):
            pass


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # urllib3 says so, and it is what was asked for
@pytest.mark.parametrize("verify", [False, "false"])
async def test_certificates_are_not_checked_where_that_was_asked_for(juice: S3Server, verify: bool | str) -> None:
    async with open_driver(SPEC, **juice.settings("https", verify=verify)) as driver:
        assert str(await driver.put(make_upload())).startswith("https:")


@pytest.mark.asyncio
async def test_https_to_a_server_without_tls_is_told(seaweed: SeaweedFS) -> None:
    wrong = seaweed.http_url.replace("http:", "https:")
    with pytest.raises(StorageMisconfiguredError, match="speak https"):
        async with qqmedia.open_host("s3", **seaweed.settings(endpoint_url=wrong)):
            pass


@pytest.mark.asyncio
async def test_no_credentials_anywhere_are_told(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    settings = seaweed.settings()
    del settings["access_key_id"], settings["secret_access_key"]
    with pytest.raises(StoragePermissionError, match="give access_key_id and secret_access_key"):
        async with qqmedia.open_host("s3", **settings):
            pass
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_key)
    async with qqmedia.open_host("s3", **settings) as host:
        assert isinstance(await host.get_image(make_content(10)), str)


# --- what is stored, and under which address


@pytest.mark.asyncio
async def test_type_and_cache_header_are_stored(s3_server: S3Server) -> None:
    small, large = make_upload(ttl=timedelta(minutes=10)), video(11 * MIB, ttl=timedelta(minutes=10))
    async with open_driver(SPEC, **s3_server.settings(prefix="h/")) as driver:
        for upload in (small, large):
            status, content, headers = await fetched(await driver.put(upload) or "", s3_server)
            assert (status, len(content)) == (200, upload.size)
            assert headers["Content-Type"] == upload.content_type
            assert headers["Cache-Control"] == "public, max-age=600"
    async with open_driver(SPEC, **s3_server.settings(prefix="i/", cache_control="no-transform")) as driver:
        _, _, headers = await fetched(await driver.put(small) or "", s3_server)
        assert headers["Cache-Control"] == "no-transform"


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [300, 2 * MIB, 11 * MIB])
async def test_what_is_stored_over_tls_has_no_trailer(s3_server: S3Server, size: int) -> None:
    """boto3's own default appends a checksum to the body, which old servers refuse, or store."""
    upload = video(size)
    async with open_driver(SPEC, **s3_server.settings("https", prefix="t/")) as driver:
        await driver.put(upload)
    assert (await stored(s3_server, f"t/{upload.key}"))["ContentLength"] == size


@pytest.mark.asyncio
@pytest.mark.parametrize("prefix", ["", "a b/", "图片/", "50%+~&=#?/", "deep/er/"])
async def test_odd_prefixes_work_in_every_address(s3_server: S3Server, prefix: str) -> None:
    upload = make_upload()
    base = f"{s3_server.http_url}/{s3_server.bucket}"
    async with open_driver(SPEC, **s3_server.settings(prefix=prefix)) as driver:
        assert (await fetched(await driver.put(upload) or "", s3_server))[0] == 200
    async with open_driver(SPEC, **s3_server.settings(prefix=prefix, public_base_url=base)) as driver:
        public = await driver.put(upload)
    async with open_driver(SPEC, **s3_server.settings(prefix=prefix, url="public")) as driver:
        assert await driver.put(upload) == public
    assert public is not None
    assert not {" ", "#", "?", "图"} & set(public)
    assert (await stored(s3_server, prefix + upload.key))["ContentLength"] == upload.size


@pytest.mark.asyncio
async def test_public_addresses_carry_no_signature(seaweed: SeaweedFS) -> None:
    upload = make_upload()
    async with open_driver(SPEC, **seaweed.settings(url="public")) as driver:
        url = await driver.put(upload)
    assert url == f"{seaweed.http_url}/pics/qqmedia/{upload.key}"
    async with open_driver(SPEC, **seaweed.settings(public_base_url="https://cdn.example.com/x/")) as driver:
        assert await driver.put(upload) == f"https://cdn.example.com/x/qqmedia/{upload.key}"


@pytest.mark.asyncio
async def test_a_presigned_url_is_checked_by_the_server(s3_server: S3Server) -> None:
    async with open_driver(SPEC, **s3_server.settings()) as driver:
        url = await driver.put(make_upload()) or ""
    signature = parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
    forged = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    assert (await fetched(url, s3_server))[0] == 200
    assert (await fetched(url.replace(signature, forged), s3_server))[0] == 403
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


@pytest.mark.asyncio
async def test_a_bucket_can_be_named_in_the_host(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """No resolver of this machine needs to know such names: the test brings its own."""
    resolve = socket.getaddrinfo

    def resolve_ours(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(VIRTUAL_HOST) else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_ours)
    for scheme in ("http", "https"):
        endpoint = seaweed.url(scheme).replace("127.0.0.1", VIRTUAL_HOST)
        settings = seaweed.settings(scheme, endpoint_url=endpoint, addressing_style="virtual")
        upload = make_upload()
        async with open_driver(SPEC, **settings) as driver:
            assert isinstance(driver, SupportsCheck)
            await driver.check()
            url = await driver.put(upload) or ""
            assert urlsplit(url).hostname == f"pics.{VIRTUAL_HOST}"
            status, content, _ = await fetched(url, seaweed)
            assert (status, len(content)) == (200, upload.size)


# --- parts


@pytest.mark.asyncio
async def test_a_cancelled_upload_in_parts_leaves_no_part(s3_server: S3Server) -> None:
    gate = threading.Event()
    upload = watched(video(40 * MIB), lambda position: gate.wait(10) if position >= 24 * MIB else None)
    async with open_driver(SPEC, **s3_server.settings(prefix="parts/")) as driver:
        put = asyncio.create_task(_put(driver, upload), name="put to be cancelled")
        async with asyncio.timeout(5):
            while not await asyncio.to_thread(_parts_under_way, s3_server):
                assert not put.done(), "it ended before it could be cancelled"
        put.cancel()
        await asyncio.sleep(0)  # it has told its threads to stop
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert not await asyncio.to_thread(_parts_under_way, s3_server)
        with pytest.raises(Exception, match="404"):
            await stored(s3_server, f"parts/{upload.key}")


@pytest.mark.asyncio
async def test_parts_of_an_upload_help_each_other_with_one_thread_too(s3_server: S3Server) -> None:
    """Threads that wait for threads would wait for ever here."""
    uploads = [video(11 * MIB + number) for number in range(3)]
    async with open_driver(SPEC, **s3_server.settings(prefix="one/", threads=1)) as driver:
        async with asyncio.TaskGroup() as tasks:
            puts = [tasks.create_task(_put(driver, upload), name="put") for upload in uploads]
        for put, upload in zip(puts, uploads, strict=True):
            status, content, _ = await fetched(put.result() or "", s3_server)
            assert (status, content == upload.read()) == (200, True)


@pytest.mark.asyncio
async def test_deleting_is_done_one_by_one(s3_server: S3Server) -> None:
    """`delete_objects` needs a checksum that old servers do not know."""
    upload = make_upload()
    async with open_driver(SPEC, **s3_server.settings(prefix="d/")) as driver:
        assert isinstance(driver, SupportsDelete)
        await driver.put(upload)
        await driver.delete(upload.key)
        await driver.delete(upload.key)
    async with open_driver(SPEC, **s3_server.settings(bucket="nowhere")) as driver:
        assert isinstance(driver, SupportsDelete)
        with pytest.raises(StorageNotFoundError, match="no bucket 'nowhere'"):
            await driver.delete(upload.key)


# --- logs


@pytest.mark.asyncio
async def test_nothing_secret_is_logged_whatever_the_root_logger_lets_through(
    seaweed: SeaweedFS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_driver(SPEC, **seaweed.settings(threads=2)) as driver:
        url = await driver.put(video(11 * MIB)) or ""
        assert isinstance(driver, SupportsDelete)
        await driver.delete("x")
    signature = parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
    assert seaweed.secret_key not in caplog.text
    assert signature not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("botocore", "boto3", "urllib3"))]


def _parts_under_way(server: S3Server) -> list[Any]:
    found: list[Any] = door(server).list_multipart_uploads(Bucket=server.bucket).get("Uploads", [])
    return found


async def _put(driver: qqmedia.Driver, upload: Upload) -> str | None:
    return await driver.put(upload)
