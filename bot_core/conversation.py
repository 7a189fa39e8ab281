"""What a message needs of the bot that received it, to be answered and to wait for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import bot_core  # for annotations: the package finds a name when somebody asks for it
from bot_core.adapter import MessageHandle

if TYPE_CHECKING:
    import bot_core.message
    import bot_core.waits

__all__ = ("Conversation", "WaitOptions")


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

    async def reply(
        self, data: bot_core.Message, chain: bot_core.Chain | str, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send `chain` as an answer to `data`."""
        ...

    async def reply_event(
        self, event: bot_core.Event, chain: bot_core.Chain | str, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send `chain` as an answer to `event`."""
        ...

    async def wait(
        self,
        data: bot_core.Message,
        reply: bot_core.Chain | str | None,
        options: WaitOptions,
        data_filter: bot_core.message.DataFilter | None,
    ) -> bot_core.Message | None:
        """Wait for the next message of the same user in the same chat."""
        ...

    async def wait_channel(
        self,
        data: bot_core.Message,
        reply: bot_core.Chain | str | None,
        options: WaitOptions,
        data_filter: bot_core.message.DataFilter | None,
    ) -> bot_core.waits.ChannelAnswer | None:
        """Wait for the next message of anybody in the group."""
        ...
