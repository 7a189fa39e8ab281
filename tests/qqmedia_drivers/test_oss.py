"""What is special about the driver `oss`; what every driver promises is proved by the kit."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import ssl
import sys
import threading
import warnings
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
from tests.fakes.oss import FakeOss
from tests.fakes.tls import make_private_ca

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG = PNG + bytes(11 * 1024 * 1024)


@pytest.fixture(autouse=True)
def _pictures_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures here are made up: too large ones must not be made anew."""
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")


BUCKET = "pics"
KEYS = (
    Key(key_id="LTAI", secret="right-secret"),
    Key(key_id="STS.x", secret="right-secret", token="session-token-77"),
    Key(key_id="LTAIput", secret="right-secret", operations=frozenset({"PutObject"})),
)
OpenOss = Callable[..., AbstractAsyncContextManager[MediaHost]]


@pytest.fixture(autouse=True)
def _no_vendor_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN", "OSS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeOss]:
    with FakeOss.running(tmp_path / "oss", bucket=BUCKET, region="cn-hangzhou", keys=KEYS) as service:
        yield service


@pytest.fixture
def open_oss(service: FakeOss) -> OpenOss:
    def open_it(*, check: bool = True, policy: qqmedia.HostPolicy | None = None, **changes: Any) -> Any:
        settings = {
            "bucket": BUCKET, "region": "cn-hangzhou", "access_key_id": "LTAI", "access_key_secret": "right-secret",
            "endpoint_url": service.url,
        }  # fmt: skip
        given = {name: value for name, value in (settings | changes).items() if value is not None}
        policy = policy or qqmedia.HostPolicy(retry_wait=0)
        return qqmedia.open_host("oss", check=check, policy=policy, platform_on_loopback=True, **given)

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
    open_oss: OpenOss, service: FakeOss, http: aiohttp.ClientSession
) -> None:
    async with open_oss(cache_control="max-age=7", acl="private") as host:
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
async def test_what_is_there_already_is_not_stored_again(open_oss: OpenOss, service: FakeOss) -> None:
    for _run in range(2):
        async with open_oss() as host:
            await image_url(host)
    assert [operation for operation, _ in service.calls].count("PutObject") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        (
            {"access_key_secret": "wrong-secret"},
            StoragePermissionError,
            r"check access_key_secret .OSS_ACCESS_KEY_SECRET",
        ),
        ({"access_key_id": "LTAIother"}, StoragePermissionError, r"check access_key_id .OSS_ACCESS_KEY_ID"),
        ({"access_key_id": "STS.x"}, StoragePermissionError, "if the key is temporary, security_token belongs to it"),
        ({"access_key_id": "STS.x", "security_token": "old-token-11"}, StoragePermissionError, "renew security_token"),
        ({"bucket": "others"}, StorageNotFoundError, "there is no bucket 'others' at http://127.0.0.1:"),
        ({"region": "cn-beijing"}, StorageMisconfiguredError, "region=cn-beijing at .* is wrong"),
    ],
)
async def test_what_cannot_work_is_an_error_at_opening(
    open_oss: OpenOss, caplog: pytest.LogCaptureFixture, changes: dict[str, str], kind: type[StorageError], text: str
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=text) as caught:
        async with open_oss(**changes):
            pass
    assert type(caught.value) is kind
    assert str(caught.value).startswith("driver 'oss' cannot be used: ")
    assert "\n" not in str(caught.value)
    for secret in ("right-secret", "wrong-secret", "old-token-11"):
        assert secret not in str(caught.value) + caplog.text


@pytest.mark.asyncio
async def test_the_right_region_is_told_when_the_service_tells_it(open_oss: OpenOss, service: FakeOss) -> None:
    service.bucket_region = "cn-shanghai"
    with pytest.raises(StorageMisconfiguredError, match="for bucket 'pics'; the right one is cn-shanghai"):
        async with open_oss():
            pass


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [-24 * 3600, 24 * 3600])
async def test_a_wrong_clock_is_told(open_oss: OpenOss, service: FakeOss, offset: float) -> None:
    service.clock_offset = offset
    with pytest.raises(StorageMisconfiguredError, match="the clock of this machine is wrong"):
        async with open_oss():
            pass


@pytest.mark.asyncio
async def test_a_key_that_may_only_put_is_a_warning(
    open_oss: OpenOss, caplog: pytest.LogCaptureFixture, service: FakeOss
) -> None:
    async with open_oss(access_key_id="LTAIput", public_base_url="https://img.example.com") as host:
        assert "the key may not read in bucket 'pics' (AccessDenied)" in caplog.text
        await image_url(host)
    assert len(service.objects) == 1


@pytest.fixture
def answered(service: FakeOss) -> FakeOss:
    """Somebody stored an object where the check looks."""
    file = service.folder / "there"
    file.write_bytes(bytes(100_000))
    service.objects["qqmedia/is-anybody-there"] = StoredObject(file=file, size=100_000, etag="0" * 32, crc64=0)
    return service


@pytest.mark.asyncio
async def test_an_object_where_the_check_looks_is_no_trouble(answered: FakeOss, open_oss: OpenOss) -> None:
    async with open_oss() as host:
        await image_url(host)


@pytest.mark.asyncio
async def test_a_full_bucket_is_a_matter_of_quota(open_oss: OpenOss, service: FakeOss) -> None:
    service.quota_bytes = 10
    async with open_oss() as host:
        with pytest.raises(StorageQuotaError, match="make room in bucket 'pics'"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_parts_are_taken_back_when_one_fails(
    open_oss: OpenOss, service: FakeOss, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_oss(policy=qqmedia.HostPolicy(retries=0)) as host:
        service.fail_next(1, "500", "UploadPart")
        with pytest.raises(StorageUnavailableError):
            await host.get_image(BIG)
        assert not service.uploads
        service.fail_next(1, "503", "CompleteMultipartUpload")
        service.fail_next(1, "500", "AbortMultipartUpload")
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            await host.get_image(BIG)
        assert "may be left in the bucket (ServerError); a lifecycle rule" in caplog.text
        url = await image_url(host, BIG)
    assert service.objects[urlsplit(url).path.removeprefix("/pics/")].size == len(BIG)


@pytest.mark.asyncio
async def test_part_size_is_a_setting(open_oss: OpenOss, service: FakeOss) -> None:
    async with open_oss(part_size_mib=4) as host:
        await host.get_image(BIG)
    assert [operation for operation, _ in service.calls].count("UploadPart") == 3


@pytest.mark.asyncio
async def test_a_public_base_url_is_what_the_outside_sees(open_oss: OpenOss, service: FakeOss) -> None:
    async with open_oss(custom_url="https://img.example.com/cdn/", path="bot/") as host:
        assert host.reach is Reach.PUBLIC
        url = await image_url(host)
    (name,) = service.objects
    assert name.startswith("bot/")
    assert url == f"https://img.example.com/cdn/{name}"


@pytest.mark.asyncio
async def test_the_stores_own_public_address(open_oss: OpenOss, service: FakeOss, http: aiohttp.ClientSession) -> None:
    service.public_read = True
    async with open_oss(url="public") as host:
        url = await image_url(host)
        assert not urlsplit(url).query
        async with http.get(url) as answer:
            assert await answer.read() == PNG
    async with open_oss(url="public", endpoint_url=None, check=False) as host:
        assert host.reach is Reach.UNKNOWN


@pytest.mark.asyncio
async def test_urls_can_be_signed_for_a_domain_of_ones_own(
    open_oss: OpenOss, service: FakeOss, http: aiohttp.ClientSession
) -> None:
    service.domains.add("img.example.com")
    async with open_oss(public_base_url="http://img.example.com", url="presigned") as host:
        url = await image_url(host)
        assert url.startswith("http://img.example.com/qqmedia/")
        # As its CDN would ask, so that no name must be resolved.
        asked = url.replace("http://img.example.com", service.url)
        async with http.get(asked, headers={"Host": "img.example.com"}) as answer:
            assert await answer.read() == PNG


@pytest.mark.asyncio
async def test_temporary_credentials_work_and_their_urls_carry_the_token(
    open_oss: OpenOss, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_oss(access_key_id="STS.x", security_token="session-token-77") as host:
        url = await image_url(host)
        assert parse_qs(urlsplit(url).query)["x-oss-security-token"] == ["session-token-77"]
        async with http.get(url) as answer:
            assert await answer.read() == PNG
        await host.get_image(BIG)
    assert "session-token-77" not in caplog.text  # SDKs write every header to their debug logs


@pytest.mark.asyncio
async def test_the_vendors_variables_stand_in_for_settings(
    open_oss: OpenOss, monkeypatch: pytest.MonkeyPatch, service: FakeOss
) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", " STS.x\n")  # as copied from the console
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "right-secret")
    monkeypatch.setenv("OSS_SESSION_TOKEN", "session-token-77")
    monkeypatch.setenv("OSS_REGION", "oss-cn-hangzhou")
    async with open_oss(access_key_id=None, access_key_secret=None, region=None) as host:
        await image_url(host)
    # The session token belongs to the vendor's key, and not to one that is given here.
    async with open_oss() as host:
        await image_url(host)
    monkeypatch.setenv("QQMEDIA_OSS_ACCESS_KEY_ID", "LTAIother")
    with pytest.raises(StoragePermissionError, match="InvalidAccessKeyId"):
        async with open_oss(access_key_id=None, access_key_secret=None):
            pass
    assert len(service.objects) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bucket": "Pics"}, "'bucket' is wrong"),
        ({"region": None}, "region is not known: give region, or an endpoint_url such as"),
        (
            {"access_key_secret": None},
            "'access_key_secret' of 'oss' is not set: give access_key_secret=..., QQMEDIA_OSS_",
        ),
        ({"access_key_secret": "   "}, "'access_key_secret' is wrong"),
        ({"endpoint_url": "http://127.0.0.1/bucket"}, "endpoint_url must have no path"),
        ({"endpoint_url": "http://[::1]:80"}, "the SDK of OSS takes these settings not: .*check endpoint_url"),
        ({"endpoint_url": None, "is_cname": True}, "is_cname says .*; give endpoint_url"),
        ({"public_base_url": "https://a.example/cdn", "url": "presigned"}, "public_base_url must have no path then"),
        ({"access_key": "x"}, "'access_key' is not a setting of 'oss'; did you mean 'access_key_"),
    ],
)
async def test_a_wrong_setting_is_named(open_oss: OpenOss, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with open_oss(**changes):
            pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "hosts"),
    [
        ({"endpoint_url": "http://oss-cn-hangzhou.aliyuncs.com"}, ("pics.oss-cn-hangzhou", "pics.oss-cn-hangzhou")),
        (
            {"endpoint_url": "http://pics.oss-cn-hangzhou.aliyuncs.com"},
            ("pics.oss-cn-hangzhou", "pics.oss-cn-hangzhou"),
        ),
        (
            {
                "endpoint_url": "http://oss-cn-hangzhou.aliyuncs.com",
                "internal_endpoint_url": "http://oss-cn-hangzhou-internal.aliyuncs.com",
            },
            ("pics.oss-cn-hangzhou-internal", "pics.oss-cn-hangzhou"),
        ),
    ],
)
async def test_the_bucket_is_named_by_the_host_and_a_proxy_of_the_environment_is_used(
    open_oss: OpenOss, service: FakeOss, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str],
    hosts: tuple[str, str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    async with open_oss(region=None, **changes) as host:  # the address names the region
        url = await image_url(host)
        await host.get_image(BIG)
    assert {call.host for call in service.seen} == {f"{hosts[0]}.aliyuncs.com"}
    assert url.startswith(f"http://{hosts[1]}.aliyuncs.com/qqmedia/")


@pytest.mark.asyncio
async def test_a_domain_bound_to_the_bucket_is_an_endpoint(
    open_oss: OpenOss, service: FakeOss, monkeypatch: pytest.MonkeyPatch, http: aiohttp.ClientSession
) -> None:
    service.domains.add("img.example.com")
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    async with open_oss(endpoint_url="http://img.example.com", is_cname=True) as host:
        url = await image_url(host)
        assert url.startswith("http://img.example.com/qqmedia/")
        async with http.get(url, proxy=service.url) as answer:
            assert await answer.read() == PNG
    assert {call.host for call in service.seen} == {"img.example.com"}


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.asyncio
async def test_a_netrc_does_not_take_the_place_of_the_signature(netrc: None, open_oss: OpenOss) -> None:
    async with open_oss() as host:
        await image_url(host)


@pytest.mark.asyncio
async def test_without_the_c_part_of_crcmod_there_is_a_warning_and_no_checksum(
    open_oss: OpenOss, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_oss():
        assert not caplog.records
    monkeypatch.setitem(sys.modules, "crcmod._crcfunext", None)  # as where no compiler was
    async with open_oss() as host:
        assert "crcmod was installed without its part in C" in caplog.text
        await image_url(host)
        await host.get_image(BIG)


@pytest.mark.asyncio
async def test_what_was_damaged_on_the_way_is_put_again(
    open_oss: OpenOss, service: FakeOss, caplog: pytest.LogCaptureFixture
) -> None:
    service.damage_next = 1
    async with open_oss() as host:
        await image_url(host)
    assert "the bytes were damaged on the way; trying again (1)" in caplog.text
    (stored,) = service.objects.values()
    assert stored.size == len(PNG)


@pytest.fixture
def tls_service(tmp_path: Path) -> Iterator[tuple[FakeOss, Path]]:
    ca = make_private_ca(tmp_path / "tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca.cert_file, ca.key_file)
    with FakeOss.running(tmp_path / "oss-tls", tls=context, bucket=BUCKET, region="cn-hangzhou", keys=KEYS) as service:
        yield service, ca.ca_file


@pytest.mark.asyncio
async def test_https_is_checked_against_the_authority_that_is_named(
    tls_service: tuple[FakeOss, Path], open_oss: OpenOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, ca_file = tls_service
    with pytest.raises(
        StorageMisconfiguredError, match=r"certificate verify failed.*; .* is not trusted: .* in verify"
    ):
        async with open_oss(endpoint_url=service.url):
            pass
    async with open_oss(endpoint_url=service.url, ca_bundle=ca_file) as host:
        assert (await image_url(host)).startswith("https://")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    async with open_oss(endpoint_url=service.url) as host:
        await image_url(host)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        async with open_oss(verify="/no/such/file.pem"):
            pass


@pytest.mark.asyncio
async def test_threads_are_its_own_bounded_and_end_with_it(open_oss: OpenOss, service: FakeOss) -> None:
    service.fail_next(1, "500", "PutObject")
    async with open_oss(threads=2) as host:
        for shade in range(8):
            await image_url(host, PNG + bytes([shade]))
        assert 1 <= len([one for one in threading.enumerate() if one.name.startswith("qqmedia-oss")]) <= 2


@pytest.mark.asyncio
async def test_no_warning_of_the_sdks_code_stops_anybody(open_oss: OpenOss) -> None:
    async with open_oss():
        pass
    await asyncio.to_thread(_compile_sdk)  # warnings are errors here
    # What newer Pythons say of `datetime.utcnow`, with which every request is signed.
    warnings.warn_explicit("utcnow is deprecated", DeprecationWarning, "auth.py", 1, module="oss2.auth")
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("so is this", DeprecationWarning, "my_bot.py", 1, module="my_oss2_bot")


def _compile_sdk() -> None:
    spec = importlib.util.find_spec("oss2")
    assert spec is not None
    assert spec.submodule_search_locations
    for file in Path(spec.submodule_search_locations[0]).glob("*.py"):
        compile(file.read_text("utf-8"), str(file), "exec")


@pytest.mark.asyncio
async def test_a_large_video_comes_back(open_oss: OpenOss, http: aiohttp.ClientSession) -> None:
    content = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(6 * 1024 * 1024)
    async with open_oss() as host, host.prepare(MediaKind.VIDEO, content) as upload:
        hosted = await host.publish(upload)
        assert hosted.url is not None
        async with http.get(hosted.url) as answer:
            assert (await answer.read(), answer.headers["Content-Type"]) == (content, "video/mp4")


def refusal(code: str, message: str = "no") -> str:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>NjQ</RequestId><HostId>x</HostId></Error>"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (403, refusal("AccessDenied"), StoragePermissionError, r"\(AccessDenied, HTTP 403\); allow the key"),
        (403, refusal("SecurityTokenExpired"), StoragePermissionError, "renew security_token"),
        (403, refusal("InDebt"), StoragePermissionError, "suspended, unpaid perhaps"),
        (403, refusal("SecondLevelDomainForbidden"), StorageMisconfiguredError, "set is_cname if"),
        (400, refusal("EntityTooLarge"), StorageQuotaError, "no object of this size"),
        (400, refusal("ConnectionTimeout"), StorageUnavailableError, "the line is slow"),
        (404, refusal("NoSuchBucket"), StorageNotFoundError, "no bucket 'pics' at http"),
        (503, refusal("SlowDown"), StorageUnavailableError, "the service is busy"),
        (500, refusal("NeverHeardOf"), StorageUnavailableError, "trouble of its own"),
        (418, refusal("NeverHeardOf"), StorageError, r"NeverHeardOf, HTTP 418"),
        (403, "", StoragePermissionError, "the credentials do not allow this in bucket 'pics'"),
        (407, "<html>Log in first</html>", StorageError, "HTTP 407"),
        (502, "<html>Bad gateway</html>", StorageUnavailableError, "HTTP 502"),
        (413, '{"not": "xml"}', StorageQuotaError, "larger than the service or a proxy"),
    ],
)
async def test_whatever_the_service_says_is_told_in_our_words(
    open_oss: OpenOss, service: FakeOss, *, status: int, body: str, kind: type[StorageError], text: str
) -> None:  # fmt: skip
    service.answer_next("PutObject", status, body)
    async with open_oss(policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(kind, match=text) as caught:
            await host.get_image(PNG)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert "right-secret" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_portal_that_redirects_is_no_success(open_oss: OpenOss, service: FakeOss) -> None:
    service.answer_next("PutObject", 302, "", Location="http://portal.example.com/login?from=here")
    async with open_oss() as host:
        with pytest.raises(StorageMisconfiguredError, match="the right one is in the service's console"):
            await host.get_image(PNG)
