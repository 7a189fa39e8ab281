"""Waiting for what nobody tells of: a line of the log, a list that a server fills, the end of a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ("until", "until_in_thread")

_PAUSE_SECONDS = 0.003


async def until(so: Callable[[], object], *, seconds: float = 10) -> None:
    """Return as soon as it is so."""
    async with asyncio.timeout(seconds):
        while not so():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(_PAUSE_SECONDS)


async def until_in_thread(so: Callable[[], object], *, seconds: float = 10) -> None:
    """Return as soon as it is so, where looking at it blocks."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(so):  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(_PAUSE_SECONDS)
