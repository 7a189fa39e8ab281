"""The double of COS is strict: it knows the vendor's own example, and refuses what the service refuses."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from tests.fakes.bucket_service import Key
from tests.fakes.cos import FakeCos, cos_signature

BUCKET = "pics-1250000000"
HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
MIB = 1024 * 1024


def test_the_example_of_the_vendors_document_comes_out_as_it_stands_there() -> None:
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


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return ET.fromstring(self.body).findtext("Code", "") if self.body else ""


class Client:
    """Signs by itself, and wrongly where it is told to."""

    def __init__(self, service: FakeCos, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.http = http

    async def send(
        self, method: str, name: str, body: bytes = b"", *, params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, secret: str = "right-secret", key_id: str = "AKID",
        host: str = HOST, window: tuple[int, int] = (-60, 600), unsigned: tuple[str, ...] = (), by_url: bool = False,
        order: int = 1,
    ) -> Answer:  # fmt: skip
        params = params or {}
        sent = {"Host": host, **(headers or {})}
        now = int(self.service.now() - self.service.clock_offset)
        times = f"{now + window[0]};{now + window[1]}"
        signed = {key: value for key, value in sent.items() if key not in unsigned}
        signature = cos_signature(
            secret, method=method, path=f"/{name}", params=params, headers=signed, key_time=times, sign_time=times
        )
        fields = {
            "q-sign-algorithm": "sha1", "q-ak": key_id, "q-sign-time": times, "q-key-time": times,
            "q-header-list": ";".join(sorted(map(str.lower, signed))[::order]),
            "q-url-param-list": ";".join(sorted(map(str.lower, params))), "q-signature": signature,
        }  # fmt: skip
        if by_url:
            params = {**params, **fields}
        else:
            sent["Authorization"] = "&".join(f"{key}={value}" for key, value in fields.items())
        url = URL(self.service.url).with_path(f"/{name}").with_query(params)
        async with self.http.request(method, url, data=body or None, headers=sent, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeCos]:
    keys = [
        Key(key_id="AKID", secret="right-secret"),
        Key(key_id="AKIDsts", secret="right-secret", token="session-token"),
        Key(key_id="AKIDput", secret="right-secret", operations=frozenset({"PutObject"})),
    ]
    with FakeCos.running(tmp_path / "cos", bucket=BUCKET, region="ap-guangzhou", keys=keys) as service:
        yield service


@pytest_asyncio.fixture
async def client(service: FakeCos) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(service, http)


@pytest.mark.asyncio
async def test_an_object_comes_back_with_its_headers_and_checksums(client: Client) -> None:
    headers = {"Content-Type": "image/png", "Cache-Control": "max-age=9", "x-cos-acl": "private"}
    put = await client.send("PUT", "a/图.png", b"123456789", headers=headers)
    assert put.status == 200
    assert put.headers["x-cos-hash-crc64ecma"] == str(0x995DC9BBDF1939FA)  # the check value of this CRC
    assert put.headers["x-cos-request-id"]
    got = await client.send("GET", "a/图.png")
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"123456789", "image/png")
    assert got.headers["Cache-Control"] == "max-age=9"
    assert got.headers["ETag"] == f'"{hashlib.md5(b"123456789").hexdigest()}"'
    assert (await client.send("GET", "a/图.png", by_url=True)).body == b"123456789"
    assert (await client.send("DELETE", "a/图.png")).status == 204
    assert (await client.send("GET", "a/图.png")).code == "NoSuchKey"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"secret": "wrong-secret"}, 403, "SignatureDoesNotMatch"),
        ({"secret": "wrong-secret", "by_url": True}, 403, "SignatureDoesNotMatch"),
        ({"unsigned": ("Host",)}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"x-cos-acl": "public-read"}, "unsigned": ("x-cos-acl",)}, 403, "SignatureDoesNotMatch"),
        ({"headers": {"Content-Type": "a/b"}, "order": -1}, 403, "SignatureDoesNotMatch"),
        ({"key_id": "AKIDother"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "AKIDsts"}, 403, "InvalidAccessKeyId"),
        ({"key_id": "AKIDsts", "headers": {"x-cos-security-token": "old"}}, 403, "ExpiredToken"),
        ({"window": (-600, -1)}, 403, "AccessDenied"),
        ({"window": (-600, -1), "by_url": True}, 403, "AccessDenied"),
        ({"window": (3600, 7200)}, 403, "RequestTimeTooSkewed"),
        ({"host": f"{BUCKET}.cos.ap-beijing.myqcloud.com"}, 301, "PermanentRedirect"),
        ({"host": "others-1.cos.ap-guangzhou.myqcloud.com"}, 404, "NoSuchBucket"),
        ({"host": "cos.ap-guangzhou.myqcloud.com"}, 403, "PathStyleDomainForbidden"),
        ({"headers": {"Content-MD5": base64.b64encode(bytes(16)).decode()}}, 400, "BadDigest"),
        ({"headers": {"Content-MD5": "no base64"}}, 400, "InvalidDigest"),
        ({"headers": {"Content-Encoding": "aws-chunked"}}, 400, "InvalidArgument"),
        ({"headers": {"x-cos-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, 400, "InvalidArgument"),
    ],
)
async def test_it_refuses(client: Client, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await client.send("PUT", "a.png", b"bytes", **changes)
    assert (answer.status, answer.code) == (status, code)
    assert not client.service.objects


@pytest.mark.asyncio
async def test_the_right_region_stands_in_the_answer(client: Client) -> None:
    answer = await client.send("PUT", "a.png", b"bytes", host=f"{BUCKET}.cos.ap-beijing.myqcloud.com")
    assert answer.headers["Location"] == f"https://{HOST}/a.png"


@pytest.mark.asyncio
async def test_nobody_reads_or_writes_without_a_signature_but_a_public_object(client: Client) -> None:
    await client.send("PUT", "a.png", b"bytes")
    url = f"{client.service.url}/a.png"
    for method in ("GET", "PUT"):
        async with client.http.request(method, url) as answer:
            assert answer.status == 403
    client.service.public_read = True
    async with client.http.get(url) as answer:
        assert await answer.read() == b"bytes"


@pytest.mark.asyncio
async def test_the_default_domain_is_for_downloads_and_a_domain_of_ones_own_is_not(client: Client) -> None:
    await client.send("PUT", "a.png", b"bytes")
    by_default = await client.send("GET", "a.png")
    by_own = await client.send("GET", "a.png", host=client.service.netloc)
    assert by_default.headers["Content-Disposition"] == "attachment"
    assert "Content-Disposition" not in by_own.headers


@pytest.mark.asyncio
async def test_a_key_may_do_only_what_it_may(client: Client) -> None:
    assert (await client.send("PUT", "a.png", b"bytes", key_id="AKIDput")).status == 200
    assert (await client.send("GET", "a.png", key_id="AKIDput")).code == "AccessDenied"


@pytest.mark.asyncio
async def test_a_full_bucket_says_so(client: Client) -> None:
    client.service.quota_bytes = 4
    assert (await client.send("PUT", "a.png", b"bytes")).code == "QuotaExceeded"


async def begun(client: Client) -> dict[str, str]:
    answer = await client.send("POST", "v.mp4", params={"uploads": ""})
    return {"uploadId": ET.fromstring(answer.body).findtext("UploadId", "")}


async def completed(client: Client, upload: dict[str, str], parts: list[tuple[int, str]]) -> Answer:
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    return await client.send("POST", "v.mp4", body, params=upload)


@pytest.mark.asyncio
async def test_parts_become_an_object(client: Client) -> None:
    upload = await begun(client)
    listing = await client.send("GET", "", params={"uploads": ""})
    assert ET.fromstring(listing.body).findtext("Upload/UploadId") == upload["uploadId"]
    pieces = [b"a" * MIB, b"b"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        answer = await client.send("PUT", "v.mp4", piece, params={"partNumber": str(number), **upload})
        parts.append((number, answer.headers["ETag"]))
    for wrong, code in ((parts[::-1], "InvalidPartOrder"), ([(1, '"other"')], "InvalidPart")):
        assert (await completed(client, upload, wrong)).code == code
    assert (await completed(client, upload, parts)).status == 200
    assert (await client.send("GET", "v.mp4")).body == b"".join(pieces)
    assert (await completed(client, upload, parts)).code == "NoSuchUpload"


@pytest.mark.asyncio
async def test_small_parts_are_refused_and_an_abort_clears(client: Client) -> None:
    upload = await begun(client)
    parts = []
    for number, piece in enumerate((b"a" * (MIB - 1), b"b"), 1):
        answer = await client.send("PUT", "v.mp4", piece, params={"partNumber": str(number), **upload})
        parts.append((number, answer.headers["ETag"]))
    assert (await completed(client, upload, parts)).code == "EntityTooSmall"
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
