"""Media given as a URL: fetched within limits, and never from where only this machine can reach."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from qqmedia import HostPolicy, MediaFormatError, MediaKind, MediaSourceError, MediaTooLargeError
from qqmedia.testing import Resolved, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 3_000_000
PUBLIC = "93.184.216.34"


class Site:
    """A public web site that stands on loopback."""

    def __init__(self) -> None:
        self.port = 0
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}

    def url(self, path: str, name: str = "cdn.example") -> str:
        return f"http://{name}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.headers = dict(request.headers)
        match request.path:
            case "/cat.png":
                return web.Response(body=PNG, content_type="text/html")
            case "/clip.mp4":
                return web.Response(body=MP4)
            case "/empty":
                return web.Response()
            case "/endless":
                return await self._endless(request)
            case "/hang":
                await asyncio.Event().wait()
            case "/loop":
                raise web.HTTPFound("/loop")
            case "/away":
                raise web.HTTPFound(request.query["to"])
        raise web.HTTPNotFound

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(b"\0" * 65536)


class Names:
    """Says what names mean here; those of the site are public, and stand on loopback."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, name: str) -> Sequence[Resolved]:
        self.asked.append(name)
        match name:
            case "cdn.example":
                return [Resolved(PUBLIC, connect_to="127.0.0.1")]
            case "inner.example":
                return [Resolved("127.0.0.1")]
            case "half.example":
                return [Resolved(PUBLIC, connect_to="127.0.0.1"), Resolved("10.0.0.1")]
            case "metadata.example":
                return [Resolved("169.254.169.254")]
            case _:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


@pytest.mark.asyncio
async def test_a_url_is_downloaded_and_sniffed(site: Site) -> None:
    async with memory_host(resolver=Names(), platform_on_loopback=False) as host:
        async with host.prepare(MediaKind.IMAGE, site.url("/cat.png?token=abc")) as upload:
            assert upload.read() == PNG
            assert (upload.content_type, upload.filename) == ("image/png", "cat.png")
        assert "Cookie" not in site.headers
        with pytest.raises(MediaFormatError, match=r"cat\.png, given as video, is image/png"):
            async with host.prepare(MediaKind.VIDEO, site.url("/cat.png")):
                raise AssertionError


@pytest.mark.asyncio
async def test_a_large_one_goes_to_the_disk_and_is_gone_afterwards(site: Site) -> None:
    async with memory_host(resolver=Names(), platform_on_loopback=False) as host:
        async with host.prepare(MediaKind.VIDEO, site.url("/clip.mp4")) as upload:
            path = upload.content
            assert isinstance(path, Path)
            assert upload.size == len(MP4)
            assert upload.sha256 == hashlib.sha256(MP4).hexdigest()
        assert not await asyncio.to_thread(path.exists)


@pytest.mark.asyncio
async def test_a_redirect_is_followed_and_judged_again(site: Site) -> None:
    async with memory_host(resolver=Names(), platform_on_loopback=False) as host:
        async with host.prepare(MediaKind.IMAGE, site.url("/away?to=/cat.png")) as upload:
            assert upload.read() == PNG
        for target, text in (
            (site.url("/cat.png", "127.0.0.1"), "nothing is fetched from 127.0.0.1"),
            (site.url("/cat.png", "inner.example"), "inner.example, which is 127.0.0.1"),
            ("file:///etc/passwd", "only http and https"),
            ("//[::1]/", "nothing is fetched from ::1"),
        ):
            site.paths.clear()
            with pytest.raises(MediaSourceError, match=text):
                async with host.prepare(MediaKind.IMAGE, site.url(f"/away?to={target}")):
                    raise AssertionError
            assert site.paths == ["/away"]
        with pytest.raises(MediaSourceError, match="redirects more than 5 times"):
            async with host.prepare(MediaKind.IMAGE, site.url("/loop")):
                raise AssertionError


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "host_name",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]",
        "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "inner.example",
        "half.example", "metadata.example", "127.0.0.1.",
    ],
)  # fmt: skip
async def test_no_private_address_is_ever_connected_to(host_name: str, site: Site) -> None:
    async with memory_host(resolver=Names(), platform_on_loopback=False) as host:
        with pytest.raises(MediaSourceError, match=r"nothing is fetched from .*private network.*send its bytes"):
            async with host.prepare(MediaKind.IMAGE, site.url("/cat.png", host_name)):
                raise AssertionError
    assert site.paths == []


@pytest.mark.asyncio
@pytest.mark.parametrize("host_name", ["2130706433", "0x7f000001", "127.1", "localhost"])
async def test_odd_spellings_of_loopback_are_judged_by_what_they_resolve_to(host_name: str, site: Site) -> None:
    async with memory_host(platform_on_loopback=False) as host:
        with pytest.raises(MediaSourceError):
            async with host.prepare(MediaKind.IMAGE, site.url("/cat.png", host_name)):
                raise AssertionError
    assert site.paths == []


@pytest.mark.asyncio
async def test_loopback_is_fine_where_the_platform_is_there_too(site: Site) -> None:
    url = site.url("/cat.png", "127.0.0.1")
    async with memory_host(platform_on_loopback=True) as host, host.prepare(MediaKind.IMAGE, url) as upload:
        assert upload.read() == PNG


@pytest.mark.asyncio
async def test_faults_say_what_happened_and_hide_the_query(site: Site) -> None:
    async with memory_host(resolver=Names(), platform_on_loopback=False) as host:
        for url, text in (
            (site.url("/none?sig=geheim"), r"/none cannot be fetched: it answers 404 Not Found"),
            (site.url("/empty?sig=geheim"), r"is empty \(0 bytes\)"),
            ("http://user:geheim@nowhere.example/a", "nowhere.example/a cannot be fetched: "),
            ("http://cdn.example:1/?sig=geheim", "cannot be fetched: "),
            ("http://cdn.example:99999/?sig=geheim", "not a valid URL|cannot be fetched"),
            ("http:///geheim?", "only http and https|not a valid URL"),
        ):
            with pytest.raises(MediaSourceError, match=text) as caught:
                async with host.prepare(MediaKind.IMAGE, url):
                    raise AssertionError
            assert "geheim" not in str(caught.value).replace("/geheim", "")


@pytest.mark.asyncio
async def test_sizes_are_limited_announced_or_not(site: Site) -> None:
    policy = HostPolicy(max_bytes=1_500_000)
    async with memory_host(resolver=Names(), platform_on_loopback=False, policy=policy) as host:
        with pytest.raises(MediaTooLargeError, match=f"has {len(MP4)} bytes, 1500000 are allowed"):
            async with host.prepare(MediaKind.VIDEO, site.url("/clip.mp4")):
                raise AssertionError
        with pytest.raises(MediaTooLargeError, match="has more than 1500000 bytes"):
            async with host.prepare(MediaKind.VIDEO, site.url("/endless")):
                raise AssertionError


@pytest.mark.asyncio
async def test_a_server_that_hangs_is_given_up(site: Site) -> None:
    policy = HostPolicy(put_timeout=0.1)
    async with memory_host(resolver=Names(), platform_on_loopback=False, policy=policy) as host:
        with pytest.raises(MediaSourceError, match=r"did not answer in time; .*QQMEDIA_HOST_PUT_TIMEOUT"):
            async with host.prepare(MediaKind.IMAGE, site.url("/hang")):
                raise AssertionError
