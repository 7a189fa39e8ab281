"""Opens a driver whose module is heavy: it is loaded when somebody opens it, in a thread.

Discovery imports what an entry point names, so that must load neither an SDK nor a settings library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias, TypeVar

from qqmedia import Driver, DriverContext

__all__ = ("Opener", "loaded_late")

SettingsT = TypeVar("SettingsT")
Opener: TypeAlias = Callable[[SettingsT, DriverContext], AbstractAsyncContextManager[Driver]]
"""The `open` of a `DriverSpec`."""


def loaded_late(load: Callable[[], Opener[SettingsT]]) -> Opener[SettingsT]:
    """Return an opener that calls `load` first, which imports the real one: some take a second for that."""

    @asynccontextmanager
    async def open_it(settings: SettingsT, context: DriverContext) -> AsyncIterator[Driver]:
        opener = await context.in_thread(load)
        async with opener(settings, context) as driver:
            yield driver

    return open_it
