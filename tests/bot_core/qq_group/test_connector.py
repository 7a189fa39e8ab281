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
BIG_BURST = 80


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    """Tells which connection a request came by; those for `/together/<n>` wait for one another."""
    together = {f"/together/{count}": asyncio.Barrier(count) for count in (BURST, BIG_BURST)}

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path in together:
            await together[request.path].wait()
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
        burst = await asyncio.gather(*(_port(http, f"{address}/together/{BURST}") for _ in range(BURST)))
        assert len(set(burst)) == BURST
        afterwards = [await _port(http, address) for _ in range(BURST)]
        assert len(set(afterwards)) == 1
        assert set(afterwards) < set(burst)


async def test_a_connection_that_is_closed_changes_no_order(address: str) -> None:
    done: list[str] = []

    async def one(http: aiohttp.ClientSession) -> None:
        done.append(await _port(http, f"{address}/together/{BURST}"))

    async with aiohttp.ClientSession(connector=LastUsedFirst()) as http:
        await asyncio.gather(*(one(http) for _ in range(BURST)))
        assert await _port(http, f"{address}/bye") == done[-1]
        assert await _port(http, address) == done[-2]


async def test_no_more_than_64_are_kept_of_a_larger_burst(address: str) -> None:
    connector = LastUsedFirst()
    async with aiohttp.ClientSession(connector=connector) as http:
        urls = [f"{address}/together/{BIG_BURST}"] * BIG_BURST
        first = set(await asyncio.gather(*(_port(http, url) for url in urls)))
        second = set(await asyncio.gather(*(_port(http, url) for url in urls)))
        assert len(first) == len(second) == BIG_BURST
        assert len(first & second) == 64
