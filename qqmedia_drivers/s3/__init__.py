"""The driver `s3`: any object store that speaks Amazon's S3, through boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qqmedia import DriverSpec, hookimpl
from qqmedia_drivers._late import Opener, loaded_late

if TYPE_CHECKING:
    from qqmedia_drivers.s3._settings import S3Settings

__all__ = ("qqmedia_register_drivers",)


def _settings_class() -> type[S3Settings]:
    from qqmedia_drivers.s3._settings import S3Settings  # noqa: PLC0415 - discovery loads no pydantic

    return S3Settings


def _load() -> Opener[S3Settings]:
    from qqmedia_drivers.s3._store import open_s3  # noqa: PLC0415 - discovery loads no SDK

    return open_s3


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `s3`."""
    return DriverSpec(name="s3", settings=_settings_class, open=loaded_late(_load), extra="s3", requires=("botocore",))
