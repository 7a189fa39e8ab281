"""The driver `s3`: any object store that speaks Amazon's S3, through boto3.

This module is what discovery imports, so it loads neither the SDK nor the settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

if TYPE_CHECKING:
    from qqmedia_drivers.s3._settings import S3Settings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[S3Settings]:
    from qqmedia_drivers.s3._settings import S3Settings  # noqa: PLC0415 - discovery loads no pydantic

    return S3Settings


def _load() -> Callable[[S3Settings, DriverContext], AbstractAsyncContextManager[Driver]]:
    from qqmedia_drivers.s3._store import open_s3  # noqa: PLC0415 - discovery loads no SDK

    return open_s3


@asynccontextmanager
async def _open(settings: S3Settings, context: DriverContext) -> AsyncIterator[Driver]:
    open_s3 = await context.in_thread(_load)
    async with open_s3(settings, context) as driver:
        yield driver


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `s3`."""
    return DriverSpec(name="s3", settings=_settings_class, open=_open, extra="s3", requires=("botocore",))
