"""The look at a URL which the platform could not fetch: the log says what is wrong with it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from bot_core.qq_group.probe import probe
from bot_core.sandbox import Sandbox
from qqmedia import ChainBuilder
from qqmedia.guard import GuardedSession
from qqmedia.testing import Resolved
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.rescuing import warnings
from tests.bot_core.qq_group.uploading import outbox, web_server
from tests.fakes.tls import make_private_ca


class Names:
    """`cdn.example` is public and stands on loopback; `inside.example` is private."""

    async def resolve(self, name: str) -> list[Resolved]:
        match name:
            case "cdn.example":
                return [Resolved("93.184.216.34", connect_to="127.0.0.1")]
            case "inside.example":
                return [Resolved("192.168.1.5")]
        raise OSError(None, "no such name")


async def site(request: web.BaseRequest) -> web.StreamResponse:
    match request.path:
        case "/gone.png":
            raise web.HTTPNotFound
        case "/hang.png":
            await asyncio.Event().wait()
        case "/away.png":
            raise web.HTTPFound("/cat.png")
        case "/in.png":
            raise web.HTTPFound("http://127.0.0.1/cat.png")
    return web.Response(body=png(1), content_type="image/png")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("url", "seen", "cause"),
    [
        ("http://cdn.example:{port}/cat.png", "HTTP 200, image/png", "the port: {port}"),
        ("http://cdn.example:{port}/gone.png", "HTTP 404", "answers with an error"),
        ("http://cdn.example:{port}/hang.png", "no answer within 0.2 s", "too slow"),
        ("http://cdn.example:{port}/away.png", "after a redirect", "the port: {port}"),
        ("http://cdn.example:{port}/in.png", "private network", "private addresses"),
        ("http://inside.example/cat.png", "private network", "private addresses"),
        ("http://10.1.2.3/cat.png", "private network", "private addresses"),
        ("http://cdn.example:1/cat.png", "cannot be connected", "the port (1;"),
        ("http://nowhere.example/cat.png", "(no such name)", "the name does not resolve"),
        ("ftp://cdn.example/cat.png", "only http and https", "address is wrong"),
    ],
)
async def test_a_look_says_what_is_wrong(url: str, seen: str, cause: str) -> None:
    async with web_server(site) as base:
        port = base.rpartition(":")[2]
        session = GuardedSession(resolver=Names())
        finding = await probe(session, url.format(port=port), limit_seconds=0.2)
        await session.aclose()
    assert seen in finding.seen
    assert cause.format(port=port) in finding.cause


@pytest.mark.asyncio
async def test_a_look_knows_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    ca = await asyncio.to_thread(make_private_ca, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, ca.cert_file, ca.key_file)
    runner = web.ServerRunner(web.Server(site))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    session = GuardedSession(everything=True)
    finding = await probe(session, f"https://127.0.0.1:{runner.addresses[0][1]}/cat.png")
    await session.aclose()
    await runner.cleanup()
    assert finding.seen.startswith("TLS fails: ")
    assert "certificate" in finding.cause


@pytest.mark.asyncio
async def test_a_slow_answer_is_told_by_its_time() -> None:
    times = iter([0.0, 9.5])
    async with web_server(site) as base:
        session = GuardedSession(everything=True)
        finding = await probe(session, f"{base}/cat.png", clock=lambda: next(times))
        await session.aclose()
    assert "in 9.5 s" in finding.seen
    assert "too slow" in finding.cause


@pytest.mark.asyncio
async def test_a_bot_that_ends_while_it_looks_has_said_it_all_the_same(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    class Elsewhere(ChainBuilder):
        async def get_image(self, image: str | bytes) -> str | bytes:
            return f"{base}/a.png"

    async with web_server(hang) as base:
        async with outbox(sandbox, Elsewhere()) as out:
            sandbox.faults.answer("files", status=400, code=850026, times=2)
            assert (await out.image(png(1))).way == "bytes"
            assert not warnings(caplog, "could not fetch")
        [line] = warnings(caplog, "could not fetch")
    assert "as the bot ended" in line
