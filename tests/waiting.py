"""Waiting: for what nobody tells of (a line of the log, a list that a server fills), and for an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ("ends_at_once", "until", "until_in_thread")

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


async def ends_at_once(task: asyncio.Task[Any], *, seconds: float = 0.5) -> None:
    """Cancel the task, which must not take its time over it."""
    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - began < seconds
