"""What `cos` and `oss` have in common beside the kit's promises, with the double of each; the table is in `clouds`."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

import qqmedia
from qqmedia import (
    ConfigurationError,
    MediaHost,
    MediaKind,
    MediaSourceError,
    Reach,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia.plugins import discover
from qqmedia.testing import open_driver
from tests.fakes.bucket_values import StoredObject
from tests.fakes.files import shortened
from tests.fakes.tls import make_private_ca
from tests.qqmedia_drivers.clouds import Cloud, OpenHost, refusal

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG = PNG + bytes(11 * 1024 * 1024)
ONCE = qqmedia.HostPolicy(retries=0)


async def image_url(host: MediaHost, content: bytes = PNG) -> str:
    url = await host.get_image(content)
    assert isinstance(url, str)
    return url


@pytest.mark.asyncio
async def test_a_private_bucket_just_works_and_the_url_ends_with_the_ttl(
    open_host: OpenHost, service: Any, http: aiohttp.ClientSession
) -> None:
    async with open_host(cache_control="max-age=7", acl="private") as host:
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
async def test_a_large_body_has_the_type_the_headers_and_the_acl_of_a_small_one(
    open_host: OpenHost, service: Any
) -> None:
    """A service that takes parts may take the ACL with another call than the type."""
    async with open_host(cache_control="max-age=7", acl="public-read") as host:
        for content in (PNG, BIG):
            await image_url(host, content)
    small, large = sorted(service.objects.values(), key=lambda stored: stored.size)
    assert large.size == len(BIG)
    for stored in (small, large):
        assert (stored.content_type, stored.acl) == ("image/png", "public-read")
        assert stored.headers == {"Cache-Control": "max-age=7"}


@pytest.mark.asyncio
async def test_what_is_there_already_is_not_stored_again(open_host: OpenHost, service: Any) -> None:
    for _run in range(2):
        async with open_host() as host:
            await image_url(host)
    assert [operation for operation, _ in service.calls].count("PutObject") == 1


# --- what it says when it opens


def _mistakes(cloud: Cloud) -> Iterator[tuple[dict[str, str], type[StorageError], str]]:
    key, secret, _ = cloud.variables
    yield {cloud.secret: "wrong-secret"}, StoragePermissionError, rf"check {cloud.secret} \({secret}\)"
    yield {cloud.key_id: "IDother"}, StoragePermissionError, rf"check {cloud.key_id} \({key}\)"
    yield {cloud.key_id: "IDsts"}, StoragePermissionError, f"if the key is temporary, {cloud.token} belongs to it"
    yield {cloud.key_id: "IDsts", cloud.token: "old-token-11"}, StoragePermissionError, f"renew {cloud.token}"
    yield {"bucket": f"others-{cloud.bucket}"}, StorageNotFoundError, f"there is no bucket 'others-{cloud.bucket}'"
    yield {"region": cloud.other_region}, StorageMisconfiguredError, f"region={cloud.other_region} .*is wrong"


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(6))
async def test_what_cannot_work_is_an_error_at_opening(
    cloud: Cloud, open_host: OpenHost, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    changes, kind, text = list(_mistakes(cloud))[number]
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=text) as caught:
        async with open_host(**changes):
            pass
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"driver {cloud.name!r} cannot be used: ")
    assert "\n" not in str(caught.value)
    for secret in ("right-secret", "wrong-secret", "old-token-11"):
        assert secret not in str(caught.value) + caplog.text
    assert cloud.sdk not in caplog.text  # SDKs log errors with tracebacks of their own


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [-24 * 3600, 24 * 3600])
async def test_a_wrong_clock_is_told(open_host: OpenHost, service: Any, offset: float) -> None:
    service.clock_offset = offset
    with pytest.raises(StorageMisconfiguredError, match="the clock of this machine is wrong"):
        async with open_host():
            pass


@pytest.mark.asyncio
async def test_a_key_that_may_only_put_is_a_warning(
    cloud: Cloud, open_host: OpenHost, caplog: pytest.LogCaptureFixture, service: Any
) -> None:
    async with open_host(**{cloud.key_id: "IDput"}, public_base_url="https://img.example.com") as host:
        assert f"the key may not read in bucket {cloud.bucket!r} (AccessDenied)" in caplog.text
        await image_url(host)
    assert len(service.objects) == 1


@pytest.mark.asyncio
async def test_a_404_without_a_code_does_not_keep_a_bot_from_starting(
    open_host: OpenHost, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer_next("GetObject", 404, "")
    async with open_host() as host:
        assert "sending will tell whether bucket" in caplog.text
        await image_url(host)


@pytest.fixture
def answered(service: Any) -> Any:
    """Somebody stored an object where the check looks."""
    file = service.folder / "there"
    file.write_bytes(bytes(100_000))
    service.objects["qqmedia/is-anybody-there"] = StoredObject(file=file, size=100_000, etag="0" * 32, crc64=0)
    return service


@pytest.mark.asyncio
async def test_an_object_where_the_check_looks_is_no_trouble(
    answered: Any, open_host: OpenHost, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_host() as host:
        await image_url(host)
    assert len(answered.objects) == 2
    assert not [record for record in caplog.records if record.name.startswith("qqmedia")]


# --- failures


@pytest.mark.asyncio
async def test_a_full_bucket_is_a_matter_of_quota(cloud: Cloud, open_host: OpenHost, service: Any) -> None:
    service.quota_bytes = 10
    async with open_host() as host:
        with pytest.raises(StorageQuotaError, match=f"make room in bucket {cloud.bucket!r}"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_parts_are_taken_back_when_one_fails(
    open_host: OpenHost, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_host(policy=ONCE) as host:
        service.fail_next(1, "500", "UploadPart")
        with pytest.raises(StorageUnavailableError):
            await host.get_image(BIG)
        assert not service.uploads
        service.fail_next(1, "503", "CompleteMultipartUpload")
        service.fail_next(1, "500", "AbortMultipartUpload")
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            await host.get_image(BIG)
        assert "may be left in the bucket" in caplog.text
        await image_url(host, BIG)
    (stored,) = service.objects.values()
    assert stored.size == len(BIG)


@pytest.mark.asyncio
async def test_whatever_the_service_says_is_told_in_our_words(cloud: Cloud, open_host: OpenHost, service: Any) -> None:
    told: tuple[tuple[int, str, type[StorageError], str], ...] = (
        *((status, refusal(code), kind, text) for status, code, kind, text in cloud.refusals),
        (400, refusal("EntityTooLarge"), StorageQuotaError, "no object of this size"),
        (503, refusal("SlowDown"), StorageUnavailableError, "the service is busy"),
        (500, refusal("NeverHeardOf"), StorageUnavailableError, "trouble of its own"),
        (418, refusal("NeverHeardOf"), StorageError, r"NeverHeardOf, HTTP 418"),
        (403, "", StoragePermissionError, f"the credentials do not allow this in bucket {cloud.bucket!r}"),
        (407, "<html>Log in first</html>", StorageError, "HTTP 407"),
        (502, "<html>Bad gateway</html>", StorageUnavailableError, "HTTP 502"),
        (413, '{"not": "xml"}', StorageQuotaError, "larger than the service or a proxy"),
    )
    async with open_host(policy=ONCE) as host:
        for status, body, kind, text in told:
            service.answer_next("PutObject", status, body)
            with pytest.raises(kind, match=text) as caught:
                await host.get_image(PNG)
            assert type(caught.value) is kind, body
            assert "\n" not in str(caught.value)
            assert "right-secret" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("mebibytes", [2, 11])
async def test_a_file_that_becomes_shorter_meanwhile_is_told_at_once(
    cloud: Cloud, service: Any, tmp_path: Path, mebibytes: int
) -> None:
    """The request would wait for the rest of its body until the SDK's limit, and be tried again."""
    spec = (await asyncio.to_thread(discover)).driver(cloud.name).spec
    assert spec is not None
    upload = await asyncio.to_thread(shortened, tmp_path / "video.mp4", mebibytes * 1024 * 1024)
    async with open_driver(spec, **cloud.settings(service)) as driver:
        with pytest.raises(MediaSourceError, match="became shorter"):
            await driver.put(upload)
    assert (service.objects, service.uploads) == ({}, {})


@pytest.mark.asyncio
async def test_a_portal_that_redirects_is_no_success(open_host: OpenHost, service: Any) -> None:
    service.answer_next("PutObject", 302, "", Location="http://portal.example.com/login?from=here")
    async with open_host() as host:
        with pytest.raises(StorageMisconfiguredError, match="the right one is in the service's console"):
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_nobody_there_is_told_with_the_address(open_host: OpenHost, unused_tcp_port: int) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"
    async with open_host(endpoint_url=address, policy=ONCE) as host:
        with pytest.raises(StorageUnavailableError, match=f"endpoint {address} right"):
            await host.get_image(PNG)


# --- addresses


@pytest.mark.asyncio
async def test_part_size_is_a_setting(open_host: OpenHost, service: Any) -> None:
    async with open_host(part_size_mib=4) as host:
        await host.get_image(BIG)
    assert [operation for operation, _ in service.calls].count("UploadPart") == 3


@pytest.mark.asyncio
async def test_a_public_base_url_is_what_the_outside_sees(open_host: OpenHost, service: Any) -> None:
    async with open_host(custom_url="https://img.example.com/cdn/", path="bot/") as host:
        assert host.reach is Reach.PUBLIC
        url = await image_url(host)
    (name,) = service.objects
    assert name.startswith("bot/")
    assert url == f"https://img.example.com/cdn/{name}"


@pytest.mark.asyncio
async def test_the_stores_own_public_address(open_host: OpenHost, service: Any, http: aiohttp.ClientSession) -> None:
    service.public_read = True
    async with open_host(url="public") as host:
        url = await image_url(host)
        assert not urlsplit(url).query
        async with http.get(url) as answer:
            assert await answer.read() == PNG
    async with open_host(url="public", endpoint_url=None, check=False) as host:
        assert host.reach is Reach.UNKNOWN


@pytest.mark.asyncio
async def test_urls_can_be_signed_for_a_domain_of_ones_own(
    open_host: OpenHost, service: Any, http: aiohttp.ClientSession
) -> None:
    service.domains.add("img.example.com")
    async with open_host(public_base_url="http://img.example.com", url="presigned") as host:
        url = await image_url(host)
        assert url.startswith("http://img.example.com/qqmedia/")
        # As its CDN would ask, so that no name must be resolved.
        asked = url.replace("http://img.example.com", service.url)
        async with http.get(asked, headers={"Host": "img.example.com"}) as answer:
            assert await answer.read() == PNG


@pytest.mark.asyncio
@pytest.mark.parametrize("with_bucket", [False, True])
async def test_the_bucket_is_named_by_the_host_and_a_proxy_of_the_environment_is_used(
    cloud: Cloud, open_host: OpenHost, service: Any, monkeypatch: pytest.MonkeyPatch, *, with_bucket: bool
) -> None:
    """Whoever copies the bucket's own address from the console is understood too."""
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    host_name = cloud.host if with_bucket else cloud.host.removeprefix(f"{cloud.bucket}.")
    async with open_host(endpoint_url=f"http://{host_name}") as host:
        url = await image_url(host)
        await host.get_image(BIG)
    assert {call.host for call in service.seen} == {cloud.host}
    assert url.startswith(f"http://{cloud.host}/qqmedia/")


@pytest.mark.asyncio
async def test_an_address_without_a_scheme_is_an_https_one(cloud: Cloud, open_host: OpenHost) -> None:
    """Consoles show addresses so."""
    shown = cloud.host.removeprefix(f"{cloud.bucket}.")
    async with open_host(endpoint_url=f" {shown} ", url="public", check=False, policy=ONCE) as host:
        with pytest.raises(StorageUnavailableError, match=f"endpoint https://{shown} right"):  # nobody is there
            await host.get_image(PNG)


# --- credentials


@pytest.mark.asyncio
async def test_temporary_credentials_work_and_their_urls_carry_the_token(
    cloud: Cloud, open_host: OpenHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_host(**{cloud.key_id: "IDsts", cloud.token: "session-token-77"}) as host:
        url = await image_url(host)
        assert parse_qs(urlsplit(url).query)[cloud.token_parameter] == ["session-token-77"]
        async with http.get(url) as answer:
            assert await answer.read() == PNG
        await host.get_image(BIG)
    assert "session-token-77" not in caplog.text  # SDKs write every header to their debug logs


@pytest.mark.asyncio
async def test_the_vendors_variables_stand_in_for_settings(
    cloud: Cloud, open_host: OpenHost, monkeypatch: pytest.MonkeyPatch, service: Any
) -> None:
    for variable, value in zip(cloud.variables, (" IDsts\n", "right-secret", "session-token-77"), strict=True):
        monkeypatch.setenv(variable, value)  # one as copied from the console
    async with open_host(**{cloud.key_id: None, cloud.secret: None}) as host:
        await image_url(host)
    # The session token belongs to the vendor's key, and not to one that is given here.
    async with open_host() as host:
        await image_url(host)
    monkeypatch.setenv(f"QQMEDIA_{cloud.name.upper()}_{cloud.key_id.upper()}", "IDother")
    with pytest.raises(StoragePermissionError, match="InvalidAccessKeyId"):
        async with open_host(**{cloud.key_id: None, cloud.secret: None}):
            pass
    assert len(service.objects) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("secret", None, "'{secret}' of '{name}' is not set: give {secret}=..., QQMEDIA_"),
        ("secret", "   ", "'{secret}' is wrong"),
        ("secret", "right secret", "'{secret}' is wrong: must be ASCII"),
        ("key_id", "身份", "'{key_id}' is wrong: must be ASCII"),
        ("endpoint_url", "http://127.0.0.1/bucket", "endpoint_url must have no path"),
        ("endpoint_url", "http://127.0.0.1:x", "'endpoint_url' is wrong"),
        ("url", "presigned", "public_base_url must have no path then"),
    ],
)
async def test_a_wrong_setting_is_named(
    cloud: Cloud, open_host: OpenHost, setting: str, value: str | None, text: str
) -> None:
    more = {"public_base_url": "https://a.example/cdn"} if setting == "url" else {}
    text = text.format(secret=cloud.secret, key_id=cloud.key_id, name=cloud.name)
    with pytest.raises(ConfigurationError, match=text) as caught:
        async with open_host(**{getattr(cloud, setting, setting): value}, **more):
            pass
    assert "right secret" not in str(caught.value)


# --- https, threads


@pytest.fixture
def tls_service(cloud: Cloud, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    ca = make_private_ca(tmp_path / "tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca.cert_file, ca.key_file)
    with cloud.running(tmp_path / "over-tls", tls=context) as service:
        yield service, ca.ca_file


@pytest.mark.asyncio
async def test_https_is_checked_against_the_authority_that_is_named(
    tls_service: tuple[Any, Path], open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, ca_file = tls_service
    with pytest.raises(
        StorageMisconfiguredError, match=r"certificate verify failed.*; .* is not trusted: .* in verify"
    ):
        async with open_host(endpoint_url=service.url):
            pass
    async with open_host(endpoint_url=service.url, ca_bundle=ca_file) as host:
        assert (await image_url(host)).startswith("https://")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    async with open_host(endpoint_url=service.url) as host:
        await image_url(host)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        async with open_host(verify="/no/such/file.pem"):
            pass


@pytest.mark.asyncio
async def test_its_calls_are_bounded_and_its_threads_are_those_of_all(open_host: OpenHost, service: Any) -> None:
    service.fail_next(1, "500", "PutObject")
    before = set(threading.enumerate())
    async with open_host(threads=2) as host, open_host(threads=2) as other:
        for shade in range(8):
            await image_url(host, PNG + bytes([shade]))
            await image_url(other, PNG + bytes([shade]))
        made = set(threading.enumerate()) - before
        # As a rule one; another one where the next call comes before the thread of the last is free. Not one for each.
        assert 1 <= len([one for one in made if one.name.startswith("qqmedia-")]) <= 4


@pytest.mark.asyncio
async def test_a_large_video_comes_back(open_host: OpenHost, http: aiohttp.ClientSession) -> None:
    content = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(6 * 1024 * 1024)
    async with open_host() as host, host.prepare(MediaKind.VIDEO, content) as upload:
        hosted = await host.publish(upload)
        assert hosted.url is not None
        async with http.get(hosted.url) as answer:
            assert (await answer.read(), answer.headers["Content-Type"]) == (content, "video/mp4")
