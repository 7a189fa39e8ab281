"""The doubles of COS and OSS are strict: they know the vendors' own examples, and refuse what the services refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.cos import cos_signature
from tests.fakes.oss import oss_signature
from tests.qqmedia_drivers.clouds import COS
from tests.qqmedia_drivers.signing_clients import Client, CosClient, OssClient

BEIJING = COS.host.replace(COS.region, COS.other_region)


@pytest.fixture
def cos(tmp_path: Path, http: aiohttp.ClientSession) -> Iterator[CosClient]:
    with CosClient.opened(tmp_path / "cos", http) as client:
        yield client


@pytest.fixture
def oss(tmp_path: Path, http: aiohttp.ClientSession) -> Iterator[OssClient]:
    with OssClient.opened(tmp_path / "oss", http) as client:
        yield client


@pytest.fixture(params=["cos", "oss"])
def client(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client


# --- both


@pytest.mark.asyncio
async def test_an_object_comes_back_with_its_headers_and_checksums(client: Client) -> None:
    headers = {"Content-Type": "image/png", "Cache-Control": "max-age=9", f"x-{client.cloud.name}-acl": "private"}
    put = await client.send("PUT", "a/图.png", b"123456789", headers=headers)
    assert put.status == 200
    check_value_of_this_crc = str(0x995DC9BBDF1939FA)
    assert put.headers[f"x-{client.cloud.name}-hash-crc64ecma"] == check_value_of_this_crc
    assert put.headers[f"x-{client.cloud.name}-request-id"]
    got = await client.send("GET", "a/图.png")
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"123456789", "image/png")
    assert got.headers["Cache-Control"] == "max-age=9"
    assert got.headers["ETag"].upper() == f'"{hashlib.md5(b"123456789").hexdigest()}"'.upper()
    assert (await client.send("GET", "a/图.png", **client.by_url)).body == b"123456789"
    assert (await client.send("DELETE", "a/图.png")).status == 204
    assert (await client.send("GET", "a/图.png")).code == "NoSuchKey"


@pytest.mark.asyncio
async def test_nobody_reads_or_writes_without_a_signature_but_a_public_object(client: Client) -> None:
    await client.send("PUT", "a.png", b"bytes")
    url = client.url("a.png")
    for method in ("GET", "PUT"):
        async with client.http.request(method, url) as answer:
            assert answer.status == 403
    async with client.http.get(f"{url}?OSSAccessKeyId=IDdriver&Expires=9999999999&Signature=x") as answer:
        assert answer.status == 403  # version 1 of OSS
    client.service.public_read = True
    async with client.http.get(url) as answer:
        assert await answer.read() == b"bytes"


@pytest.mark.asyncio
async def test_a_key_may_do_only_what_it_may(client: Client) -> None:
    assert (await client.send("PUT", "a.png", b"bytes", key_id="IDput")).status == 200
    assert (await client.send("GET", "a.png", key_id="IDput")).code == "AccessDenied"


@pytest.mark.asyncio
async def test_a_full_bucket_says_so(client: Client) -> None:
    client.service.quota_bytes = 4
    assert (await client.send("PUT", "a.png", b"bytes")).code == "QuotaExceeded"


@pytest.mark.asyncio
async def test_parts_become_an_object(client: Client) -> None:
    upload = await client.begin()
    listing = await client.send("GET", "", params={"uploads": ""})
    assert listing.text("Upload/UploadId") == upload["uploadId"]
    pieces = [b"a" * client.least_part, b"b"]
    parts = [await client.part(upload, number, piece) for number, piece in enumerate(pieces, 1)]
    for wrong, code in ((parts[::-1], "InvalidPartOrder"), ([(1, '"other"')], "InvalidPart")):
        assert (await client.complete(upload, wrong)).code == code
    assert (await client.complete(upload, parts)).status == 200
    assert (await client.send("GET", "v.mp4")).body == b"".join(pieces)
    assert (await client.complete(upload, parts)).code == "NoSuchUpload"
    assert (await client.send("DELETE", "v.mp4", params=upload)).status == 404


@pytest.mark.asyncio
async def test_small_parts_are_refused_and_an_abort_clears(client: Client) -> None:
    upload = await client.begin()
    pieces = (b"a" * (client.least_part - 1), b"b")
    parts = [await client.part(upload, number, piece) for number, piece in enumerate(pieces, 1)]
    refused = await client.complete(upload, parts)
    assert (refused.status, refused.code) == (400, "EntityTooSmall")
    assert (await client.send("DELETE", "v.mp4", params=upload)).status == 204
    assert not client.service.uploads
    assert not client.service.objects


@pytest.mark.asyncio
async def test_it_fails_when_it_is_told_to(client: Client) -> None:
    client.service.fail_next(1, "503")
    client.service.fail_next(2, "cut", "GetObject")  # the client tries once more
    assert (await client.send("PUT", "a.png", b"bytes")).code == "SlowDown"
    assert (await client.send("PUT", "a.png", b"bytes")).status == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.send("GET", "a.png")
    assert (await client.send("GET", "a.png")).body == b"bytes"


async def refuses(client: Client, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await client.send("PUT", "a.png", b"bytes", **changes)
    assert (answer.status, answer.code) == (status, code)
    assert not client.service.objects


# --- COS


def test_the_example_of_the_document_of_cos_comes_out_as_it_stands_there() -> None:
    window = "1557989151;1557996351"
    signature = cos_signature(
        "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz", method="PUT", path="/exampleobject(腾讯云)", params={},
        headers={
            "Content-Length": "13", "Content-MD5": "mQ/fVh815F3k6TAUm8m0eg==", "Content-Type": "text/plain",
            "Date": "Thu, 16 May 2019 06:45:51 GMT", "Host": "examplebucket-1250000000.cos.ap-beijing.myqcloud.com",
            "x-cos-acl": "private", "x-cos-grant-read": 'uin="100000000011"',
        },
        key_time=window, sign_time=window,
    )  # fmt: skip
    assert signature == "3b8851a11a569213c17ba8fa7dcf2abec6935172"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"secret": "wrong-secret"}, 403, "SignatureDoesNotMatch"),
        ({"secret": "wrong-secret", "by_url": True}, 403, "SignatureDoesNotMatch"),
        ({"unsigned": ("Host",)}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"x-cos-acl": "public-read"}, "unsigned": ("x-cos-acl",)}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"Content-Type": "a/b"}, "order": -1}, 403, "SignatureDoesNotMatch"),
        ({"key_id": "IDother"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "IDsts"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "IDsts", "headers": {"x-cos-security-token": "old"}}, 403, "ExpiredToken"),
        ({"window": (-600, -1)}, 403, "AccessDenied"),
        ({"window": (-600, -1), "by_url": True}, 403, "AccessDenied"),
        ({"window": (3600, 7200)}, 403, "RequestTimeTooSkewed"),
        ({"host": BEIJING}, 301, "PermanentRedirect"),
        ({"host": "others-1.cos.ap-guangzhou.myqcloud.com"}, 404, "NoSuchBucket"),
        ({"host": "cos.ap-guangzhou.myqcloud.com"}, 403, "PathStyleDomainForbidden"),
        ({"headers": {"Content-MD5": base64.b64encode(bytes(16)).decode()}}, 400, "BadDigest"),
        ({"headers": {"Content-MD5": "no base64"}}, 400, "InvalidDigest"),
        ({"headers": {"Content-Encoding": "aws-chunked"}}, 400, "InvalidArgument"),
        ({"headers": {"x-cos-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, 400, "InvalidArgument"),
    ],
)
async def test_cos_refuses(cos: CosClient, changes: dict[str, Any], status: int, code: str) -> None:
    await refuses(cos, changes, status, code)


@pytest.mark.asyncio
async def test_the_right_region_stands_in_the_answer_of_cos(cos: CosClient) -> None:
    answer = await cos.send("PUT", "a.png", b"bytes", host=BEIJING)
    assert answer.headers["Location"] == f"https://{COS.host}/a.png"


@pytest.mark.asyncio
async def test_the_default_domain_of_cos_is_for_downloads_and_a_domain_of_ones_own_is_not(cos: CosClient) -> None:
    await cos.send("PUT", "a.png", b"bytes")
    by_default = await cos.send("GET", "a.png")
    by_own = await cos.send("GET", "a.png", host=cos.service.netloc)
    assert by_default.headers["Content-Disposition"] == "attachment"
    assert "Content-Disposition" not in by_own.headers


# --- OSS


def test_the_example_of_the_vendor_of_oss_comes_out_as_it_stands_there() -> None:
    signature = oss_signature(
        "sk", method="PUT", resource="/bucket/1234+-/123/1.txt",
        params={
            "param1": "value1", "+param1": "value3", "|param1": "value4", "+param2": "", "|param2": "", "param2": "",
        },
        headers={
            "content-type": "text/plain", "x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": "20231216T162057Z",
            "x-oss-head1": "value",
        },
        additional="", date="20231216T162057Z", region="cn-hangzhou",
    )  # fmt: skip
    assert signature == "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"secret": "wrong-secret"}, 403, "SignatureDoesNotMatch"),
        ({"secret": "wrong-secret", "expires": 60}, 403, "SignatureDoesNotMatch"),
        ({"key_id": "IDother"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "IDsts"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "IDsts", "headers": {"x-oss-security-token": "old"}}, 403, "InvalidSecurityToken"),
        ({"seconds": -901}, 403, "RequestTimeTooSkewed"),
        ({"seconds": 901}, 403, "RequestTimeTooSkewed"),
        ({"seconds": -61, "expires": 60}, 403, "AccessDenied"),
        ({"seconds": 1000, "expires": 60}, 403, "AccessDenied"),
        ({"expires": 7 * 24 * 3600 + 1}, 403, "AccessDenied"),
        ({"region": "cn-beijing"}, 400, "InvalidArgument"),
        ({"product": "s3"}, 400, "InvalidArgument"),
        ({"bucket": "others"}, 404, "NoSuchBucket"),
        ({"headers": {"Authorization": "OSS IDdriver:signature"}}, 403, "AccessDenied"),
        ({"headers": {"Host": "oss-cn-hangzhou.aliyuncs.com"}}, 403, "SecondLevelDomainForbidden"),
        ({"headers": {"Content-MD5": base64.b64encode(bytes(16)).decode()}}, 400, "BadDigest"),
        ({"headers": {"Content-Encoding": "aws-chunked"}}, 400, "InvalidArgument"),
        ({"headers": {"x-oss-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, 400, "InvalidArgument"),
    ],
)
async def test_oss_refuses(oss: OssClient, changes: dict[str, Any], status: int, code: str) -> None:
    await refuses(oss, changes, status, code)


@pytest.mark.asyncio
async def test_the_right_endpoint_stands_in_the_answer_of_oss(oss: OssClient) -> None:
    oss.service.bucket_region = "cn-shanghai"
    answer = await oss.send("PUT", "a.png", b"bytes")
    assert (answer.status, answer.text("Endpoint")) == (403, "oss-cn-shanghai.aliyuncs.com")


@pytest.mark.asyncio
async def test_a_refused_head_of_oss_says_why_in_a_header(oss: OssClient) -> None:
    answer = await oss.send("HEAD", "a.png")
    assert answer.status == 404
    assert b"<Code>NoSuchKey</Code>" in base64.b64decode(answer.headers["x-oss-err"])
