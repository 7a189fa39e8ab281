"""Opens a driver without a host, for its own tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from qqmedia._context import Clock, HostContext, Resources, SystemClock
from qqmedia._policy import HostPolicy
from qqmedia.driver import Driver, DriverContext, DriverSpec
from qqmedia.errors import ConfigurationError
from qqmedia.media import Workspace
from qqmedia.settings import load_settings

__all__ = ("driver_context", "open_driver")


@asynccontextmanager
async def driver_context(
    *,
    name: str = "conformance",
    state_dir: str | os.PathLike[str] | None = None,
    platform_on_loopback: bool = True,
    clock: Clock | None = None,
    put_timeout: float | None = None,
) -> AsyncIterator[DriverContext]:
    """Give what a host lends to a driver, until the block ends.

    Args:
        name: Of the driver.
        state_dir: A temporary folder by default.
        platform_on_loopback: Whether loopback addresses count as reachable.
        clock: The system's by default.
        put_timeout: Of the host's policy; as it is by default where not given.
    """
    workspace = Workspace()
    resources = Resources(clock=clock or SystemClock(), http=None)
    try:
        folder = Path(state_dir) if state_dir else await asyncio.to_thread(_new_folder, workspace)
        yield HostContext(
            name=name, state_dir=folder, platform_on_loopback=platform_on_loopback, resources=resources,
            put_timeout=HostPolicy().put_timeout if put_timeout is None else put_timeout,
        )  # fmt: skip
    finally:
        await resources.aclose()
        await asyncio.to_thread(workspace.close)


@asynccontextmanager
async def open_driver(
    spec: DriverSpec,
    *,
    platform_on_loopback: bool = True,
    clock: Clock | None = None,
    state_dir: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> AsyncIterator[Driver]:
    """Open a driver by its spec, with settings read as a host reads them; without any of a host's policy.

    Raises:
        ConfigurationError: A setting is unknown, missing or wrong.
        StorageError: As the driver says.
    """
    values = await asyncio.to_thread(_settings, spec, settings)
    async with (
        driver_context(
            name=spec.name, state_dir=state_dir, platform_on_loopback=platform_on_loopback, clock=clock
        ) as context,
        spec.open(values, context) as driver,
    ):
        yield driver


def _settings(spec: DriverSpec, given: dict[str, Any]) -> BaseModel | None:
    if spec.settings is None:
        if given:
            raise ConfigurationError(f"driver {spec.name!r} has no settings; got {', '.join(sorted(given))}")
        return None
    model: type[BaseModel] = spec.settings if isinstance(spec.settings, type) else spec.settings()
    return load_settings(model, spec.name, given)


def _new_folder(workspace: Workspace) -> Path:
    folder = workspace.file()
    folder.mkdir(mode=0o700)
    return folder
