"""What `qqbot webhook-check` says of good and of broken addresses."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot_core.sandbox import Sandbox
from bot_core.webhook import WebhookReceiver
from bot_core.webhook.check import Finding, Level, check_address
from bot_core.webhook.signature import BotKey
from qqmedia import ConfigurationError
from tests.bot_core.webhook.conftest import APPID, SECRET, Events, listening, options
from tests.fakes.tls import make_private_ca

pytestmark = pytest.mark.asyncio


def of(findings: list[Finding], level: Level) -> list[str]:
    return [one.text for one in findings if one.level is level]


async def check(url: str, **arguments: Any) -> list[str]:
    """Return what is wrong, besides what is so for every server of a test: its port, and plain HTTP."""
    findings = await check_address(url, **{"appid": APPID, "secret": SECRET, **arguments})
    wrong = of(findings, Level.WRONG)
    return [text for text in wrong if not text.startswith(("port ", "http: "))]


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve something that stands before a bot, or in its place."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/qqbot"
    finally:
        await runner.cleanup()


def passing_on(url: str, change: Callable[[bytes, dict[str, str]], bytes]) -> Handler:
    """Return a proxy that changes what it passes on."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.startswith("X-")}
        body = change(await request.read(), headers)
        async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
            return web.Response(status=response.status, body=await response.read())

    return handle


async def test_a_good_address_over_tls(events: Events, tmp_path: Path) -> None:
    ca = await asyncio.to_thread(make_private_ca, tmp_path, good_for=dt.timedelta(days=90))
    where = options(certfile=ca.cert_file, keyfile=ca.key_file)
    async with listening(WebhookReceiver(APPID, SECRET, where), events) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/qqbot"
        findings = await check_address(url, appid=APPID, secret=SECRET, ca_file=ca.ca_file)
    assert of(findings, Level.WRONG) == [f"port {receiver.port}: the platform calls 80, 443, 8080 and 8443 only"]
    assert of(findings, Level.NOTE) == ["127.0.0.1 can be reached from here, and not by the platform"]
    until, speed, forged, proof = of(findings, Level.GOOD)
    assert until.startswith("the certificate is good until 20")
    assert speed.startswith("it answers within ")
    assert (forged, proof) == (
        "a forged request is refused (401)",
        "it proves that it knows the secret: the console will accept it",
    )
    assert not events.got


async def test_a_certificate_that_ends_soon_or_has_ended(events: Events, tmp_path: Path) -> None:
    for days, expected in ((2, "good for 1 more days only"), (-0.01, "certificate has expired")):
        ca = await asyncio.to_thread(make_private_ca, tmp_path / str(days), good_for=dt.timedelta(days=days))
        where = options(certfile=ca.cert_file, keyfile=ca.key_file)
        async with listening(WebhookReceiver(APPID, SECRET, where), events) as receiver:
            url = f"https://127.0.0.1:{receiver.port}/qqbot"
            findings = await check_address(url, ca_file=ca.ca_file)
        assert expected in "\n".join(one.text for one in findings)


async def test_a_certificate_of_nobody(events: Events, tmp_path: Path) -> None:
    ca = await asyncio.to_thread(make_private_ca, tmp_path)
    where = options(certfile=ca.cert_file, keyfile=ca.key_file)
    async with listening(WebhookReceiver(APPID, SECRET, where), events) as receiver:
        [wrong] = await check(f"https://127.0.0.1:{receiver.port}/qqbot")
    assert wrong.startswith("certificate: unable to get local issuer certificate; the platform takes only")


async def test_plain_http_where_tls_is_expected(receiver: WebhookReceiver) -> None:
    [wrong] = await check(f"https://127.0.0.1:{receiver.port}/qqbot")
    assert "does not speak TLS" in wrong


async def test_http_and_a_strange_port_are_wrong(receiver: WebhookReceiver) -> None:
    findings = await check_address(f"http://127.0.0.1:{receiver.port}/qqbot", appid=APPID, secret=SECRET)
    assert of(findings, Level.WRONG) == [
        f"port {receiver.port}: the platform calls 80, 443, 8080 and 8443 only",
        "http: the platform calls https only",
    ]


async def test_nobody_there(free_port: int) -> None:
    [wrong] = await check(f"http://127.0.0.1:{free_port}/qqbot")
    assert wrong == f"nothing answers at 127.0.0.1 port {free_port}: {os.strerror(errno.ECONNREFUSED)}"


async def test_a_name_that_is_not_known() -> None:
    [wrong] = await check("https://bot.invalid/qqbot")
    assert wrong == "the name bot.invalid is not known"


async def test_another_path(receiver: WebhookReceiver) -> None:
    [wrong] = await check(f"http://127.0.0.1:{receiver.port}/other")
    assert wrong == "404: nothing receives at /other; compare it with WebhookOptions(path=...)"


@pytest.mark.parametrize(("appid", "secret"), [(APPID, "another"), ("1021", SECRET)])
async def test_another_secret_or_appid(appid: str, secret: str, receiver: WebhookReceiver) -> None:
    [wrong] = await check(f"http://127.0.0.1:{receiver.port}/qqbot", appid=appid, secret=secret)
    assert wrong.startswith("wrong secret: it refuses (401) what is signed with this one")


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
        lambda body: json.dumps(json.loads(body)).encode(),
        lambda body: json.dumps(json.loads(body), indent=2).encode(),
        lambda body: json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True).encode(),
        lambda body: body + b"\n",
    ],
    ids=["compact", "spaced", "indented", "sorted", "line"],
)
async def test_a_proxy_that_writes_the_body_anew(rewrite: Callable[[bytes], bytes], receiver: WebhookReceiver) -> None:
    handler = passing_on(f"http://127.0.0.1:{receiver.port}/qqbot", lambda body, _: rewrite(body))
    async with serving(handler) as url:
        [wrong] = await check(url)
    assert wrong.startswith("body altered: a proxy before the bot writes the body anew")


async def test_a_proxy_that_takes_headers_away(receiver: WebhookReceiver) -> None:
    def change(body: bytes, headers: dict[str, str]) -> bytes:
        headers.clear()
        return body

    async with serving(passing_on(f"http://127.0.0.1:{receiver.port}/qqbot", change)) as url:
        [wrong] = await check(url)
    assert "or a proxy takes the X- headers away" in wrong


async def test_a_slow_answer(receiver: WebhookReceiver) -> None:
    inner = passing_on(f"http://127.0.0.1:{receiver.port}/qqbot", lambda body, _: body)

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.06)
        return await inner(request)

    async with serving(slow) as url:
        [wrong] = await check(url, slow_seconds=0.05)
        assert wrong.startswith("slow answer: 0.")
        [wrong] = await check(url, timeout_seconds=0.03)
        assert wrong.startswith("slow answer: none within 0.03 s")


async def test_a_clock_that_is_wrong(events: Events) -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, headers={"Date": "Tue, 03 Sep 2024 00:00:00 GMT"})

    async with serving(refuse) as url:
        [wrong] = await check(url)
    assert wrong.startswith("the clocks differ by ")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (302, {"Location": "https://www.example.com/qqbot"}, "redirects to https://www.example.com/qqbot"),
        (502, {}, "502: a proxy answers, and the bot behind it does not run"),
    ],
)
async def test_a_proxy_without_a_bot(status: int, headers: dict[str, str], expected: str) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    async with serving(handle) as url:
        [wrong] = await check(url)
    assert expected in wrong


async def test_a_server_that_verifies_nothing() -> None:
    async def trusting(request: web.BaseRequest) -> web.StreamResponse:
        data = json.loads(await request.read())["d"]
        signature = BotKey.of(SECRET).sign(f"{data['event_ts']}{data['plain_token']}".encode())
        return web.json_response({"plain_token": data["plain_token"], "signature": signature})

    async with serving(trusting) as url:
        [wrong] = await check(url)
        assert wrong.startswith("it signs whatever a stranger sends")
        stranger, secret = await check(url, secret="another")
        assert stranger == wrong
        assert secret == "wrong secret: it signs with another one"
        assert wrong in await check(url, appid="", secret="")


async def test_something_else_at_the_path() -> None:
    async def page(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<html>hello</html>")

    async with serving(page) as url:
        [wrong] = await check(url)
        [stranger] = await check(url, appid="", secret="")
    assert wrong == "it answers 200, and not what op 13 asks for: what receives at this path is no bot"
    assert stranger.startswith("it takes a forged request for good")


async def test_what_does_not_speak_http() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        [wrong] = await check(f"http://127.0.0.1:{port}/qqbot")
    assert wrong == f"127.0.0.1 port {port} does not speak HTTP"


async def test_a_connection_that_is_cut() -> None:
    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(cut) as url:
        [wrong] = await check(url)
    assert "ended the connection without an answer" in wrong


async def test_without_a_secret_a_stranger_sees_little(receiver: WebhookReceiver) -> None:
    findings = await check_address(f"http://127.0.0.1:{receiver.port}/qqbot")
    assert "a forged request is refused (401)" in of(findings, Level.GOOD)
    assert "give --appid and --secret as well to have signatures checked" in of(findings, Level.NOTE)


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("bot.example.com/qqbot", {}),
        ("ftp://bot.example.com", {}),
        ("https://", {}),
        ("https://a/b", {"appid": "1"}),
        ("https://a:99999/b", {}),
        ("https://a:0/b", {}),
        ("https://a:b/c", {}),
        ("https://[::1/b", {}),
        ("https://a..b/c", {}),
        (f"https://{'a' * 64}.example.com/c", {}),
        ("https://exa mple.com/c", {}),
        ("https://a/b", {"ca_file": Path(__file__)}),
    ],
)
async def test_nonsense_is_refused(url: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await check_address(url, **given)


async def test_the_sandbox_and_the_check_agree(receiver: WebhookReceiver) -> None:
    url = f"http://127.0.0.1:{receiver.port}/qqbot"
    async with Sandbox.open() as sandbox:
        made = await sandbox.use_webhook(url, SECRET, appid=APPID)
    assert made.tries[0].status == 200
    assert not await check(url)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from bot_core.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=os.environ | environment,
    )


async def test_the_command(receiver: WebhookReceiver) -> None:
    url = f"http://127.0.0.1:{receiver.port}/qqbot"
    done = await asyncio.to_thread(run, "webhook-check", url, QQBOT_APPID=APPID, QQBOT_SECRET=SECRET)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert f"wrong: port {receiver.port}: the platform calls 80, 443, 8080 and 8443 only" in lines
    assert "ok:    it proves that it knows the secret: the console will accept it" in lines
    assert len(lines) == 6
    assert not done.stderr
    assert SECRET not in done.stdout


async def test_the_command_with_half_of_what_it_needs() -> None:
    done = await asyncio.to_thread(run, "webhook-check", "https://bot.example.com/qqbot", "--appid", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "appid and secret go together" in done.stderr
