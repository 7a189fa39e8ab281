"""What `s3` sends, and what it makes of answers: beside a server that says whatever the test wants."""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from aiohttp import web

import qqmedia
from qqmedia import (
    HostPolicy,
    MediaKind,
    MediaSourceError,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
    SupportsCheck,
    SupportsDelete,
    SupportsFind,
)
from qqmedia.testing import make_content, make_upload, open_driver
from qqmedia_drivers.s3 import qqmedia_register_drivers
from qqmedia_drivers.s3._errors import DIALECT
from tests.fakes.files import shortened

SPEC = qqmedia_register_drivers()
SECRET, TOKEN = "a-secret-of-the-test", "a-token-of-the-test"


@dataclass
class Service:
    """Answers everything with `status` and `code`, puts only `refusals` times; 200 without a body by default."""

    url: str = ""
    status: int = 200
    code: str = ""
    message: str = "Told to."
    extra: str = ""
    refusals: float = math.inf
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests.append((request.method, request.headers))
        puts = [method for method, _ in self.requests if method == "PUT"]
        if self.status == 200 or len(puts) > self.refusals:
            return web.Response(headers={"ETag": '"1"'})
        inner = f"<Code>{self.code}</Code><Message>{self.message}</Message>{self.extra}" if self.code else ""
        body = f"<?xml version='1.0'?><Error>{inner}<RequestId>REQ7</RequestId></Error>" if self.code else ""
        return web.Response(status=self.status, text=body, content_type="application/xml", headers=self.headers)

    def settings(self, **changes: Any) -> dict[str, Any]:
        keys = {"access_key_id": "AKTEST", "secret_access_key": SECRET}
        return {"bucket": "pics", "endpoint_url": self.url, **keys} | changes


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    application = web.Application(client_max_size=32 * 1024 * 1024)
    application.router.add_route("*", "/{rest:.*}", service.answer)
    async with served(application) as service.url:
        yield service


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "code", "kind", "way_out"),
    [
        (403, "InvalidAccessKeyId", StoragePermissionError, "access_key_id"),
        (403, "SignatureDoesNotMatch", StoragePermissionError, "secret_access_key"),
        (400, "ExpiredToken", StoragePermissionError, "session_token"),
        (403, "AccessDenied", StoragePermissionError, "s3:PutObject"),
        (403, "SomethingNew", StoragePermissionError, "do not allow this in bucket 'pics'"),
        (404, "NoSuchBucket", StorageNotFoundError, "check bucket and region"),
        (403, "RequestTimeTooSkewed", StorageMisconfiguredError, "clock"),
        (400, "AccessControlListNotSupported", StorageMisconfiguredError, "leave out acl"),
        (403, "PathStyleDomainForbidden", StorageMisconfiguredError, "addressing_style"),
        (400, "InvalidBucketName", StorageMisconfiguredError, "check bucket"),
        (405, "MethodNotAllowed", StorageMisconfiguredError, "address of the API"),
        (403, "QuotaExceeded", StorageQuotaError, "make room"),
        (507, "XMinioStorageFull", StorageQuotaError, "make room"),
        (413, "", StorageQuotaError, "larger"),
        (503, "SlowDown", StorageUnavailableError, "busy"),
        (500, "InternalError", StorageUnavailableError, "busy"),
        (502, "", StorageUnavailableError, "trouble of its own"),
        (429, "", StorageUnavailableError, "too many requests"),
    ],
)
async def test_each_answer_becomes_our_kind_with_a_way_out(
    service: Service, status: int, code: str, kind: type[StorageError], way_out: str
) -> None:
    service.status, service.code = status, code
    async with open_driver(SPEC, **service.settings()) as driver:
        with pytest.raises(StorageError) as caught:
            await driver.put(make_upload())
    text = str(caught.value)
    assert type(caught.value) is kind
    assert way_out in text
    assert f"HTTP {status}" in text
    assert code in text
    assert "{" not in text
    assert caught.value.__cause__ is not None
    assert len(service.requests) == 1, "the host tries again, not the driver"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "region"),
    [
        ((400, "AuthorizationHeaderMalformed", "<Region>eu-north-1</Region>", {}), "eu-north-1"),
        ((301, "PermanentRedirect", "", {"x-amz-bucket-region": "eu-north-1"}), "eu-north-1"),
        ((400, "IllegalLocationConstraintException", "", {}), "in the service's console"),
    ],
)
async def test_the_right_region_is_told_if_the_service_tells(
    service: Service, answer: tuple[int, str, str, dict[str, str]], region: str
) -> None:
    service.status, service.code, service.extra, service.headers = answer
    async with open_driver(SPEC, **service.settings(region="us-west-2")) as driver:
        assert isinstance(driver, SupportsCheck)
        with pytest.raises(StorageMisconfiguredError, match=f"region=us-west-2 is wrong .*the right one is {region}"):
            await driver.check()
    assert len(service.requests) == 1, "boto3 looked for the region by itself"


def test_every_text_can_be_filled_in() -> None:
    facts = {"bucket": "b", "region": "r", "endpoint": "e", "right_region": "x"}
    for reason in [*DIALECT.codes.values(), *(reason for _, reason in DIALECT.classes)]:
        assert reason.way_out.format_map(facts)
        assert issubclass(reason.kind, StorageError)


@pytest.mark.asyncio
async def test_narrow_errors_of_the_sdk_come_before_wide_ones() -> None:
    kinds = [kind for kind, _ in DIALECT.classes]
    for number, kind in enumerate(kinds):
        assert not [wide for wide in kinds[:number] if issubclass(kind, wide)], f"{kind} is never reached"


@pytest.mark.asyncio
async def test_an_answer_that_shows_a_secret_is_blackened(service: Service) -> None:
    service.status, service.code, service.message = 403, "AccessDenied", f"no: {SECRET} and {TOKEN}"
    async with open_driver(SPEC, **service.settings(session_token=TOKEN)) as driver:
        with pytest.raises(StoragePermissionError) as caught:
            await driver.put(make_upload())
    assert "no: *** and ***" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    service.message = "x" * 190 + SECRET  # the text is cut in the middle of it
    async with open_driver(SPEC, **service.settings()) as driver:
        with pytest.raises(StoragePermissionError) as caught:
            await driver.put(make_upload())
    assert SECRET[:5] not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [300, 2 * 1024 * 1024])
async def test_what_is_sent_with_a_body(service: Service, size: int) -> None:
    upload = make_upload(make_content(size, kind=MediaKind.VIDEO), kind=MediaKind.VIDEO)
    async with open_driver(SPEC, **service.settings(session_token=TOKEN, acl="public-read")) as driver:
        url = await driver.put(upload)
    [(method, headers)] = service.requests
    assert (method, headers["Content-Length"], headers["Content-Type"]) == ("PUT", str(size), "video/mp4")
    assert headers["X-Amz-Acl"] == "public-read"
    assert headers["X-Amz-Security-Token"] == TOKEN
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKTEST/")
    assert headers["X-Amz-Content-SHA256"] == upload.sha256, "over http the body is signed too"
    assert ("Expect" in headers) == (size > 1024 * 1024)
    for name in headers:
        assert "checksum" not in name.lower()
        assert name.lower() not in ("x-amz-trailer", "content-encoding")
    assert parse_qs(urlsplit(url or "").query)["X-Amz-Security-Token"] == [TOKEN]


@pytest.mark.asyncio
async def test_no_acl_is_sent_where_none_is_set(service: Service) -> None:
    async with open_driver(SPEC, **service.settings()) as driver:
        await driver.put(make_upload())
    [(_, headers)] = service.requests
    assert "X-Amz-Acl" not in headers
    assert "X-Amz-Security-Token" not in headers


@pytest.mark.asyncio
async def test_not_found_is_no_error_where_nothing_is_looked_for(service: Service) -> None:
    service.status, service.code = 404, "NoSuchKey"
    async with open_driver(SPEC, **service.settings()) as driver:
        assert isinstance(driver, SupportsFind)
        assert isinstance(driver, SupportsDelete)
        assert isinstance(driver, SupportsCheck)
        assert await driver.find(make_upload()) is None
        await driver.delete("gone.png")
        await driver.check()


@pytest.mark.asyncio
async def test_a_404_without_a_code_does_not_keep_a_bot_from_starting(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Small servers answer so where nothing is; which of key and bucket is not there, nobody knows."""
    service.status = 404
    async with open_driver(SPEC, **service.settings()) as driver:
        assert isinstance(driver, SupportsCheck)
        assert isinstance(driver, SupportsDelete)
        await driver.check()
        await driver.delete("gone.png")
    assert "sending will tell whether bucket 'pics' is there" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [100, 2 * 1024 * 1024])
async def test_a_folder_that_vanishes_under_a_put_is_tried_again(service: Service, size: int) -> None:
    """JuiceFS removes a folder with its last object, and says to whoever puts one there that there is no such key."""
    service.status, service.code, service.refusals = 404, "NoSuchKey", 1
    policy = HostPolicy(retry_wait=0)
    async with (
        qqmedia.open_host("s3", check=False, policy=policy, platform_on_loopback=True, **service.settings()) as host,
        host.prepare(MediaKind.FILE, make_content(size)) as upload,
    ):
        assert (await host.publish(upload)).url
    assert [method for method, _ in service.requests if method == "PUT"] == ["PUT", "PUT"]


@pytest.mark.asyncio
async def test_a_portal_that_redirects_is_told_as_one(service: Service) -> None:
    service.status = 302
    async with open_driver(SPEC, **service.settings()) as driver:
        with pytest.raises(StorageMisconfiguredError, match="a portal to log in at"):
            await driver.put(make_upload())


@pytest.mark.asyncio
async def test_a_credential_that_no_header_can_hold_is_told_and_not_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK finds it by itself, and shows it in its error."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{TOKEN}\n")
    async with open_driver(SPEC, bucket="pics", endpoint_url=service.url) as driver:
        with pytest.raises(StorageMisconfiguredError, match="copy them again") as caught:
            await driver.put(make_upload())
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + caplog.text


@pytest.mark.asyncio
async def test_a_file_that_becomes_shorter_meanwhile_is_told_at_once(service: Service, tmp_path: Path) -> None:
    upload = await asyncio.to_thread(shortened, tmp_path / "video.mp4", 2 * 1024 * 1024)
    async with open_driver(SPEC, **service.settings()) as driver:
        with pytest.raises(MediaSourceError, match="became shorter"):
            await driver.put(upload)


@pytest.mark.asyncio
async def test_a_long_complaint_of_the_sdk_is_one_line(service: Service) -> None:
    async with open_driver(SPEC, **service.settings(acl="x" * 400, bucket="arn:not-one")) as driver:
        with pytest.raises(StorageError) as caught:
            await driver.put(make_upload())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("base", "host", "path"),
    [
        ("https://img.example.com/pics", "img.example.com", "/pics/qqmedia/"),
        ("https://pics.img.example.com", "pics.img.example.com", "/qqmedia/"),
    ],
)
async def test_urls_are_signed_for_the_address_that_the_outside_sees(
    service: Service, base: str, host: str, path: str
) -> None:
    """A server of one's own has an address for the bot, and behind a proxy another one for everybody."""
    upload = make_upload()
    async with open_driver(SPEC, **service.settings(public_base_url=base, url="presigned")) as driver:
        url = urlsplit(await driver.put(upload) or "")
    assert (url.netloc, url.path) == (host, path + upload.key)
    assert "X-Amz-Signature" in parse_qs(url.query)
    [(_, headers)] = service.requests
    assert headers["Host"] == urlsplit(service.url).netloc


@pytest.mark.asyncio
async def test_a_fault_while_looking_is_not_taken_for_absence(service: Service) -> None:
    service.status = 500
    async with open_driver(SPEC, **service.settings()) as driver:
        assert isinstance(driver, SupportsFind)
        with pytest.raises(StorageUnavailableError):
            await driver.find(make_upload())
