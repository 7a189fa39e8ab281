"""What is special about the driver `cos`; what every driver promises is proved by the kit."""

from __future__ import annotations

import importlib.util
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio

import qqmedia
from qqmedia import (
    ConfigurationError,
    MediaHost,
    MediaKind,
    Reach,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from tests.fakes.bucket_service import Key, StoredObject
from tests.fakes.cos import FakeCos
from tests.fakes.tls import make_private_ca

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG = PNG + bytes(11 * 1024 * 1024)


@pytest.fixture(autouse=True)
def _pictures_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures here are made up: too large ones must not be made anew."""
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")


BUCKET = "pics-1250000000"
KEYS = (
    Key(key_id="AKID", secret="right-secret"),
    Key(key_id="AKIDsts", secret="right-secret", token="session-token-77"),
    Key(key_id="AKIDput", secret="right-secret", operations=frozenset({"PutObject"})),
)
OpenCos = Callable[..., AbstractAsyncContextManager[MediaHost]]


@pytest.fixture(autouse=True)
def _no_vendor_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SESSION_TOKEN", "COS_SECRET_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeCos]:
    with FakeCos.running(tmp_path / "cos", bucket=BUCKET, region="ap-guangzhou", keys=KEYS) as service:
        yield service


@pytest.fixture
def open_cos(service: FakeCos) -> OpenCos:
    def open_it(*, check: bool = True, policy: qqmedia.HostPolicy | None = None, **changes: Any) -> Any:
        settings = {
            "bucket": BUCKET, "region": "ap-guangzhou", "secret_id": "AKID", "secret_key": "right-secret",
            "endpoint_url": service.url,
        }  # fmt: skip
        given = {name: value for name, value in (settings | changes).items() if value is not None}
        policy = policy or qqmedia.HostPolicy(retry_wait=0)
        return qqmedia.open_host("cos", check=check, policy=policy, platform_on_loopback=True, **given)

    return open_it


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def image_url(host: MediaHost, content: bytes = PNG) -> str:
    url = await host.get_image(content)
    assert isinstance(url, str)
    return url


@pytest.mark.asyncio
async def test_a_private_bucket_just_works_and_the_url_ends_with_the_ttl(
    open_cos: OpenCos, service: FakeCos, http: aiohttp.ClientSession
) -> None:
    async with open_cos(cache_control="max-age=7", acl="private") as host:
        assert host.reach is Reach.PUBLIC
        url = await image_url(host)
        for offset, status in ((3600, 200), (3600 + 120, 403)):
            service.clock_offset = offset
            async with http.get(url) as answer:
                assert answer.status == status
        (stored,) = service.objects.values()
        assert (stored.content_type, stored.headers, stored.acl) == (
            "image/png",
            {"Cache-Control": "max-age=7"},
            "private",
        )


@pytest.mark.asyncio
async def test_what_is_there_already_is_not_stored_again(open_cos: OpenCos, service: FakeCos) -> None:
    for _run in range(2):
        async with open_cos() as host:
            await image_url(host)
    assert [operation for operation, _ in service.calls].count("PutObject") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"secret_key": "wrong-secret"}, StoragePermissionError, r"check secret_key \(TENCENTCLOUD_SECRET_KEY\)"),
        ({"secret_id": "AKIDother"}, StoragePermissionError, r"check secret_id \(TENCENTCLOUD_SECRET_ID\)"),
        ({"secret_id": "AKIDsts"}, StoragePermissionError, "if the key is temporary, token belongs to it"),
        ({"secret_id": "AKIDsts", "token": "old-token-11"}, StoragePermissionError, "renew token"),
        ({"bucket": "others-1250000000"}, StorageNotFoundError, "check bucket .with the APPID. and region"),
        (
            {"region": "ap-beijing"},
            StorageMisconfiguredError,
            "region=ap-beijing is wrong .* right one is ap-guangzhou",
        ),
    ],
)
async def test_what_cannot_work_is_an_error_at_opening(
    open_cos: OpenCos, caplog: pytest.LogCaptureFixture, changes: dict[str, str], kind: type[StorageError], text: str
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=text) as caught:
        async with open_cos(**changes):
            pass
    assert type(caught.value) is kind
    assert str(caught.value).startswith("driver 'cos' cannot be used: ")
    assert "\n" not in str(caught.value)
    for secret in ("right-secret", "wrong-secret", "old-token-11"):
        assert secret not in str(caught.value) + caplog.text
    assert "qcloud_cos" not in caplog.text  # the SDK logs each error with a traceback of its own


@pytest.mark.asyncio
async def test_a_wrong_region_without_a_hint_points_at_the_region_all_the_same(
    open_cos: OpenCos, service: FakeCos
) -> None:
    service.elsewhere = "not found"
    with pytest.raises(StorageNotFoundError, match=r"in region ap-beijing: check bucket .* and region"):
        async with open_cos(region="ap-beijing"):
            pass


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [-24 * 3600, 24 * 3600])
async def test_a_wrong_clock_is_told(open_cos: OpenCos, service: FakeCos, offset: float) -> None:
    service.clock_offset = offset
    with pytest.raises(StorageMisconfiguredError, match="the clock of this machine is wrong"):
        async with open_cos():
            pass


@pytest.mark.asyncio
async def test_a_key_that_may_only_put_is_a_warning(
    open_cos: OpenCos, caplog: pytest.LogCaptureFixture, service: FakeCos
) -> None:
    async with open_cos(secret_id="AKIDput", public_base_url="https://img.example.com") as host:
        assert "the key may not read in bucket 'pics-1250000000' (AccessDenied)" in caplog.text
        await image_url(host)
    assert len(service.objects) == 1


@pytest.mark.asyncio
async def test_a_redirect_is_never_taken_for_a_success(open_cos: OpenCos, service: FakeCos) -> None:
    async with open_cos(region="ap-beijing", check=False) as host:
        for content in (PNG, BIG):
            with pytest.raises(StorageMisconfiguredError, match="the right one is ap-guangzhou"):
                await host.get_image(content)
    assert not service.objects


@pytest.fixture
def answered(service: FakeCos) -> FakeCos:
    """Somebody stored an object where the check looks."""
    file = service.folder / "there"
    file.write_bytes(bytes(100_000))
    service.objects["qqmedia/is-anybody-there"] = StoredObject(file=file, size=100_000, etag="0" * 32, crc64=0)
    return service


@pytest.mark.asyncio
async def test_an_object_where_the_check_looks_is_no_trouble(answered: FakeCos, open_cos: OpenCos) -> None:
    async with open_cos() as host:
        await image_url(host)


@pytest.mark.asyncio
async def test_a_full_bucket_is_a_matter_of_quota(open_cos: OpenCos, service: FakeCos) -> None:
    service.quota_bytes = 10
    async with open_cos() as host:
        with pytest.raises(StorageQuotaError, match="make room in bucket 'pics-1250000000'"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_parts_are_taken_back_when_one_fails(
    open_cos: OpenCos, service: FakeCos, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_cos(policy=qqmedia.HostPolicy(retries=0)) as host:
        service.fail_next(1, "500", "UploadPart")
        with pytest.raises(StorageUnavailableError):
            await host.get_image(BIG)
        assert not service.uploads
        service.fail_next(1, "503", "CompleteMultipartUpload")
        service.fail_next(1, "500", "AbortMultipartUpload")
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            await host.get_image(BIG)
        assert "may be left in the bucket (CosServiceError); a lifecycle rule" in caplog.text
        url = await image_url(host, BIG)
    assert service.objects[urlsplit(url).path[1:]].size == len(BIG)


@pytest.mark.asyncio
async def test_part_size_is_a_setting(open_cos: OpenCos, service: FakeCos) -> None:
    async with open_cos(part_size_mib=4) as host:
        await host.get_image(BIG)
    assert [operation for operation, _ in service.calls].count("UploadPart") == 3


@pytest.mark.asyncio
async def test_a_public_base_url_is_what_the_outside_sees(open_cos: OpenCos, service: FakeCos) -> None:
    async with open_cos(custom_url="https://img.example.com/cdn/", path="bot/") as host:
        assert host.reach is Reach.PUBLIC
        url = await image_url(host)
    (name,) = service.objects
    assert name.startswith("bot/")
    assert url == f"https://img.example.com/cdn/{name}"


@pytest.mark.asyncio
async def test_the_stores_own_public_address(open_cos: OpenCos, service: FakeCos, http: aiohttp.ClientSession) -> None:
    service.public_read = True
    async with open_cos(url="public") as host:
        url = await image_url(host)
        assert not urlsplit(url).query
        async with http.get(url) as answer:
            assert await answer.read() == PNG
    async with open_cos(url="public", endpoint_url=None, check=False) as host:
        assert host.reach is Reach.UNKNOWN


@pytest.mark.asyncio
async def test_urls_can_be_signed_for_a_domain_of_ones_own(
    open_cos: OpenCos, service: FakeCos, http: aiohttp.ClientSession
) -> None:
    service.domains.add("img.example.com")
    async with open_cos(public_base_url="http://img.example.com", url="presigned") as host:
        url = await image_url(host)
        assert url.startswith("http://img.example.com/qqmedia/")
        # As its CDN would ask, so that no name must be resolved.
        asked = url.replace("http://img.example.com", service.url)
        async with http.get(asked, headers={"Host": "img.example.com"}) as answer:
            assert await answer.read() == PNG


@pytest.mark.asyncio
async def test_temporary_credentials_work_and_their_urls_carry_the_token(
    open_cos: OpenCos, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_cos(secret_id="AKIDsts", token="session-token-77") as host:
        url = await image_url(host)
        assert parse_qs(urlsplit(url).query)["x-cos-security-token"] == ["session-token-77"]
        async with http.get(url) as answer:
            assert await answer.read() == PNG
        await host.get_image(BIG)
    assert "session-token-77" not in caplog.text  # SDKs write every header to their debug logs


@pytest.mark.asyncio
async def test_the_vendors_variables_stand_in_for_settings(
    open_cos: OpenCos, monkeypatch: pytest.MonkeyPatch, service: FakeCos
) -> None:
    monkeypatch.setenv("COS_SECRET_ID", "AKIDother")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", " AKIDsts\n")  # as copied from the console
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "right-secret")
    monkeypatch.setenv("TENCENTCLOUD_SESSION_TOKEN", "session-token-77")
    async with open_cos(secret_id=None, secret_key=None) as host:
        await image_url(host)
    # The session token belongs to the vendor's key, and not to one that is given here.
    async with open_cos() as host:
        await image_url(host)
    monkeypatch.setenv("QQMEDIA_COS_SECRET_ID", "AKIDother")
    with pytest.raises(StoragePermissionError, match="InvalidAccessKeyId"):
        async with open_cos(secret_id=None, secret_key=None):
            pass
    assert len(service.objects) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bucket": "pics"}, "'bucket' is wrong .*: must end with the APPID"),
        ({"region": None}, "'region' of 'cos' is not set"),
        ({"secret_key": None}, "'secret_key' of 'cos' is not set: give secret_key=..., QQMEDIA_COS_SECRET_KEY"),
        ({"secret_key": "   "}, "'secret_key' is wrong"),
        ({"endpoint_url": "http://127.0.0.1/bucket"}, "endpoint_url must have no path"),
        ({"public_base_url": "https://a.example/cdn", "url": "presigned"}, "public_base_url must have no path then"),
        ({"secret": "x"}, "'secret' is not a setting of 'cos'; did you mean 'secret_"),
    ],
)
async def test_a_wrong_setting_is_named(open_cos: OpenCos, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with open_cos(**changes):
            pass


@pytest.mark.asyncio
async def test_an_address_of_ipv6_is_an_address(open_cos: OpenCos) -> None:
    async with open_cos(endpoint_url="http://[::1]:9", policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(StorageUnavailableError, match=r"endpoint http://\[::1\]:9 right"):  # nobody is there
            await host.get_image(PNG)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "endpoint_url", ["http://cos.ap-guangzhou.myqcloud.com", f"http://{BUCKET}.cos.ap-guangzhou.myqcloud.com"]
)
async def test_the_bucket_is_named_by_the_host_and_a_proxy_of_the_environment_is_used(
    open_cos: OpenCos, service: FakeCos, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    endpoint_url: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    with caplog.at_level(logging.INFO, "qqmedia_drivers.cos"):
        async with open_cos(endpoint_url=endpoint_url) as host:
            url = await image_url(host)
            await host.get_image(BIG)
    assert {call.host for call in service.seen} == {f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"}
    assert url.startswith(f"http://{BUCKET}.cos.ap-guangzhou.myqcloud.com/qqmedia/")
    assert "Content-Disposition: attachment" in caplog.text  # said once, where it may matter
    assert "set public_base_url" in caplog.text


@pytest.fixture
def tls_service(tmp_path: Path) -> Iterator[tuple[FakeCos, Path]]:
    ca = make_private_ca(tmp_path / "tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca.cert_file, ca.key_file)
    with FakeCos.running(tmp_path / "cos-tls", tls=context, bucket=BUCKET, region="ap-guangzhou", keys=KEYS) as service:
        yield service, ca.ca_file


@pytest.mark.asyncio
async def test_https_is_checked_against_the_authority_that_is_named(
    tls_service: tuple[FakeCos, Path], open_cos: OpenCos, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, ca_file = tls_service
    with pytest.raises(
        StorageMisconfiguredError, match=r"certificate verify failed.*; .* is not trusted: .* in verify"
    ):
        async with open_cos(endpoint_url=service.url):
            pass
    async with open_cos(endpoint_url=service.url, ca_bundle=ca_file) as host:
        assert (await image_url(host)).startswith("https://")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    async with open_cos(endpoint_url=service.url) as host:
        await image_url(host)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        async with open_cos(verify="/no/such/file.pem"):
            pass


@pytest.mark.asyncio
async def test_threads_are_its_own_bounded_and_end_with_it(open_cos: OpenCos, service: FakeCos) -> None:
    service.fail_next(1, "500", "PutObject")
    async with open_cos(threads=2) as host:
        for shade in range(8):
            await image_url(host, PNG + bytes([shade]))
        assert 1 <= len([one for one in threading.enumerate() if one.name.startswith("qqmedia-cos")]) <= 2


def test_no_warning_of_the_sdks_code_stops_anybody() -> None:
    spec = importlib.util.find_spec("qcloud_cos")
    assert spec is not None
    assert spec.submodule_search_locations
    for file in Path(spec.submodule_search_locations[0]).glob("*.py"):
        compile(file.read_text("utf-8"), str(file), "exec")  # warnings are errors here


@pytest.mark.asyncio
async def test_a_large_video_comes_back(open_cos: OpenCos, http: aiohttp.ClientSession) -> None:
    content = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(6 * 1024 * 1024)
    async with open_cos() as host, host.prepare(MediaKind.VIDEO, content) as upload:
        hosted = await host.publish(upload)
        assert hosted.url is not None
        async with http.get(hosted.url) as answer:
            assert (await answer.read(), answer.headers["Content-Type"]) == (content, "video/mp4")


def refusal(code: str, message: str = "no") -> str:
    return (
        f"<?xml version='1.0' encoding='utf-8' ?><Error><Code>{code}</Code><Message>{message}</Message>"
        "<Resource>x</Resource><RequestId>NjQ</RequestId><TraceId>x</TraceId></Error>"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            403,
            refusal("AccessDenied"),
            StoragePermissionError,
            r"\(AccessDenied, HTTP 403, request NjQ\); allow the key",
        ),
        (403, refusal("ExpiredToken"), StoragePermissionError, "renew token"),
        (400, refusal("AttachmentFull"), StorageQuotaError, "leave out acl"),
        (400, refusal("EntityTooLarge"), StorageQuotaError, "no object of this size"),
        (400, refusal("UserNetworkTooSlow"), StorageUnavailableError, "the line is slow"),
        (404, refusal("NoSuchBucket"), StorageNotFoundError, "no bucket 'pics-1250000000' in region ap-guangzhou"),
        (503, refusal("SlowDown"), StorageUnavailableError, "the service is busy"),
        (500, refusal("NeverHeardOf"), StorageUnavailableError, "trouble of its own"),
        (418, refusal("NeverHeardOf"), StorageError, r"NeverHeardOf, HTTP 418"),
        (403, "", StoragePermissionError, "the credentials do not allow this in bucket 'pics-1250000000'"),
        (407, "<html>Log in first</html>", StorageError, "HTTP 407"),
        (502, "<html>Bad gateway</html>", StorageUnavailableError, "HTTP 502"),
        (413, '{"not": "xml"}', StorageQuotaError, "larger than the service or a proxy"),
    ],
)
async def test_whatever_the_service_says_is_told_in_our_words(
    open_cos: OpenCos, service: FakeCos, *, status: int, body: str, kind: type[StorageError], text: str
) -> None:  # fmt: skip
    service.answer_next("PutObject", status, body)
    async with open_cos(policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(kind, match=text) as caught:
            await host.get_image(PNG)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert "right-secret" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_portal_that_redirects_is_no_success(open_cos: OpenCos, service: FakeCos) -> None:
    service.answer_next("PutObject", 302, "", Location="http://portal.example.com/login?from=here")
    async with open_cos() as host:
        with pytest.raises(StorageMisconfiguredError, match="the right one is in the service's console"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_completing_with_an_error_in_a_200_is_a_failure(open_cos: OpenCos, service: FakeCos) -> None:
    service.answer_next("CompleteMultipartUpload", 200, refusal("InternalError"))
    async with open_cos(policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(StorageUnavailableError, match="InternalError"):
            await host.get_image(BIG)
    assert not service.uploads
