"""Tells the platform that a pressed button was noticed, while its handler may still wait for a place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bot_core.errors import OpenAPIError
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.values import as_int
from bot_core.qq_group.timing import Timing

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient

__all__ = ("Acknowledgements",)

# Kinds of interaction that want it: a button, and an entry of the bot's menu (PLATFORM 6.5).
_WANTED: Final = frozenset({11, 12})
# People see an error after about five seconds.
_WITHIN_SECONDS: Final = 4.5
_AGAIN: Final = frozenset({CodeKind.RETRY_NOW, CodeKind.RETRY_LATER, CodeKind.RATE})

logger = logging.getLogger("bot_core.qq_group")


class Acknowledgements:
    """The acknowledgements that are under way; `finish` awaits them.

    Args:
        timing: Pauses between tries.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, api: OpenAPIClient, data: object) -> None:
        """Acknowledge this interaction in a task of its own; nothing where it wants none."""
        if not isinstance(data, Mapping) or not isinstance(data.get("id"), str):
            return
        if as_int(data.get("type"), 11) not in _WANTED:
            return
        task = asyncio.create_task(self._acknowledge(api, data["id"]), name=f"acknowledge {data['id']}")
        self._tasks.add(task)  # `finish` awaits them
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for those that are under way; each has a time limit."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _acknowledge(self, api: OpenAPIClient, interaction_id: str) -> None:
        tries = 0
        try:
            async with asyncio.timeout(_WITHIN_SECONDS):
                while True:
                    tries += 1
                    try:
                        await api.put_interaction(interaction_id)
                    except OpenAPIError as error:
                        if kind_of(error) not in _AGAIN:
                            raise
                        logger.info("a button was not acknowledged at try %d: %s", tries, error)
                    else:
                        return
                    await self._timing.sleep(self._timing.pause(tries))
        except (OpenAPIError, TimeoutError) as error:  # its handler runs all the same
            why = str(error) or f"no answer within {_WITHIN_SECONDS:g} s"
            logger.warning("button %s could not be acknowledged, who pressed it sees an error: %s", interaction_id, why)
