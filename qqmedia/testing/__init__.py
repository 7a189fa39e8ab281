"""For tests of bots and of drivers: a driver that keeps media in memory and serves them, and a host over it.

::

    async with qqmedia.testing.memory_host() as host:
        url = await host.get_image(png_bytes)      # answers a plain GET until the block ends
"""

from __future__ import annotations

from qqmedia._context import Clock, SystemClock
from qqmedia._fetch import NameResolver, Resolved
from qqmedia.testing._clock import ManualClock
from qqmedia.testing._memory import MemoryDriver, StoredMedia, memory_host

__all__ = (
    "Clock",
    "ManualClock",
    "MemoryDriver",
    "NameResolver",
    "Resolved",
    "StoredMedia",
    "SystemClock",
    "memory_host",
)
