"""The gateway side of one account: its shards, and what they share."""

from __future__ import annotations

import time
from collections.abc import Callable

import aiohttp

from bot_core.gateway.address import GatewayAddress
from bot_core.gateway.session import GatewaySession, Timings
from bot_core.gateway.shard import DeliverCallback, OnReady, Shard
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.token import AccessTokenSource

__all__ = ("Cluster",)


class Cluster:
    """Receives the events of one account over WebSocket.

    Args:
        api: Typed calls.
        tokens: Where the access token comes from.
        http: Shared session; not closed here.
        intents: Bits of `Intents`.
        shard_index: Which shard this process runs, from 0.
        shards: How many there are.
        appid: The account, for log lines.
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
        shards: int = 1,
        appid: str,
        timings: Timings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.appid = appid
        session = GatewaySession(intents=intents, shard=(shard_index, shards), timings=timings)
        address = GatewayAddress(api.get_gateway, clock=clock)
        self._shard = Shard(http, session, tokens=tokens, address=address, clock=clock)

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Hand every event to `deliver`, in order, until `stop`; faults that pass are survived.

        Args:
            deliver: Is awaited by the reader: while it waits, nothing more is read, and heartbeats go on.
            on_ready: Is told the event READY or RESUMED whenever events begin to flow.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
        """
        await self._shard.run(deliver, on_ready)

    def stop(self) -> None:
        """Make `run` return soon, leaving the session resumable; may be called at any time, and again."""
        self._shard.stop()
