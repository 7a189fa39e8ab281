"""``python -m benchmarks.webhook``: signed events a second, beside a bare aiohttp handler that does the same check.

Both run as child processes and are called in turns, over the same number of connections that stay open, with the same
requests: every one is another event with a signature of its own. The bare handler reads the body, verifies it and
answers; the product also checks headers, time and repeats, parses, and hands the event to a bot that does nothing.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import perf_counter

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot_core.gateway.actions import Dispatch
from bot_core.webhook import WebhookOptions, WebhookReceiver

__all__ = ("webhook_row",)

APPID = "1020"
SECRET = "DG5g3B4j9X2KOErG"
KEY = Ed25519PrivateKey.from_private_bytes((SECRET * 2).encode())
CONNECTIONS = 50
REQUESTS = 4000
ROUNDS = 5
ACK = b'{"op":12,"d":0}'
GOAL = ">= 0.70"


async def serve_bare() -> None:
    """Serve the least that is correct."""
    public = KEY.public_key()

    async def handle(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        headers = request.headers
        try:
            public.verify(
                bytes.fromhex(headers["X-Signature-Ed25519"]), headers["X-Signature-Timestamp"].encode() + body
            )
        except (KeyError, ValueError, InvalidSignature):
            return web.Response(status=401)
        return web.Response(body=ACK, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def serve_product() -> None:
    """Serve what a bot has."""
    receiver = WebhookReceiver(APPID, SECRET, WebhookOptions("127.0.0.1", 0))

    async def deliver(dispatch: Dispatch) -> None:
        """Do nothing."""

    async def tell() -> None:
        await receiver.listening.wait()
        print(receiver.port, flush=True)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell())
        await receiver.run(deliver)


@asynccontextmanager
async def running(what: str) -> AsyncIterator[int]:
    """Run one of the two; give its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.webhook", what, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


def signed_requests(count: int, start: int) -> list[bytes]:
    """Return whole requests, each with an event of its own."""
    moment = str(int(time.time()))
    return [_request(number, moment) for number in range(start, start + count)]


def _request(number: int, moment: str) -> bytes:
    data = {
        "id": f"ROBOT1.0_{number:032x}",
        "group_openid": "6FB1D3A1C6F662AFC9995B70812D3F4A",
        "author": {"member_openid": "C6F662AFC9995B70812D3F4A6FB1D3A1", "username": "Ann", "member_role": "member"},
        "content": " what does the weather do today? ",
        "timestamp": "2026-07-21T10:00:00+08:00",
        "message_scene": {"source": "default", "ext": [f"msg_idx=REFIDX_{number:024x}=="]},
    }
    name = "GROUP_AT_MESSAGE_CREATE"
    body = json.dumps({"op": 0, "id": f"{name}:{number:032x}", "d": data, "t": name}).encode()
    signature = KEY.sign(moment.encode() + body).hex()
    head = (
        f"POST /qqbot HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: QQBot-Callback\r\nContent-Type: application/json\r\n"
        f"X-Bot-Appid: {APPID}\r\nX-Signature-Ed25519: {signature}\r\nX-Signature-Timestamp: {moment}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def rate(port: int, requests: list[bytes]) -> float:
    """Make the requests over `CONNECTIONS` connections; return how many a second were acknowledged."""
    rest = iter(requests)
    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(_caller(port, rest))
    return len(requests) / (perf_counter() - began)


async def _caller(port: int, rest: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in rest:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(len(ACK))
            if not head.startswith(b"HTTP/1.1 200 ") or body != ACK:
                raise RuntimeError(f"not acknowledged: {head!r} {body!r}")
    finally:
        writer.close()


async def measure() -> tuple[float, float]:
    """Return the median rates of the bare handler and of the product."""
    found: tuple[list[float], list[float]] = ([], [])
    async with running("bare") as bare, running("product") as product:
        for port in (bare, product):  # both have imported everything then, and made their caches
            await rate(port, signed_requests(500, 0))
        for number in range(1, ROUNDS + 1):
            requests = signed_requests(REQUESTS, number * 1_000_000)
            for port, rates in zip((bare, product), found, strict=True):
                rates.append(await rate(port, requests))
    return statistics.median(found[0]), statistics.median(found[1])


def webhook_row() -> tuple[str, str, str, str, str]:
    """Return the row of the table: what, the bare handler's rate, ours, the ratio, and what is wanted."""
    bare, product = asyncio.run(measure())
    what = f"webhook events verified, {CONNECTIONS} in flight"
    return what, f"{bare:.0f}/s", f"{product:.0f}/s", f"{product / bare:.2f}", GOAL


def main() -> None:
    """Measure and print, or be one of the two servers."""
    match sys.argv[1:]:
        case ["bare"]:
            asyncio.run(serve_bare())
        case ["product"]:
            asyncio.run(serve_product())
        case _:
            print("{}: bare {}, this bot {}, ratio {} (wanted {})".format(*webhook_row()))


if __name__ == "__main__":
    main()
