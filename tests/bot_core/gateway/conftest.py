"""One account beside a platform that the test scripts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest_asyncio

from bot_core.errors import AuthenticationError, GatewayError
from bot_core.gateway.actions import Dispatch
from bot_core.gateway.cluster import Cluster
from bot_core.gateway.session import Timings
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import Intents
from tests.fakes.gateway import APPID, SECRET, FakePlatform

QUICK = Timings(backoff=(0.01, 0.02, 0.03), handshake=0.2, invalid_session=0.03, too_fast=0.03, identify_gap=0.01)
INTENTS = Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION


class Bot:
    """One account that keeps what it gets."""

    def __init__(
        self, http: aiohttp.ClientSession, platform: FakePlatform, secret: str, timings: Timings, **more: Any
    ) -> None:
        self.events: list[Dispatch] = []
        self.online: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Callable[[Dispatch], None] = lambda _dispatch: None
        tokens = AccessTokenSource(http, appid=APPID, client_secret=secret, token_url=platform.token_url, timeout=1)
        api = OpenAPIClient(http, api_base=platform.base, tokens=tokens, timeout=1)
        arguments = {"shard_index": 1, "shards": 3} | more
        self.cluster = Cluster(api, tokens, http, intents=INTENTS, appid=APPID, timings=timings, **arguments)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.cluster.run(self.deliver, self.on_ready), name="bot under test")
        return self.task

    async def deliver(self, dispatch: Dispatch) -> None:
        await self.gate.wait()
        self.fault(dispatch)
        self.events.append(dispatch)

    async def on_ready(self, dispatch: Dispatch) -> None:
        self.online.append(dispatch.type)

    @property
    def got(self) -> list[Any]:
        return [event.data for event in self.events if event.type == "X"]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - what is awaited is a list that grows
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def new_bot(platform: FakePlatform, http: aiohttp.ClientSession) -> AsyncIterator[Callable[..., Bot]]:
    bots: list[Bot] = []

    def create(secret: str = SECRET, timings: Timings = QUICK, **more: Any) -> Bot:
        bots.append(Bot(http, platform, secret, timings, **more))
        return bots[-1]

    yield create
    for bot in bots:
        bot.cluster.stop()
        if bot.task is not None:
            with contextlib.suppress(AuthenticationError, GatewayError):
                async with asyncio.timeout(2):
                    await bot.task
    assert [task.get_name() for task in asyncio.all_tasks() if APPID in task.get_name()] == []


@pytest_asyncio.fixture
async def bot(new_bot: Callable[..., Bot]) -> Bot:
    bot = new_bot()
    bot.start()
    return bot
