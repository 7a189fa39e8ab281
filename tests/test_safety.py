"""Nothing of this machine or of a private network is fetched, whoever wrote the address, wherever it came in."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bot_core.chain import Chain
from bot_core.errors import BotError
from bot_core.message import Message
from bot_core.openapi.part_store import PartStore
from bot_core.qq_group.downloads import Downloads
from bot_core.qq_group.events import incoming
from bot_core.qq_group.hosting import Hosting
from bot_core.qq_group.image_store import open_image_store
from bot_core.qq_group.markdown_images import MarkdownImages
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.settings import AdapterSettings
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import ConfigurationError, MediaKind, MediaSourceError, MediaTooLargeError, QQMediaError
from qqmedia.guard import ForbiddenAddressError, GuardedSession, shown_url
from qqmedia.testing import Resolved, memory_host
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.uploading import outbox
from tests.safety_site import Names, Site, each
from tests.safety_table import ADDRESSES, LEADS, NO_URL, WAYS_IN, Try, tables

PAGE = Path(__file__).parents[1] / "docs" / "safety.md"


def test_the_page_lists_what_is_tried() -> None:
    page = PAGE.read_text("utf-8")
    missing = [line for line in tables().splitlines() if line not in page]
    assert missing == []  # print them with: python -m tests.safety_table


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with Site.served() as site:
        yield site


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def guarded(stack: AsyncExitStack, **options: Any) -> GuardedSession:
    session = GuardedSession(resolver=options.pop("resolver", None) or Names(), **options)
    stack.push_async_callback(session.aclose)
    return session


@pytest.mark.asyncio
@pytest.mark.parametrize("by_proxy", [False, True], ids=["directly", "by a proxy"])
@each(ADDRESSES)
async def test_no_spelling_of_an_address_is_reached(
    tried: Try, by_proxy: bool, site: Site, stack: AsyncExitStack
) -> None:
    session = guarded(stack, proxy=f"http://127.0.0.1:{site.port}" if by_proxy else None)
    if tried.got == NO_URL:
        with pytest.raises(MediaSourceError, match="is not a valid URL"):
            async with session.follow(site.url(tried.text)):
                raise AssertionError
    else:
        with pytest.raises(ForbiddenAddressError, match="nothing is fetched from"):
            async with session.follow(site.url(tried.text)):
                raise AssertionError
    assert site.hosts == []


@pytest.mark.asyncio
async def test_a_public_address_is_reached_directly_and_by_a_proxy(site: Site, stack: AsyncExitStack) -> None:
    for session in (guarded(stack), guarded(stack, proxy=f"http://127.0.0.1:{site.port}")):
        async with session.follow(site.url("pictures.example")) as answer:
            assert await answer.read() == b"secret"


@pytest.mark.asyncio
@each(LEADS)
async def test_what_a_public_link_leads_to(tried: Try, site: Site, stack: AsyncExitStack) -> None:
    names = Names()
    downloads = Downloads(
        guarded(stack, resolver=names), QQGroupChainBuilderOptions(media_max_bytes=100_000), asyncio.to_thread
    )
    steps = [step.strip() for step in tried.text.split("->")]
    start = site.url("pictures.example", f"/to?url={steps[-1]}")
    error: type[Exception] = MediaSourceError
    says = "only http and https"
    match steps:
        case ["Set-Cookie"]:
            for path in ("/cookie", "/"):
                await downloads.fetch(site.url("pictures.example", path), stack)
            assert site.cookies == ["", ""]
            return
        case ["200 OK ..." | "Content-Encoding: gzip"]:
            path = "/endless" if "OK" in tried.text else "/gzip"
            start, error, says = site.url("pictures.example", path), MediaTooLargeError, "100000 are allowed"
        case ["", "", "", "", ""]:
            start, says = site.url("pictures.example", "/loop"), "more than 5 times"
        case [only]:
            start, error, says = site.url(only.split("/")[2]), ForbiddenAddressError, "nothing is fetched from"
            if "rebind" in only:  # the first connection was to a public address, and is closed again
                await Downloads(guarded(stack, resolver=names), downloads.options, asyncio.to_thread).fetch(
                    start, stack
                )
        case ["", to]:
            if to.startswith(("http", "//")):
                error, says = ForbiddenAddressError, "nothing is fetched from"
            start = site.url("pictures.example", f"/to?url={to}")
        case ["", _, to]:
            error, says = ForbiddenAddressError, "nothing is fetched from"
            start = site.url("pictures.example", f"/to?url={site.url('pictures.example', f'/to?url={to}')}")
    with pytest.raises(error, match=says):
        await downloads.fetch(start, stack)
    assert site.reached == []


@pytest.mark.asyncio
@each(WAYS_IN)
async def test_wherever_it_comes_in(
    tried: Try, site: Site, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sandbox = await stack.enter_async_context(Sandbox.open(SandboxOptions(refuse_private=True)))
    with pytest.raises((BotError, QQMediaError)) as caught:
        await WAYS[tried.text](site.url("inside.example", "/a.png"), sandbox, stack)
    assert re.search("nothing is fetched from|without TLS", f"{caught.value} {caught.value.__cause__}")
    assert site.hosts == []
    assert not sandbox.arrived


async def _by_bot(kind: str, link: str, sandbox: Sandbox, stack: AsyncExitStack, **options: Any) -> None:
    out = await stack.enter_async_context(outbox(sandbox, resolver=Names()))
    await out.send(getattr(Chain(), kind)(link, **options))


async def _looked_at(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    from bot_core.qq_group.probe import probe

    seen = (await probe(guarded(stack), link)).seen
    raise ForbiddenAddressError(f"nothing is fetched from it: {seen}" if "private network" in seen else seen)


async def _shown(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    """Where the platform is on the internet, and so no link of this machine can stay."""
    out = await stack.enter_async_context(outbox(sandbox))
    host = await stack.enter_async_context(memory_host(platform_on_loopback=False))
    settings = AdapterSettings(client_secret="secret", inline_limit=1)
    store = await stack.enter_async_context(
        open_image_store(out.adapter.api, settings, asyncio.to_thread, platform_on_loopback=False)
    )
    downloads = Downloads(guarded(stack), settings.options, asyncio.to_thread)
    pictures = MarkdownImages(Hosting(host, host), store, downloads, asyncio.to_thread, platform_on_loopback=False)
    await pictures.resolve(f"![x]({link.replace('inside.example', '127.0.0.1')})", {}, None)


async def _shown_otherwise(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    sandbox.faults.answer("messages", status=400, code=40034141)
    await _by_bot("markdown_content", f"![x]({link})", sandbox, stack)


async def _received(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    out = await stack.enter_async_context(outbox(sandbox, resolver=Names()))
    raw = {"id": "M", "group_openid": "G", "author": {"member_openid": "U"}, "attachments": [{"url": link}]}
    message = incoming(out.adapter, "GROUP_AT_MESSAGE_CREATE", raw, "e", out.adapter)
    assert isinstance(message, Message)
    await message.attachments[0].download()


async def _by_host(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    host = await stack.enter_async_context(memory_host(resolver=Names(), platform_on_loopback=False))
    async with host.prepare(MediaKind.IMAGE, link):
        raise AssertionError


async def _as_part(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    await PartStore(guarded(stack)).put(link.replace("http:", "https:"), body, 1)


async def _as_picture_of_markdown(link: str, sandbox: Sandbox, stack: AsyncExitStack) -> None:
    out = await stack.enter_async_context(outbox(sandbox))  # its store is on this machine, as a stranger could say
    settings = AdapterSettings(client_secret="secret", inline_limit=1, resolver=Names())
    store = await stack.enter_async_context(
        open_image_store(out.adapter.api, settings, asyncio.to_thread, platform_on_loopback=False)
    )
    host = await stack.enter_async_context(memory_host())
    async with host.prepare(MediaKind.IMAGE, png()) as upload:
        await store.link(upload, "a")


WAYS: dict[str, Callable[[str, Sandbox, AsyncExitStack], Any]] = {
    "image(url, download=True)": lambda *all_: _by_bot("image", *all_, download=True),
    "image(url)": lambda *all_: _by_bot("image", *all_),
    "voice(url)": lambda *all_: _by_bot("voice", *all_),
    "video(url)": lambda *all_: _by_bot("video", *all_),
    "file(url)": lambda *all_: _by_bot("file", *all_),
    "the warning in the log": _looked_at,
    "markdown_content('![x](url)')": _shown,
    "the same, after 40034141": _shown_otherwise,
    "attachment.download()": _received,
    "host.get_image(url)": _by_host,
    "presigned_url of an upload": _as_part,
    "presigned_url of its store": _as_picture_of_markdown,
}


@pytest.mark.asyncio
async def test_a_proxy_with_fake_addresses_is_named_and_can_be_trusted(site: Site, stack: AsyncExitStack) -> None:
    class Fake:
        async def resolve(self, _: str) -> list[Resolved]:
            return [Resolved("198.18.0.7", connect_to="127.0.0.1")]

    link = site.url("cdn.example")
    with pytest.raises(ForbiddenAddressError, match=r"cdn\.example, which is 198\.18\.0\.7: .* fake IPs \(TUN\)"):
        async with guarded(stack, resolver=Fake()).follow(link):
            raise AssertionError
    async with guarded(stack, resolver=Fake(), trusted=["198.18.0.0/15"]).follow(link) as answer:
        assert await answer.read() == b"secret"


# --- what is let through


@pytest.mark.asyncio
async def test_a_server_without_forward_secrecy_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: AsyncExitStack
) -> None:
    """As the platform's own one is, which has what people sent; its certificate is looked at all the same."""
    key, certificate = await asyncio.to_thread(_certificate, tmp_path, "pictures.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("AES128-GCM-SHA256")
    tls.load_cert_chain(certificate, key)

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"picture")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    link = f"https://pictures.example:{runner.addresses[0][1]}/a.png"
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with guarded(stack).follow(link):
            raise AssertionError
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with guarded(stack).follow(link) as got:
        assert await got.read() == b"picture"


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a key and a certificate of the kind that such ciphers need."""
    key = rsa.generate_private_key(65537, 2048)
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    files[1].write_bytes(certificate.public_bytes(pem))
    return files


@pytest.mark.asyncio
@pytest.mark.parametrize("trusted", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:{port}"])
async def test_a_trusted_address_is_fetched_from(trusted: str, site: Site, stack: AsyncExitStack) -> None:
    session = guarded(stack, trusted=[trusted.format(port=site.port)])
    for host in ("127.0.0.1", "localhost", "inside.example"):
        async with session.follow(site.url(host)) as answer:
            assert await answer.read() == b"secret"
    for host in ("10.0.0.1", "[::1]", "half.example"):
        with pytest.raises(ForbiddenAddressError):
            async with session.follow(site.url(host)):
                raise AssertionError


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["Inside.example", "inside.example."])
async def test_a_trusted_name_is_fetched_from_at_its_port_only(name: str, site: Site, stack: AsyncExitStack) -> None:
    session = guarded(stack, trusted=[f"{name}:{site.port}"])
    async with session.follow(site.url("inside.example")) as answer:
        assert await answer.read() == b"secret"
    for link in ("http://inside.example:1/", site.url("127.0.0.1"), site.url("intranet")):
        with pytest.raises(ForbiddenAddressError):
            async with session.follow(link):
                raise AssertionError


@pytest.mark.parametrize(
    "wrong", ["", "http://a", "a:0", "a:99999", "a:x", "10.0.0.1/99", "a/b", "nas.lan", "*.lan", "*", 5]
)
def test_what_is_no_host_cannot_be_trusted(wrong: Any) -> None:
    hosts = wrong if wrong == "nas.lan" else [wrong]  # a name in place of several
    with pytest.raises(ConfigurationError, match="trusted host"):
        QQGroupChainBuilderOptions(media_trusted_hosts=hosts)


@pytest.mark.parametrize(
    "url", ["http://me:hidden@host/a?hidden#hidden", "http://me:hidden@host:99999/a?hidden", "http://me:hidden@[host/a"]
)
def test_what_is_secret_in_a_url_is_not_shown_even_where_it_is_none(url: str) -> None:
    assert re.fullmatch(r"http://\[?host(:99999)?/a", shown_url(url))
