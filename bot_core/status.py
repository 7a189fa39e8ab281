"""How a running bot is doing, as values: what `AmiyaBot.status` and ``GET /healthz`` tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

__all__ = ("BotStatus", "ShardStatus", "SupportsStatus")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """One connection to the platform; a webhook that answers counts as one.

    Attributes:
        way: `ws`, or `webhook`; a webhook is live while its address answers, whether or not anything was sent there.
        index: Which shard, from 0.
        count: How many there are.
        state: `live` while events flow; else `offline`, `hello`, `queued`, `identifying`, `resuming`, `stopped`.
        connected_since: When it went live; `None` while it is not.
        last_event: When the last event came; `None` before the first.
        heartbeat_seconds: What the last heartbeat's answer took; `None` before the first.
        identifies: Sessions that were asked for since the start.
        resumes: How often a session was resumed since the start.
        went_down: Why it last went down; empty when it never did.
    """

    way: str = "ws"
    index: int
    count: int
    state: str
    connected_since: datetime | None = None
    last_event: datetime | None = None
    heartbeat_seconds: float | None = None
    identifies: int = 0
    resumes: int = 0
    went_down: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotStatus:
    """One account.

    Attributes:
        appid: The account.
        shards: Its connections; empty before the platform told how many there are, and after the end.
        handlers_running: How many handlers run now.
        handlers_parked: How many wait for a message.
        events_waiting: How many messages and events wait for a handler.
        ended: Why it died, where others live and are told of; else empty.
    """

    appid: str
    shards: tuple[ShardStatus, ...] = ()
    handlers_running: int = 0
    handlers_parked: int = 0
    events_waiting: int = 0
    ended: str = ""

    @property
    def healthy(self) -> bool:
        """Whether events flow on every shard."""
        return bool(self.shards) and all(shard.state == "live" for shard in self.shards)


@runtime_checkable
class SupportsStatus(Protocol):
    """An adapter that can tell how its connections are."""

    def shard_status(self) -> tuple[ShardStatus, ...]:
        """Return one value for each connection."""
        ...
