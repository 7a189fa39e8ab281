"""The driver `local`: an HTTP server over a folder of this machine.

This module is what discovery imports, so it loads neither the server nor the settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

if TYPE_CHECKING:
    from qqmedia_drivers.local._settings import LocalSettings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[LocalSettings]:
    from qqmedia_drivers.local._settings import LocalSettings  # noqa: PLC0415 - discovery loads no pydantic

    return LocalSettings


def _load() -> Callable[[LocalSettings, DriverContext], AbstractAsyncContextManager[Driver]]:
    from qqmedia_drivers.local._driver import open_local  # noqa: PLC0415 - discovery loads no aiohttp

    return open_local


@asynccontextmanager
async def _open(settings: LocalSettings, context: DriverContext) -> AsyncIterator[Driver]:
    open_local = await context.in_thread(_load)  # a few hundred milliseconds where nothing has loaded aiohttp yet
    async with open_local(settings, context) as driver:
        yield driver


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `local`."""
    return DriverSpec(name="local", settings=_settings_class, open=_open)
