from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from bot_core.webhook import WebhookOptions, WebhookReceiver
from bot_core.webhook._certificate import Certificate
from bot_core.webhook.signature import BotKey
from qqmedia import ConfigurationError
from tests.bot_core.webhook.conftest import APPID, SECRET, Events, listening, options
from tests.fakes.tls import PrivateCA, make_private_ca

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PrivateCA:
    return make_private_ca(tmp_path_factory.mktemp("tls"))


async def call(port: int, ca_file: Path) -> int:
    trust = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
    body = b'{"op":1,"d":1}'
    headers = {
        "X-Bot-Appid": APPID,
        "X-Signature-Timestamp": "1725442341",
        "X-Signature-Ed25519": BotKey.of(SECRET).sign(b"1725442341" + body),
    }
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"https://127.0.0.1:{port}/qqbot", data=body, headers=headers, ssl=trust) as response,
    ):
        return response.status


async def test_https_by_certificate_files(files: PrivateCA, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    where = options(certfile=files.cert_file, keyfile=str(files.key_file), max_age_seconds=None)
    with caplog.at_level("INFO"):
        async with listening(WebhookReceiver(APPID, SECRET, where), events) as receiver:
            assert await call(receiver.port, files.ca_file) == 200
    assert f"receives by webhook on https://127.0.0.1:{receiver.port}/qqbot" in caplog.text
    assert "proxy" not in caplog.text


async def test_one_file_with_both(files: PrivateCA, events: Events, tmp_path: Path) -> None:
    together = tmp_path / "both.pem"
    content = await asyncio.to_thread(lambda: files.cert_file.read_bytes() + files.key_file.read_bytes())
    await asyncio.to_thread(together.write_bytes, content)
    where = options(certfile=together, max_age_seconds=None)
    async with listening(WebhookReceiver(APPID, SECRET, where), events) as receiver:
        assert await call(receiver.port, files.ca_file) == 200


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    old = await asyncio.to_thread(make_private_ca, tmp_path / "tls")
    where = options(certfile=old.cert_file, keyfile=old.key_file)
    certificate = await asyncio.to_thread(Certificate.load, where)
    assert certificate is not None
    served = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context)
    port = served.sockets[0].getsockname()[1]
    watching = asyncio.create_task(certificate.watch(every_seconds=0.01))
    try:
        before = await seen_certificate(port)
        await asyncio.to_thread(make_private_ca, tmp_path / "tls")
        async with asyncio.timeout(5):
            while (after := await seen_certificate(port)) == before:
                pass
        await asyncio.to_thread(old.cert_file.write_text, "half of a new one")
        await asyncio.sleep(0.05)
        assert await seen_certificate(port) == after  # what does not work is not taken up
    finally:
        watching.cancel()
        served.close()
        await served.wait_closed()


async def seen_certificate(port: int) -> bytes | None:
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anything)
    seen: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await reader.read()
    return seen


def lock(plain: Path, locked: Path) -> None:
    """Write the key again, with a password."""
    key = serialization.load_pem_private_key(plain.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"1234")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    locked.write_bytes(pem)


async def test_files_that_cannot_be_used_are_named(files: PrivateCA, tmp_path: Path, events: Events) -> None:
    text = tmp_path / "text.pem"
    await asyncio.to_thread(text.write_text, "no certificate")
    other = await asyncio.to_thread(make_private_ca, tmp_path / "other")
    locked = tmp_path / "locked.pem"
    await asyncio.to_thread(lock, files.key_file, locked)
    for where, expected in (
        (options(certfile="missing.pem"), "missing.pem cannot be used: No such file or directory; it takes PEM files"),
        (options(certfile=text), "text.pem cannot be used"),
        (options(certfile=files.cert_file, keyfile=other.key_file), "key values mismatch|KEY_VALUES_MISMATCH"),
        (options(certfile=files.cert_file, keyfile=locked), "the key has a password"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            async with listening(WebhookReceiver(APPID, SECRET, where), events):
                pass


async def test_a_port_that_could_not_be_served_is_free_again(files: PrivateCA, events: Events, free_port: int) -> None:
    broken = WebhookOptions("127.0.0.1", free_port, certfile="missing.pem")
    with pytest.raises(ConfigurationError):
        async with listening(WebhookReceiver(APPID, SECRET, broken), events):
            pass
    good = WebhookOptions(
        "127.0.0.1", free_port, certfile=files.cert_file, keyfile=files.key_file, max_age_seconds=None
    )
    async with listening(WebhookReceiver(APPID, SECRET, good), events) as receiver:
        assert await call(receiver.port, files.ca_file) == 200
