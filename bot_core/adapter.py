"""The small contract between a bot and a platform.

`AmiyaBot` owns handlers, waits and tasks; an adapter owns the connection. The bot runs it like this::

    async with adapter.open():                      # HTTP session, media host; no call to the platform yet
        async with dispatcher:                      # handler tasks
            await adapter.listen(dispatcher.receive)    # until `stop`, or a fatal error is raised
            ...                                     # running handlers finish while the adapter can still send
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias, runtime_checkable

import bot_core  # for annotations: the package finds a name when somebody asks for it

__all__ = (
    "Adapter",
    "AdapterFactory",
    "Delivery",
    "MessageHandle",
    "Receive",
    "Response",
    "SupportsEventReply",
    "SupportsReplyBudget",
)

Receive: TypeAlias = Callable[["bot_core.Message | bot_core.Event"], Awaitable[None]]
"""Takes one incoming message or event. It returns soon (handlers are tasks of their own), and waits only when the
bot has too much to do; then the adapter stops reading, while heartbeats go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one medium went out.

    Attributes:
        kind: `image`, `voice`, `video` or `file`.
        way: `url` (the platform fetched it), `bytes` (uploaded in one request), `chunks` (uploaded in parts), `cache`
            (the platform had it already), or `store` (the platform's own store for pictures of markdown).
        size: Bytes of what was sent; 0 where it is not known (a URL given by the author).
        content_type: By the magic bytes; empty where it is not known.
        url: What the platform was told to fetch, or the link into its own store, if anything.
        notes: What the transforms did.
        tries: How many calls it took until the platform had it; 0 from the cache.
        trace_ids: The platform's ids of those calls, as far as it told them; its support asks for them.
    """

    kind: str
    way: str
    size: int = 0
    content_type: str = ""
    url: str | None = None
    notes: tuple[str, ...] = ()
    tries: int = 1
    trace_ids: tuple[str, ...] = ()

    @property
    def cached(self) -> bool:
        """Whether the platform had it already, so that nothing was uploaded."""
        return self.way == "cache"


class Response(dict[str, Any]):
    """The platform's answer."""

    @property
    def json(self) -> dict[str, Any]:
        """The same: bots written for AmiyaBot read it here."""
        return self


@dataclass(slots=True)
class MessageHandle:
    """One message that went out.

    Attributes:
        instance: The adapter that sent it.
        data: The message that it answers; `None` where it answers none.
        response: The platform's answer.
        message_id: Its id on the platform.
        target: Where it went; the adapter knows what it means.
        deliveries: How each medium in it travelled.
        attempts: How many calls it took until the platform had the message.
        trace_id: The platform's id of the last of them, which its support asks for; empty where it told none.
        proactive: Whether it went out unasked, and so counts against another allowance than replies do.
    """

    instance: Adapter
    data: bot_core.Message | None
    response: Response
    message_id: str
    target: Any = field(repr=False)
    deliveries: tuple[Delivery, ...] = ()
    attempts: int = 1
    trace_id: str = ""
    proactive: bool = False

    async def recall(self) -> None:
        """Take the message back; the platform allows it for 2 minutes.

        Raises:
            OpenAPIError: The platform refused.
        """
        await self.instance.recall_message(self.message_id, self.target)


class Adapter(Protocol):
    """A connection to a platform for one account.

    Attributes:
        appid: The account.
        bot_name: Its name on the platform; empty until it is known.
        api: Typed calls of the platform, and `get`, `post`, `request` for an endpoint that has none.
        shutdown_grace: Seconds that running handlers get to finish when the bot ends.
        max_handlers: How many handlers may run at once.
    """

    appid: str
    bot_name: str
    shutdown_grace: float
    max_handlers: int

    @property
    def api(self) -> Any:
        """The platform's client, while the adapter is open."""
        ...

    def open(self) -> AbstractAsyncContextManager[None]:
        """Open what sending needs. Calls that were made meanwhile wait for it; leaving closes it again.

        Raises:
            ConfigurationError: Something is set wrongly (a port that is taken, a driver that does not exist).
        """
        ...

    async def listen(self, receive: Receive) -> None:
        """Log in, then hand every message and event to `receive` until `stop` is called. Passing faults are survived.

        Raises:
            AuthenticationError: The platform refuses appid or secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
        """
        ...

    def stop(self) -> None:
        """Make `listen` return soon, leaving the session resumable. May be called at any time, and again."""
        ...

    async def send_chain(self, chain: bot_core.Chain, *, timeout: float | None = None) -> list[MessageHandle]:
        """Send the chain as an answer to ``chain.data``; one handle a message, empty when nothing was to be sent.

        `timeout` is the limit in seconds for each message, repeats included; without it the adapter's own holds.
        """
        ...

    async def send_message(
        self, chain: bot_core.Chain, user_id: str = "", channel_id: str = "", direct_src_guild_id: str = ""
    ) -> list[MessageHandle]:
        """Send the chain unasked, to a group (`channel_id`) or a user; with both the group wins."""
        ...

    async def recall_message(self, message_id: str, data: Any = None) -> None:
        """Recall a message. `data` is a received `Message` of its chat, or what `MessageHandle.target` has."""
        ...


@runtime_checkable
class SupportsEventReply(Protocol):
    """An adapter whose events can be answered."""

    async def send_event_reply(
        self, chain: bot_core.Chain, event: bot_core.Event, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send the chain as an answer to the event.

        Raises:
            ReplyContextError: The platform takes no answer to this event; nothing was sent.
        """
        ...


@runtime_checkable
class SupportsReplyBudget(Protocol):
    """An adapter that knows how long and how often a message can be answered."""

    def reply_deadline(self, data: bot_core.Message | bot_core.Event) -> datetime | None:
        """Return until when it can be answered (UTC), or `None` where it cannot be answered at all."""
        ...

    def replies_left(self, data: bot_core.Message | bot_core.Event) -> int:
        """Return how many more answers it takes, each message of a chain counted; 0 when the time is over."""
        ...


AdapterFactory: TypeAlias = Callable[[str, str], Adapter]
"""What ``AmiyaBot(adapter=...)`` takes: called with appid and token. `qq_group(...)` returns one."""
