"""The HTTP session that the accounts of a process share."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from bot_core.chain import Chain
from bot_core.message import Message
from bot_core.qq_group import qq_group
from bot_core.qq_group.shared_http import shared_http_session
from bot_core.sandbox import Sandbox
from tests.bot_core.qq_group.conftest import Start


@pytest.mark.asyncio
async def test_it_is_one_for_all_and_who_leaves_last_closes_it() -> None:
    async with shared_http_session(None) as first:
        async with shared_http_session(None) as second:
            assert second is first
        assert not first.closed
        async with shared_http_session("http://127.0.0.1:1") as elsewhere:  # one account's proxy is not another's
            assert elsewhere is not first
        assert elsewhere.closed
    gone: aiohttp.ClientSession = first
    assert gone.closed
    async with shared_http_session(None) as third:
        assert third is not first
        assert not third.closed


@pytest.mark.asyncio
async def test_whoever_closes_what_was_lent_harms_no_newcomer() -> None:
    async with shared_http_session(None) as first:
        await first.close()
        async with shared_http_session(None) as second:
            assert not second.closed
        assert second.closed


def test_each_loop_has_its_own() -> None:
    async def lend() -> aiohttp.ClientSession:
        async with shared_http_session(None) as http:
            await asyncio.sleep(0)
            return http

    assert asyncio.run(lend()) is not asyncio.run(lend())


@pytest.mark.asyncio
async def test_one_account_takes_over_the_connections_of_another_but_neither_cookie_nor_token() -> None:
    seen: list[tuple[str | None, str | None, int]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if body:
            return web.json_response({"access_token": f"of {json.loads(body)['appId']}", "expires_in": "7200"})
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        seen.append((request.headers.get("Authorization"), request.headers.get("Cookie"), peer[1]))
        response = web.json_response({})
        response.set_cookie("who", "somebody")
        return response

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    make = qq_group("s", api_base=f"http://127.0.0.1:{runner.addresses[0][1]}", default_chain_builder="direct")
    one, two = make("1", ""), make("2", "")
    async with one.open(), two.open():
        for adapter in (one, two):
            await adapter.api.get("/x")
    await runner.cleanup()
    (first, second) = seen
    assert (first[:2], second[:2]) == (("QQBot of 1", None), ("QQBot of 2", None))
    assert first[2] == second[2]


@pytest.mark.asyncio
async def test_an_account_that_ends_leaves_the_other_connected(sandbox: Sandbox, start: Start) -> None:
    def echo(data: Message) -> Chain:
        return Chain(data).text("hello")

    async with start(echo, "1"):
        async with start(echo, "2"):
            await sandbox.replies(await sandbox.say("hi", appid="2"))
        assert await sandbox.replies(await sandbox.say("hi", appid="1"))
