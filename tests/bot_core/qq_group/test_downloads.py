"""Links are fetched within limits, and never from where only this machine can reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError
from bot_core.qq_group.downloads import Downloads
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import MediaSourceError, MediaTooLargeError
from qqmedia.guard import ForbiddenAddressError, GuardedSession
from qqmedia.testing import Resolved
from tests.bot_core.qq_group.conftest import mp4, png, wav
from tests.bot_core.qq_group.uploading import MIB, outbox, sha256, url_of, web_server

pytestmark = pytest.mark.asyncio

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB


class Names:
    """What names mean; `rebind.example` is public when it is asked for first, and private from then on."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, name: str) -> list[Resolved]:
        self.asked.append(name)
        public = Resolved("93.184.216.34", connect_to="127.0.0.1")
        match name:
            case "cdn.example":
                return [public]
            case "rebind.example":
                return [public] if self.asked.count(name) == 1 else [Resolved("127.0.0.1")]
            case "both.example":
                return [public, Resolved("10.0.0.1")]
            case "localhost" | "intranet" | "meta.example":
                return [Resolved({"localhost": "127.0.0.1", "intranet": "192.168.0.9"}.get(name, "169.254.169.254"))]
        raise OSError(None, f"{name} is not known")


class Site:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.paths.append(request.path)
        self.headers = dict(request.headers)
        match request.path:
            case "/cat.png":
                return web.Response(body=b"cat")
            case "/picture.png":
                return web.Response(body=png(1))
            case "/large":
                return web.Response(body=LARGE)
            case "/endless":
                response = web.StreamResponse()
                response.enable_chunked_encoding()
                await response.prepare(request)
                while True:
                    await response.write(bytes(65536))
            case "/to":
                return web.Response(status=302, headers={"Location": request.query["url"]})
        return web.Response(status=404)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest_asyncio.fixture
async def base(site: Site) -> AsyncIterator[str]:
    async with web_server(site.answer) as address:
        yield address


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def downloads(stack: AsyncExitStack, names: Names | None = None, **options: Any) -> Downloads:
    session = GuardedSession(resolver=names or Names())
    stack.push_async_callback(session.aclose)
    return Downloads(session, QQGroupChainBuilderOptions(**options), asyncio.to_thread)


async def test_what_is_small_stays_in_memory(base: str, stack: AsyncExitStack, site: Site) -> None:
    assert await downloads(stack).fetch(url_of(base, "/cat.png"), stack) == b"cat"
    assert "Authorization" not in site.headers


async def test_what_is_large_goes_to_a_file_that_is_gone_afterwards(base: str) -> None:
    async with AsyncExitStack() as stack:
        path = await downloads(stack).fetch(url_of(base, "/large"), stack)
        assert isinstance(path, Path)
        assert await asyncio.to_thread(path.read_bytes) == LARGE
    assert not await asyncio.to_thread(path.parent.exists)


@pytest.mark.parametrize("path", ["/large", "/endless"])
async def test_more_than_the_limit_is_an_error(base: str, stack: AsyncExitStack, path: str) -> None:
    with pytest.raises(MediaTooLargeError, match="raise media_max_bytes"):
        await downloads(stack, media_max_bytes=2 * MIB).fetch(url_of(base, path), stack)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/x",
        "http://127.1/x",
        "http://2130706433/x",
        "http://0x7f.0.0.1/x",
        "http://0/x",
        "http://[::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[fe80::1]/x",
        "http://[fd00::1]/x",
        "http://10.0.0.1/x",
        "http://172.16.0.1/x",
        "http://192.168.0.1/x",
        "http://100.64.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://224.0.0.1/x",
        "http://localhost/x",
        "http://intranet/x",
        "http://meta.example/x",
        "http://both.example/x",
    ],
)
async def test_nothing_inside_is_fetched(address: str, stack: AsyncExitStack) -> None:
    class WithNumbers(Names):
        async def resolve(self, name: str) -> list[Resolved]:
            if name[0].isdigit():  # as the system reads 0x7f.0.0.1
                return [Resolved("127.0.0.1")]
            return await super().resolve(name)

    with pytest.raises(ForbiddenAddressError, match=r"nothing is fetched from .* private network") as caught:
        await downloads(stack, WithNumbers()).fetch(address, stack)
    assert "send its bytes" in str(caught.value)


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/x", "http://intranet/x", "//[::1]/x"])
async def test_a_redirect_inside_is_not_followed(base: str, stack: AsyncExitStack, to: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        await downloads(stack).fetch(url_of(base, f"/to?url={to}"), stack)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://cdn.example/x", "gopher://cdn.example/", ""])
async def test_a_redirect_to_another_scheme_is_not_followed(base: str, stack: AsyncExitStack, to: str) -> None:
    with pytest.raises(MediaSourceError, match=r"only http and https|redirects more than"):
        await downloads(stack).fetch(url_of(base, f"/to?url={to}"), stack)


async def test_a_redirect_outside_is_followed(base: str, stack: AsyncExitStack) -> None:
    link = url_of(base, f"/to?url={url_of(base, '/cat.png')}")
    assert await downloads(stack).fetch(link, stack) == b"cat"


async def test_a_name_that_changes_its_meaning_is_judged_at_each_connection(base: str, stack: AsyncExitStack) -> None:
    names = Names()
    one, another = downloads(stack, names), downloads(stack, names)
    link = url_of(base, "/cat.png", "rebind.example")
    assert await one.fetch(link, stack) == b"cat"
    with pytest.raises(ForbiddenAddressError):
        await another.fetch(link, stack)


async def test_a_name_that_nobody_knows_is_an_error(stack: AsyncExitStack) -> None:
    with pytest.raises(MediaSourceError, match="cannot be fetched"):
        await downloads(stack).fetch("http://nobody.example/x?sign=secret", stack)


@pytest.mark.parametrize("download", [True, None])
async def test_a_bot_fetches_nothing_inside_for_a_link(
    sandbox: Sandbox, base: str, site: Site, download: bool | None
) -> None:
    async with outbox(sandbox, resolver=Names()) as out:
        for inside in ("http://intranet/cat.png", base + "/cat.png", url_of(base, "/to?url=http://intranet/cat.png")):
            sandbox.faults.answer("files", status=400, code=850026, times=2)
            with pytest.raises((MediaSourceError, MediaRefusedError), match="nothing is fetched from") as caught:
                await out.image(inside, download=download)
            assert isinstance(caught.value, MediaRefusedError) is (download is None)
            sandbox.faults.clear()
        assert site.paths.count("/cat.png") == 0
        if download:
            await out.image(url_of(base, "/picture.png"), download=download)
            assert sandbox.arrived[-1].media is not None
            assert sandbox.arrived[-1].media.sha256 == sha256(png(1))


@pytest.mark.parametrize("kind", ["voice", "video", "file"])
async def test_what_is_to_be_downloaded_is_never_given_to_the_platform_as_a_link(
    kind: str, sandbox: Sandbox, stack: AsyncExitStack
) -> None:
    content = {"voice": wav(0.1), "video": mp4(), "file": b"%PDF-1.7 "}[kind]

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=content)

    async with web_server(answer) as address, outbox(sandbox, resolver=Names()) as out:
        link = url_of(address, "/a.bin")
        handle = await out.send(getattr(Chain(), kind)(link, download=True))
        assert [one.way for one in handle.deliveries] == ["bytes"]
        with pytest.raises(ForbiddenAddressError):
            await out.send(getattr(Chain(), kind)("http://intranet/a.bin", download=True))
    assert sandbox.calls["files"] == 1
    [message] = sandbox.arrived
    assert message.media is not None
    assert message.media.content_type == {"voice": "audio/silk", "video": "video/mp4", "file": "application/pdf"}[kind]


async def test_a_proxy_of_the_environment_may_stand_inside_but_is_not_to_be_asked_for(
    base: str, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setenv("http_proxy", base.replace("127.0.0.1", "proxy.inside"))

    class Proxy(Names):
        async def resolve(self, name: str) -> list[Resolved]:
            assert name == "proxy.inside"
            return [Resolved("127.0.0.1")]

    session = GuardedSession(resolver=Proxy(), trust_env=True)
    stack.push_async_callback(session.aclose)
    fetch = Downloads(session, QQGroupChainBuilderOptions(), asyncio.to_thread).fetch
    assert await fetch("http://pictures.example/cat.png", stack) == b"cat"
    with pytest.raises(ForbiddenAddressError):
        await fetch("http://10.0.0.1/cat.png", stack)
    with pytest.raises(ForbiddenAddressError):
        await fetch("http://proxy.inside/cat.png", stack)
    assert site.paths == ["/cat.png"]
