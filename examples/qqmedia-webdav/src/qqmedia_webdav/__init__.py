"""The driver `webdav` for qqmedia: media lie in a folder of a WebDAV server.

Importing this loads neither an HTTP client nor a settings library: ``qqmedia drivers`` imports every plugin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

__all__ = ("qqmedia_register_drivers",)


def _load_settings() -> Any:
    from qqmedia_webdav._settings import WebDAVSettings  # noqa: PLC0415 - only when it is opened

    return WebDAVSettings


@asynccontextmanager
async def _open(settings: Any, context: DriverContext) -> AsyncIterator[Driver]:
    from qqmedia_webdav._driver import WebDAVDriver  # noqa: PLC0415 - only when it is opened

    yield WebDAVDriver(settings, context)


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    return DriverSpec(name="webdav", settings=_load_settings, open=_open)
