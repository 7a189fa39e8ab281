"""The connections of the HTTP session: as many as are needed, and those of a burst go when it is over."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from qqmedia.proxy import ProxyConnector

__all__ = ("LastUsedFirst",)

# More than benchmarks and busy bots have under way at once; what a larger burst opened is closed behind it.
_MOST_IDLE: Final = 64


class LastUsedFirst(ProxyConnector):
    """A connector that takes, of its idle connections, the one that was used last.

    aiohttp takes the one that rested longest. So a burst, such as the replay after Resume, opens a hundred, and a bot
    that answers ten messages a second then uses each of them before its rest ends, and keeps them for ever. Of one
    address no more than 64 are kept.
    """

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        # There is no public way. Where aiohttp comes to keep them otherwise, its own order holds.
        idle = getattr(self, "_conns", {}).get(key, ())
        before = len(idle)
        super()._release(key, protocol, should_close=should_close or before >= _MOST_IDLE)
        if before and len(idle) > before and isinstance(idle, deque):  # else it was closed, or is the only one
            idle.rotate(1)
