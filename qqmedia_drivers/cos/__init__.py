"""The driver `cos`: Tencent COS, through its SDK cos-python-sdk-v5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qqmedia import DriverSpec, hookimpl
from qqmedia_drivers._late import Opener, loaded_late

if TYPE_CHECKING:
    from qqmedia_drivers.cos._settings import CosSettings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[CosSettings]:
    from qqmedia_drivers.cos._settings import CosSettings  # noqa: PLC0415 - discovery loads no pydantic

    return CosSettings


def _load() -> Opener[CosSettings]:
    from qqmedia_drivers.cos._store import open_cos  # noqa: PLC0415 - discovery loads no SDK

    return open_cos


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `cos`."""
    return DriverSpec(
        name="cos", settings=_settings_class, open=loaded_late(_load), extra="cos", requires=("qcloud_cos",)
    )
