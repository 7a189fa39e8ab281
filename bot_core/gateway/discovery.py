"""What the platform says about its gateway: address, recommended shards, how many sessions may still be started."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bot_core.errors import OpenAPIError
from bot_core.openapi.values import GatewayInfo

__all__ = ("Discovery",)

# The platform allows 2 calls a minute with bursts of 10, and answers hammering with disconnects.
_ASK_AGAIN_SECONDS: Final = 10.0

# Where no start is left, and the platform does not say until when.
_UNTOLD_RESET_SECONDS: Final = 60.0

logger = logging.getLogger("bot_core.gateway")


class Discovery:
    """Asks once, and again when what it knows is in doubt; all shards of an account share one.

    Args:
        ask: Asks the platform, such as `OpenAPIClient.get_gateway_bot`.
        clock: Monotonic seconds.
        ask_again: Least seconds between two questions, once an answer is known.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[GatewayInfo]],
        *,
        clock: Callable[[], float] = time.monotonic,
        ask_again: float = _ASK_AGAIN_SECONDS,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._ask_again = ask_again
        self._info: GatewayInfo | None = None
        self._asked_at = -math.inf
        self._resets_at = 0.0
        self._started = 0
        self._doubtful = False
        self._asking = asyncio.Lock()

    async def get(self) -> GatewayInfo:
        """Return what is known. It is asked for anew when in doubt; where that fails, what is known is tried again.

        Raises:
            OpenAPIError: Nothing is known, and the platform does not tell.
        """
        async with self._asking:
            known = self._info
            if known is not None and not self._is_due():
                return known
            self._asked_at = self._clock()
            try:
                info = await self._ask()
            except OpenAPIError as error:
                if known is None:
                    raise
                logger.debug("no news of the gateway, going on with what is known: %s", error)
                return known
            self._info, self._started, self._doubtful = info, 0, False
            reset = info.reset_after_seconds
            self._resets_at = self._asked_at + (reset if reset > 0 else _UNTOLD_RESET_SECONDS)
            return info

    def failed(self) -> None:
        """The address did not work, or a start was refused: ask anew before long."""
        self._doubtful = True

    def started(self) -> None:
        """A session is being started, which uses up one start."""
        self._started += 1

    @property
    def exhausted_for(self) -> float:
        """Seconds until a session may be started again; 0 when one may be started now."""
        info = self._info
        if info is None or info.total <= 0 or info.remaining > self._started:
            return 0.0
        return max(0.0, self._resets_at - self._clock())

    def _is_due(self) -> bool:
        spent = self._info is not None and self._info.total > 0 and self._info.remaining <= self._started
        rested = self._clock() - self._asked_at >= self._ask_again
        return rested and (self._doubtful or (spent and self._clock() >= self._resets_at))
