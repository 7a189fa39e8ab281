"""The driver `local`: an HTTP server over a folder of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qqmedia import DriverSpec, hookimpl
from qqmedia_drivers._late import Opener, loaded_late

if TYPE_CHECKING:
    from qqmedia_drivers.local._settings import LocalSettings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[LocalSettings]:
    from qqmedia_drivers.local._settings import LocalSettings  # noqa: PLC0415 - discovery loads no pydantic

    return LocalSettings


def _load() -> Opener[LocalSettings]:
    from qqmedia_drivers.local._driver import open_local  # noqa: PLC0415 - discovery loads no aiohttp

    return open_local


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `local`."""
    return DriverSpec(name="local", settings=_settings_class, open=loaded_late(_load))
