"""How objects are served, and that nothing else is."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from qqmedia import ConfigurationError

CONTENT = bytes(range(256)) * 4
BIG = bytes(range(256)) * 8192  # 2 MiB: from the disk, not from memory


@pytest.fixture(params=[CONTENT, BIG], ids=["memory", "disk"])
def content(request: pytest.FixtureRequest) -> bytes:
    body: bytes = request.param
    return body


@pytest.mark.asyncio
async def test_headers_say_what_it_is_and_how_long_it_lives(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, content: bytes
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload(content))
        for method in ("GET", "HEAD"):
            async with http.request(method, url) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Length"] == str(len(content))
                assert answer.headers["Content-Type"] == "image/png"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "public, max-age=3600, immutable"
                assert answer.headers["Content-Disposition"] == "inline"
                assert answer.headers["Accept-Ranges"] == "bytes"
                assert answer.headers["Server"] == "qqmedia"
                assert await answer.read() == (content if method == "GET" else b"")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, -1),
        ("bytes=-24", -24, -1),
        ("bytes=0-999999999", 0, -1),
        ("bytes=-999999999", 0, -1),
    ],
)
async def test_a_range_is_that_part(
    *,
    open_local: Any,
    make_upload: Any,
    http: aiohttp.ClientSession,
    content: bytes,
    wanted: str,
    first: int,
    last: int,
) -> None:
    first, last = first % len(content), last % len(content)
    async with open_local() as driver:
        url = await driver.put(make_upload(content))
        async with http.get(url, headers={"Range": wanted}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
            assert await answer.read() == content[first : last + 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=5-1", "lines=0-1", "bytes=-", "bytes=x", "bytes=\u0661-"])
async def test_several_ranges_and_nonsense_are_answered_with_all_of_it(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, content: bytes, wanted: str
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload(content))
        async with http.get(url, headers={"Range": wanted}) as answer:
            assert answer.status == 200
            assert await answer.read() == content


@pytest.mark.asyncio
@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=99999999-99999999", "bytes=-0"])
async def test_a_range_beyond_the_end_is_416(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, content: bytes, wanted: str
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload(content))
        async with http.get(url, headers={"Range": wanted}) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(content)}")


@pytest.mark.asyncio
async def test_who_has_it_is_not_sent_it_again(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, content: bytes
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload(content))
        async with http.head(url) as answer:
            tag = answer.headers["ETag"]
        for sent, status in [(tag, 304), (f"W/{tag}", 304), (f'"other", {tag}', 304), ("*", 304), ('"other"', 200)]:
            async with http.get(url, headers={"If-None-Match": sent}) as answer:
                assert (answer.status, answer.headers["ETag"]) == (status, tag)
        for sent, status in [(tag, 206), ('"other"', 200), ("Tue, 24 Nov 2026 06:00:00 GMT", 200)]:
            async with http.get(url, headers={"Range": "bytes=0-1", "If-Range": sent}) as answer:
                assert answer.status == status


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("image/gif", "gif"),
        ("image/webp", "webp"),
        ("audio/silk", "silk"),
        ("video/mp4", "mp4"),
        ("application/pdf", "pdf"),
        ("application/octet-stream", "bin"),
    ],
)
async def test_the_type_comes_from_our_own_table(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, content_type: str, extension: str
) -> None:
    async with open_local() as driver:
        upload = make_upload(content_type=content_type, key=f"{'b' * 64}.{extension}")
        url = await driver.put(upload)
        assert url.endswith(upload.key)
        async with http.get(url) as answer:
            assert answer.headers["Content-Type"] == content_type


@pytest.mark.asyncio
async def test_a_page_that_somebody_sends_cannot_act_for_this_domain(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession
) -> None:
    async with open_local() as driver:
        for content_type in ("text/html", "image/svg+xml"):
            url = await driver.put(make_upload(content_type=content_type, key=content_type))
            async with http.get(url) as answer:
                assert answer.headers["Content-Security-Policy"] == "sandbox"


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_405(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, method: str
) -> None:
    async with open_local() as driver:
        url = await driver.put(make_upload())
        async with http.request(method, url) as answer:
            assert (answer.status, answer.headers["Allow"], await answer.read()) == (405, "GET, HEAD", b"")


async def raw(url: str, target: bytes) -> bytes:
    """Send a request line as it is, which no client library would."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_nothing_else_is_served_however_it_is_asked_for(
    open_local: Any, make_upload: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lay_out() -> str:
        for path in ("secret.txt", "resource/cat.png", f"resource/{'c' * 64}.png", f"{'d' * 64}.png"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(b"SECRET")
        return str(next((tmp_path / "resource" / ".qqmedia").glob("*.json")).stem)

    async with open_local() as driver:
        url = await driver.put(make_upload())
        await ask_for_everything(url, await asyncio.to_thread(lay_out))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # strangers fill no log


async def ask_for_everything(url: str, box: str) -> None:
    name = urlsplit(url).path.rpartition("/")[2]
    good = urlsplit(url).path.encode()
    assert (await raw(url, good)).startswith(b"HTTP/1.1 200")
    assert (await raw(url, good + b"?a=b")).startswith(b"HTTP/1.1 200")
    refused = [
        *(b"/", b"/resource", b"/resource/", b"//resource/" + name.encode(), good + b"/", good + b"%00"),
        *(b"/resource/../secret.txt", b"/resource/..%2fsecret.txt", b"/resource/..%2Fsecret.txt"),
        *(b"/resource/%2e%2e/secret.txt", b"/resource/..\\secret.txt", b"/resource/..%5csecret.txt"),
        *(b"/resource/cat.png", b"/resource/.qqmedia", f"/resource/.qqmedia/{box}.json".encode()),
        *(f"/resource/.qqmedia/{box}/{name}".encode(), b"/resource/%2fetc%2fpasswd", b"/resource//etc/passwd"),
        *(b"/resource/" + b"c" * 64 + b".png", b"/resource/../" + b"d" * 64 + b".png"),
        *(b"/resource/..%2f" + b"d" * 64 + b".png", good.upper(), b"/resource/" + name[:-4].encode()),
        *(b"/resource/" + name.encode() + b".gz", b"http://x" + good, b"/resource/%" + name.encode()[1:]),
        *(b"/resource/" + b"0" * 64 + b".png", b"/resource/" + b"a" * 100_00),
    ]
    for target in refused:
        answer = await raw(url, target)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404") or (len(target) > 8000 and b" 400 " in head), target
        assert body == b"" or len(target) > 8000
    for target in (b"/resource/\x00", good + b"\x00.txt", b"/resource/\xff\xfe", b"*"):  # not HTTP at all
        answer = await raw(url, target)
        assert b"SECRET" not in answer
        assert answer.split(b" ", 2)[1][:1] == b"4"


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@pytest.mark.asyncio
async def test_with_a_certificate_it_speaks_tls(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path, content: bytes
) -> None:
    cert, key = await asyncio.to_thread(certificate, tmp_path)
    trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(cert))
    options = {"uvicorn_options": {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}}
    async with open_local(http_server_options=options) as driver:
        url = await driver.put(make_upload(content))
        assert url.startswith("https://127.0.0.1:")
        async with http.get(url, ssl=trust) as answer:
            assert await answer.read() == content


@pytest.mark.asyncio
@pytest.mark.parametrize("make", [False, True], ids=["missing", "nonsense"])
async def test_a_certificate_that_cannot_be_used_is_named(open_local: Any, tmp_path: Path, make: bool) -> None:
    if make:
        await asyncio.to_thread((tmp_path / "my.pem").write_text, "no certificate")
    with pytest.raises(ConfigurationError, match=r"my\.pem cannot be used"):
        async with open_local(http_server_options={"ssl_certfile": "my.pem"}):
            pass


@pytest.mark.asyncio
async def test_a_hundred_thousand_files_beside_it_change_nothing(
    open_local: Any, make_upload: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Neither a put nor an answer lists a folder: both take the same time beside very many objects."""
    import time

    def crowd() -> None:
        box = next(path for path in (tmp_path / "resource" / ".qqmedia").iterdir() if path.is_dir())
        make = "import os\nfor n in range(100_000): os.close(os.open(f'{n:064x}.png', os.O_CREAT | os.O_WRONLY))"
        subprocess.run([sys.executable, "-ISc", make], cwd=box, check=True)  # a child, for no guard slows it down

    async def seconds_of_fifty(driver: Any, start: int) -> float:
        begin = time.perf_counter()
        for number in range(start, start + 50):
            async with http.get(await driver.put(make_upload(b"%d" % number))) as answer:
                assert await answer.read() == b"%d" % number
            async with http.get(f"{base}/{number:064x}.png") as answer:
                assert answer.status == 404
        return time.perf_counter() - begin

    async with open_local() as driver:
        base = (await driver.put(make_upload())).rpartition("/")[0]
        await seconds_of_fifty(driver, 0)
        alone = min([await seconds_of_fifty(driver, 1000 * turn) for turn in range(1, 4)])
        await asyncio.to_thread(crowd)
        crowded = min([await seconds_of_fifty(driver, 10_000 * turn) for turn in range(1, 4)])
        assert crowded < 3 * alone + 0.1
