"""For tests of bots and of drivers: a driver in memory with a host over it, and the kit that proves a driver.

::

    async with qqmedia.testing.memory_host() as host:
        url = await host.get_image(png_bytes)      # answers a plain GET until the block ends

    class TestMyDriver(qqmedia.testing.DriverConformance):
        ...                                        # one fixture, two back doors: docs/test-a-driver.md

It needs ``pip install "qqmedia[testing]"``. What is for pytest and Hypothesis is loaded when it is first asked for, so
that `memory_host` does without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from qqmedia._context import Clock, SystemClock
from qqmedia._fetch import NameResolver, Resolved
from qqmedia.testing._clock import ManualClock
from qqmedia.testing._memory import MemoryDriver, StoredMedia, memory_host
from qqmedia.testing._opening import driver_context, open_driver
from qqmedia.testing._proxy import FaultyProxy, faulty_proxy
from qqmedia.testing._uploads import make_content, make_upload

if TYPE_CHECKING:
    from qqmedia.testing._conformance._kit import (
        ChainBuilderConformance,
        DriverAt,
        DriverConformance,
        DriverMachine,
    )
    from qqmedia.testing._strategies import media_of, object_keys, uploads

__all__ = (
    "ChainBuilderConformance",
    "Clock",
    "DriverAt",
    "DriverConformance",
    "DriverMachine",
    "FaultyProxy",
    "ManualClock",
    "MemoryDriver",
    "NameResolver",
    "Resolved",
    "StoredMedia",
    "SystemClock",
    "driver_context",
    "faulty_proxy",
    "make_content",
    "make_upload",
    "media_of",
    "memory_host",
    "object_keys",
    "open_driver",
    "uploads",
)

_KIT: Final = {
    "ChainBuilderConformance": "_conformance._kit",
    "DriverAt": "_conformance._kit",
    "DriverConformance": "_conformance._kit",
    "DriverMachine": "_conformance._kit",
    "media_of": "_strategies",
    "object_keys": "_strategies",
    "uploads": "_strategies",
}
_BROUGHT_BY_THE_EXTRA: Final = frozenset({"hypothesis", "pytest", "pytest_asyncio"})


def __getattr__(name: str) -> Any:
    """Load a part of the kit.

    Raises:
        AttributeError: There is no such name.
        ImportError: What it needs is not installed.
    """
    if name not in _KIT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_KIT[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _BROUGHT_BY_THE_EXTRA:
            raise
        raise ImportError(
            f'{__name__}.{name} needs {error.name}; run: pip install "qqmedia[testing]"', name=error.name
        ) from error
