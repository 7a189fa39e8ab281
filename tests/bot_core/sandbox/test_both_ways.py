"""Events that go by webhook and over the gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from bot_core.errors import SandboxError
from bot_core.webhook.signature import BotKey

SECRET = "naOC0ocQE3shWLAfffVLB1rhYPG7"


@pytest.mark.asyncio
async def test_what_goes_both_ways_follows_the_bot_into_a_new_session_and_back_to_one_way(
    play: Any, serve: Any
) -> None:
    by_webhook: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        frame = json.loads(await request.read())
        if frame["op"] == 0:
            by_webhook.append(frame["d"]["content"])
            return web.Response()
        token = frame["d"]["plain_token"]
        signature = BotKey.of(SECRET).sign(f"{frame['d']['event_ts']}{token}".encode())
        return web.json_response({"plain_token": token, "signature": signature})

    async with play(identify_window_seconds=0) as (sandbox, bot):
        webhook = await sandbox.use_webhook(await serve(handle), SECRET, both=True)
        await sandbox.say("one")
        assert (await bot.heard())["content"] == " one"
        sandbox.end_sessions()
        await bot.connect()  # another session
        await sandbox.say("two")
        assert (await bot.heard())["content"] == " two"
        await webhook.settled()
        assert by_webhook == [" one", " two"]
        await sandbox.use_gateway()
        await sandbox.say("three")
        assert (await bot.heard())["content"] == " three"
        assert by_webhook == [" one", " two"]
        with pytest.raises(SandboxError, match="do not go to a webhook"):
            await sandbox.use_gateway()
