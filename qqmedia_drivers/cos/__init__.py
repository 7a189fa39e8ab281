"""The driver `cos`: Tencent COS, through its SDK cos-python-sdk-v5.

This module is what discovery imports, so it loads neither the SDK nor the settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

if TYPE_CHECKING:
    from qqmedia_drivers.cos._settings import CosSettings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[CosSettings]:
    from qqmedia_drivers.cos._settings import CosSettings  # noqa: PLC0415 - discovery loads no pydantic

    return CosSettings


def _load() -> Callable[[CosSettings, DriverContext], AbstractAsyncContextManager[Driver]]:
    from qqmedia_drivers.cos._store import open_cos  # noqa: PLC0415 - discovery loads no SDK

    return open_cos


@asynccontextmanager
async def _open(settings: CosSettings, context: DriverContext) -> AsyncIterator[Driver]:
    open_cos = await context.in_thread(_load)
    async with open_cos(settings, context) as driver:
        yield driver


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `cos`."""
    return DriverSpec(name="cos", settings=_settings_class, open=_open, extra="cos", requires=("qcloud_cos",))
