"""The double of OSS is strict: it knows the vendor's own example, and refuses what the service refuses."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from tests.fakes.bucket_service import Key
from tests.fakes.oss import FakeOss, oss_signature


def test_the_example_of_the_vendor_comes_out_as_it_stands_there() -> None:
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


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> ET.Element:
        return ET.fromstring(self.body)

    @property
    def code(self) -> str:
        return self.error.findtext("Code", "")


class Client:
    """Signs by itself, and wrongly where it is told to."""

    def __init__(self, service: FakeOss, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.http = http

    async def send(
        self, method: str, name: str, body: bytes = b"", *, params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, secret: str = "right-secret", key_id: str = "LTAI",
        bucket: str = "pics", region: str = "cn-hangzhou", product: str = "oss", seconds: int = 0,
        expires: int | None = None,
    ) -> Answer:  # fmt: skip
        date = datetime.fromtimestamp(self.service.now() + seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
        credential = f"{key_id}/{date[:8]}/{region}/{product}/aliyun_v4_request"
        sent = {"Content-Type": "image/png", **(headers or {})}
        params = params or {}
        if expires is None:
            sent |= {"x-oss-date": date, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"} | (headers or {})
        else:
            params = params | {
                "x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-credential": credential, "x-oss-date": date,
                "x-oss-expires": str(expires),
            }  # fmt: skip
        signed = {
            key: value
            for key, value in sent.items()
            if key.lower().startswith("x-oss-") or key in ("Content-Type", "Content-MD5")
        }
        signature = oss_signature(
            secret, method=method, resource=f"/{bucket}/{name}", params=params, headers=signed, additional="",
            date=date, region=region,
        )  # fmt: skip
        if expires is None:
            sent.setdefault("Authorization", f"OSS4-HMAC-SHA256 Credential={credential}, Signature={signature}")
        else:
            params = params | {"x-oss-signature": signature}
        query = "&".join(f"{key}={quote(value, safe='')}" if value else key for key, value in params.items())
        url = URL(f"{self.service.url}/{bucket}/{quote(name)}?{query}", encoded=True)
        async with self.http.request(method, url, data=body or None, headers=sent) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeOss]:
    keys = [
        Key(key_id="LTAI", secret="right-secret"),
        Key(key_id="STS.x", secret="right-secret", token="session-token"),
        Key(key_id="LTAIput", secret="right-secret", operations=frozenset({"PutObject"})),
    ]
    with FakeOss.running(tmp_path / "oss", bucket="pics", region="cn-hangzhou", keys=keys) as service:
        yield service


@pytest_asyncio.fixture
async def client(service: FakeOss) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(service, http)


@pytest.mark.asyncio
async def test_an_object_comes_back_with_its_headers_and_checksums(client: Client) -> None:
    put = await client.send("PUT", "a/图.png", b"123456789", headers={"Cache-Control": "max-age=9"})
    assert put.status == 200
    assert put.headers["x-oss-hash-crc64ecma"] == str(0x995DC9BBDF1939FA)  # the check value of this CRC
    assert put.headers["x-oss-request-id"]
    got = await client.send("GET", "a/图.png")
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"123456789", "image/png")
    assert got.headers["Cache-Control"] == "max-age=9"
    assert (await client.send("GET", "a/图.png", expires=60)).body == b"123456789"
    assert (await client.send("DELETE", "a/图.png")).status == 204
    assert (await client.send("GET", "a/图.png")).code == "NoSuchKey"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"secret": "wrong-secret"}, 403, "SignatureDoesNotMatch"),
        ({"secret": "wrong-secret", "expires": 60}, 403, "SignatureDoesNotMatch"),
        ({"key_id": "LTAIother"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "STS.x"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "STS.x", "headers": {"x-oss-security-token": "old"}}, 403, "InvalidSecurityToken"),
        ({"seconds": -901}, 403, "RequestTimeTooSkewed"),
        ({"seconds": 901}, 403, "RequestTimeTooSkewed"),
        ({"seconds": -61, "expires": 60}, 403, "AccessDenied"),
        ({"seconds": 1000, "expires": 60}, 403, "AccessDenied"),
        ({"expires": 7 * 24 * 3600 + 1}, 403, "AccessDenied"),
        ({"region": "cn-beijing"}, 400, "InvalidArgument"),
        ({"product": "s3"}, 400, "InvalidArgument"),
        ({"bucket": "others"}, 404, "NoSuchBucket"),
        ({"headers": {"Authorization": "OSS LTAI:signature"}}, 403, "AccessDenied"),
        ({"headers": {"Host": "oss-cn-hangzhou.aliyuncs.com"}}, 403, "SecondLevelDomainForbidden"),
        ({"headers": {"Content-MD5": base64.b64encode(bytes(16)).decode()}}, 400, "BadDigest"),
        ({"headers": {"Content-Encoding": "aws-chunked"}}, 400, "InvalidArgument"),
        ({"headers": {"x-oss-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, 400, "InvalidArgument"),
    ],
)
async def test_it_refuses(client: Client, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await client.send("PUT", "a.png", b"bytes", **changes)
    assert (answer.status, answer.code) == (status, code)
    assert not client.service.objects


@pytest.mark.asyncio
async def test_the_right_endpoint_stands_in_the_answer(client: Client) -> None:
    client.service.bucket_region = "cn-shanghai"
    answer = await client.send("PUT", "a.png", b"bytes")
    assert (answer.status, answer.error.findtext("Endpoint")) == (403, "oss-cn-shanghai.aliyuncs.com")


@pytest.mark.asyncio
async def test_a_refused_head_says_why_in_a_header(client: Client) -> None:
    answer = await client.send("HEAD", "a.png")
    assert answer.status == 404
    assert b"<Code>NoSuchKey</Code>" in base64.b64decode(answer.headers["x-oss-err"])


@pytest.mark.asyncio
async def test_nobody_reads_without_a_signature_but_a_public_object(client: Client) -> None:
    await client.send("PUT", "a.png", b"bytes")
    url = f"{client.service.url}/pics/a.png"
    async with client.http.get(url) as answer:
        assert answer.status == 403
    async with client.http.get(f"{url}?OSSAccessKeyId=LTAI&Expires=9999999999&Signature=x") as answer:
        assert answer.status == 403  # version 1
    client.service.public_read = True
    async with client.http.get(url) as answer:
        assert await answer.read() == b"bytes"


@pytest.mark.asyncio
async def test_a_key_may_do_only_what_it_may_and_a_full_bucket_says_so(client: Client) -> None:
    assert (await client.send("PUT", "a.png", b"bytes", key_id="LTAIput")).status == 200
    assert (await client.send("GET", "a.png", key_id="LTAIput")).code == "AccessDenied"
    client.service.quota_bytes = 4
    assert (await client.send("PUT", "b.png", b"bytes")).code == "QuotaExceeded"


@pytest.mark.asyncio
@pytest.mark.parametrize(("least", "status"), [(100 * 1024, 200), (100 * 1024 - 1, 400)])
async def test_parts_become_an_object_unless_one_is_small(client: Client, least: int, status: int) -> None:
    began = await client.send("POST", "v.mp4", params={"uploads": ""})
    upload = {"uploadId": ET.fromstring(began.body).findtext("UploadId", "")}
    listed = ""
    for number, piece in enumerate((b"a" * least, b"b"), 1):
        answer = await client.send("PUT", "v.mp4", piece, params={"partNumber": str(number), **upload})
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.headers['ETag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    assert (await client.send("POST", "v.mp4", body, params=upload)).status == status
    assert ("v.mp4" in client.service.objects) == (status == 200)
    assert (await client.send("DELETE", "v.mp4", params=upload)).status == (404 if status == 200 else 204)
    assert not client.service.uploads
