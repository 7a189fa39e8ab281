"""The driver `oss`: Aliyun OSS, through its SDK oss2.

This module is what discovery imports, so it loads neither the SDK nor the settings.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final

from qqmedia import Driver, DriverContext, DriverSpec, hookimpl

if TYPE_CHECKING:
    from qqmedia_drivers.oss._settings import OssSettings

__all__ = ("qqmedia_register_drivers",)

# As a running module names itself, and as a compiler names its file.
_SDK_MODULES: Final = r"(.*[/\\])?(oss2|aliyunsdkcore|aliyunsdkkms|crcmod)([./\\]|$)"


def _settings_class() -> type[OssSettings]:
    from qqmedia_drivers.oss._settings import OssSettings  # noqa: PLC0415 - discovery loads no pydantic

    return OssSettings


def _load() -> Callable[[OssSettings, DriverContext], AbstractAsyncContextManager[Driver]]:
    _mute_sdk()
    from qqmedia_drivers.oss._store import open_oss  # noqa: PLC0415 - discovery loads no SDK

    return open_oss


def _mute_sdk() -> None:
    """Let no warning about the SDK's own code reach anybody: it is frozen, and newer Pythons complain of its ways.

    Else every request would fail where warnings are errors. The filters stay, for requests are sent all the time.
    """
    for category in (SyntaxWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_SDK_MODULES)


@asynccontextmanager
async def _open(settings: OssSettings, context: DriverContext) -> AsyncIterator[Driver]:
    open_oss = await context.in_thread(_load)
    async with open_oss(settings, context) as driver:
        yield driver


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `oss`."""
    return DriverSpec(name="oss", settings=_settings_class, open=_open, extra="oss", requires=("oss2",))
