"""The driver `local`: an HTTP server over a folder of this machine.

This module is what discovery imports, so it loads neither the server nor the settings.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

if TYPE_CHECKING:
    from qqmedia_drivers.local._settings import LocalSettings

__all__ = ("qqmedia_register_drivers",)


def _settings() -> type[LocalSettings]:
    from qqmedia_drivers.local._settings import LocalSettings  # noqa: PLC0415 - discovery loads no pydantic

    return LocalSettings


def _open(settings: LocalSettings, context: DriverContext) -> AbstractAsyncContextManager[Driver]:
    from qqmedia_drivers.local._driver import open_local  # noqa: PLC0415 - discovery loads no aiohttp

    return open_local(settings, context)


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `local`."""
    return DriverSpec(name="local", settings=_settings, open=_open)
