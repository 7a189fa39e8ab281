"""The gateway side of one account: its shards, and what they share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

import aiohttp

from bot_core.errors import OpenAPIError
from bot_core.gateway.discovery import Discovery
from bot_core.gateway.kept import SessionKeeper
from bot_core.gateway.pacing import IdentifyGate, MemoryPacingStore, PacingStore
from bot_core.gateway.session import GatewaySession, Timings
from bot_core.gateway.shard import DeliverCallback, OnReady, Shard, is_fatal
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import GatewayInfo
from bot_core.status import ShardStatus

__all__ = ("Cluster", "ShardCount")

ShardCount: TypeAlias = int | Literal["auto"]
"""How many shards there are; ``auto``: as many as the platform recommends, all in this process."""

logger = logging.getLogger("bot_core.gateway")


class Cluster:
    """Receives the events of one account over WebSocket.

    Args:
        api: Typed calls.
        tokens: Where the access token comes from.
        http: Shared session; not closed here.
        intents: Bits of `Intents`.
        shard_index: Which shard this process runs, from 0.
        shards: How many there are, or `auto`.
        appid: The account, for log lines.
        account: Who is paced: appid and platform; else the appid.
        pacing: Where starts of sessions are booked; else in this object alone.
        keeper: Remembers sessions for the next process; else they end with this one.
        timings: Pauses and limits of the session.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        api: OpenAPIClient,
        tokens: AccessTokenSource,
        http: aiohttp.ClientSession,
        *,
        intents: int,
        shard_index: int = 0,
        shards: ShardCount = 1,
        appid: str,
        account: str = "",
        pacing: PacingStore | None = None,
        keeper: SessionKeeper | None = None,
        timings: Timings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.appid = appid
        self._tokens = tokens
        self._http = http
        self._intents = intents
        self._shard_index = shard_index
        self._count = shards
        self._account = account or appid
        self._pacing = pacing or MemoryPacingStore()
        self._keeper = keeper
        self._timings = timings or Timings()
        self._clock = clock
        self._discovery = Discovery(api.get_gateway_bot, clock=clock)
        self._shards: tuple[Shard, ...] = ()
        self._stopping = asyncio.Event()

    def shard_status(self) -> tuple[ShardStatus, ...]:
        """Return how each shard is doing."""
        return tuple(shard.status() for shard in self._shards)

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Hand every event to `deliver`, those of one shard in order, until `stop`; faults that pass are survived.

        Args:
            deliver: Is awaited by the reader: while it waits, nothing more is read, and heartbeats go on.
            on_ready: Is told the event READY or RESUMED whenever events begin to flow.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            GatewayError: The platform ended a connection for a reason that does not pass.
        """
        # Awaited, or cancelled and awaited, right here.
        worker = asyncio.create_task(self._work(deliver, on_ready), name=f"gateway of {self.appid}")
        stopping = asyncio.create_task(self._stopping.wait(), name=f"gateway of {self.appid}: stop")
        try:
            await asyncio.wait((worker, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not worker.done():
                worker.cancel()
            await asyncio.wait((worker, stopping))
            if self._keeper is not None:
                self._keeper.ending()
        if not worker.cancelled():
            worker.result()

    def stop(self) -> None:
        """Make `run` return soon, leaving the sessions resumable; may be called at any time, and again."""
        self._stopping.set()

    async def _work(self, deliver: DeliverCallback, on_ready: OnReady | None) -> None:
        info = await self._discover()
        count = info.shards if self._count == "auto" else self._count
        auto = self._count == "auto"
        gate = IdentifyGate(
            self._account,
            self._pacing,
            self._discovery,
            limit=info.max_concurrency,
            window=self._timings.identify_gap,
        )
        if auto:
            logger.info("bot %s: the platform recommends %d shards, all run here", self.appid, count)
        indexes = range(count) if auto else (self._shard_index,)
        self._shards = tuple(self._new_shard(index, count, gate) for index in indexes)
        for shard in self._shards:
            await shard.restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                for shard in self._shards:
                    tasks.create_task(shard.run(deliver, on_ready), name=shard.name)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _new_shard(self, index: int, count: int, gate: IdentifyGate) -> Shard:
        session = GatewaySession(intents=self._intents, shard=(index, count), timings=self._timings)
        return Shard(
            self._http,
            session,
            tokens=self._tokens,
            discovery=self._discovery,
            gate=gate,
            keeper=self._keeper,
            clock=self._clock,
        )

    async def _discover(self) -> GatewayInfo:
        """Ask where the gateway is, until the platform tells."""
        backoff = self._timings.backoff
        for attempt in itertools.count():
            try:
                await self._tokens.get()
                return await self._discovery.get()
            except OpenAPIError as error:
                if is_fatal(error):
                    raise
                pause = backoff[min(attempt, len(backoff) - 1)] * random.uniform(0.75, 1)  # noqa: S311 - jitter
                logger.warning("bot %s: %s; asking again in %.1f s", self.appid, error, pause)
            await asyncio.sleep(pause)
        raise AssertionError("counting has no end")
