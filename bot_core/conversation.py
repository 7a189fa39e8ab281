"""What a message needs of the bot that received it, to be answered and to wait for the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from bot_core.adapter import MessageHandle

if TYPE_CHECKING:
    from bot_core.chain import Chain
    from bot_core.message import Event, Message
    from bot_core.waits import ChannelAnswer

__all__ = ("Conversation", "DataFilter", "WaitOptions")

DataFilter: TypeAlias = "Callable[[Message], Awaitable[object]]"
"""Says whether a message is the awaited one; a message that it refuses is consumed all the same."""


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How a wait behaves.

    Attributes:
        force: Take the message before any handler is asked.
        max_time: Seconds after which it is over.
        level: Handlers with a higher one go first.
        clean: Forget what queued up before (`wait_channel`).
    """

    force: bool
    max_time: float
    level: float
    clean: bool = True


class Conversation(Protocol):
    """What a message needs of the bot that received it, to be answered."""

    async def reply(self, data: Message, chain: Chain | str, *, timeout: float | None = None) -> list[MessageHandle]:
        """Send `chain` as an answer to `data`."""
        ...

    async def reply_event(
        self, event: Event, chain: Chain | str, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send `chain` as an answer to `event`."""
        ...

    async def wait(
        self, data: Message, reply: Chain | str | None, options: WaitOptions, data_filter: DataFilter | None
    ) -> Message | None:
        """Wait for the next message of the same user in the same chat."""
        ...

    async def wait_channel(
        self,
        data: Message,
        reply: Chain | str | None,
        options: WaitOptions,
        data_filter: DataFilter | None,
    ) -> ChannelAnswer | None:
        """Wait for the next message of anybody in the group."""
        ...
