"""The driver `direct`: hosts nothing, so that every medium goes to the platform as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qqmedia import Driver, DriverContext, DriverSpec, Reach, Upload, hookimpl

__all__ = ("qqmedia_register_drivers",)


class _DirectDriver:
    """Has no URL for anything."""

    @property
    def reach(self) -> Reach:
        """Nothing is hosted, so nothing can be fetched."""
        return Reach.PRIVATE

    async def put(self, upload: Upload, /) -> str | None:  # noqa: ARG002 - the contract's parameter
        """Answer that this driver hosts nothing."""
        return None


@asynccontextmanager
async def _open(settings: None, context: DriverContext) -> AsyncIterator[Driver]:  # noqa: ARG001 - the contract's parameters
    yield _DirectDriver()


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    """Bring the driver `direct`."""
    return DriverSpec(name="direct", open=_open)
