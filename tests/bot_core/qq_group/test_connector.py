"""Which idle connection the HTTP session takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from bot_core.qq_group.connector import LastUsedFirst

pytestmark = pytest.mark.asyncio

BURST = 6


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    """Tells which connection a request came by; those for `/together` wait for one another."""
    together = asyncio.Barrier(BURST)

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/together":
            await together.wait()
        response = web.Response(text=str(request.transport.get_extra_info("peername")[1] if request.transport else 0))
        if request.path == "/bye":
            response.force_close()
        return response

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _port(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as response:
        return await response.text()


async def test_what_a_burst_opened_is_left_to_rest(address: str) -> None:
    async with aiohttp.ClientSession(connector=LastUsedFirst()) as http:
        burst = await asyncio.gather(*(_port(http, f"{address}/together") for _ in range(BURST)))
        assert len(set(burst)) == BURST
        afterwards = [await _port(http, address) for _ in range(BURST)]
        assert len(set(afterwards)) == 1
        assert set(afterwards) < set(burst)


async def test_a_connection_that_is_closed_changes_no_order(address: str) -> None:
    done: list[str] = []

    async def one(http: aiohttp.ClientSession) -> None:
        done.append(await _port(http, f"{address}/together"))

    async with aiohttp.ClientSession(connector=LastUsedFirst()) as http:
        await asyncio.gather(*(one(http) for _ in range(BURST)))
        assert await _port(http, f"{address}/bye") == done[-1]
        assert await _port(http, address) == done[-2]
