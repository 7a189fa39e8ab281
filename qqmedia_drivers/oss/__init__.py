"""The driver `oss`: Aliyun OSS, through its SDK oss2."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from qqmedia import DriverSpec, hookimpl
from qqmedia_drivers._late import Opener, loaded_late

if TYPE_CHECKING:
    from qqmedia_drivers.oss._settings import OssSettings

__all__ = ("qqmedia_register_drivers",)

# As a running module names itself, and as a compiler names its file.
_SDK_MODULES: Final = r"(.*[/\\])?(oss2|aliyunsdkcore|aliyunsdkkms|crcmod)([./\\]|$)"


def _settings_class() -> type[OssSettings]:
    from qqmedia_drivers.oss._settings import OssSettings  # noqa: PLC0415 - discovery loads no pydantic

    return OssSettings


def _load() -> Opener[OssSettings]:
    _mute_sdk()
    from qqmedia_drivers.oss._store import open_oss  # noqa: PLC0415 - discovery loads no SDK

    return open_oss


def _mute_sdk() -> None:
    """Let no warning about the SDK's own code reach anybody: it is frozen, and newer Pythons complain of its ways.

    Else every request would fail where warnings are errors. The filters stay, for requests are sent all the time.
    """
    for category in (SyntaxWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_SDK_MODULES)


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `oss`."""
    return DriverSpec(name="oss", settings=_settings_class, open=loaded_late(_load), extra="oss", requires=("oss2",))
