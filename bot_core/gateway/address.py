"""Where the WebSocket is: asked once, kept between reconnects."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bot_core.errors import OpenAPIError

__all__ = ("GatewayAddress",)

# The platform allows 2 calls a minute with bursts of 10, and answers hammering with disconnects.
_ASK_AGAIN_SECONDS: Final = 10.0

logger = logging.getLogger("bot_core.gateway")


class GatewayAddress:
    """Gives the address of the WebSocket; all shards of an account share one.

    Args:
        ask: Asks the platform, such as `OpenAPIClient.get_gateway`.
        clock: Monotonic seconds.
        ask_again: Least seconds between two questions, once an address is known.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
        ask_again: float = _ASK_AGAIN_SECONDS,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._ask_again = ask_again
        self._url = ""
        self._asked_at = 0.0
        self._doubtful = False

    async def get(self) -> str:
        """Return the address. One that failed is asked for anew; where that fails too, the known one is tried again.

        Raises:
            OpenAPIError: No address is known, and the platform gives none.
        """
        if self._url and not (self._doubtful and self._clock() - self._asked_at >= self._ask_again):
            return self._url
        self._asked_at = self._clock()
        try:
            url = await self._ask()
        except OpenAPIError as error:
            if not self._url:
                raise
            logger.debug("no new gateway address, trying the known one again: %s", error)
            return self._url
        self._url, self._doubtful = url, False
        return url

    def failed(self) -> None:
        """The address did not work: ask anew before long."""
        self._doubtful = True
