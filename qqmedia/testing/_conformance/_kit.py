"""The kit that proves a driver: one promise of the contract a test, and the test's name is the promise."""

from __future__ import annotations

from qqmedia.testing._conformance._base import DriverAt
from qqmedia.testing._conformance._cancelling import Cancelling
from qqmedia.testing._conformance._chain_builder import ChainBuilderConformance
from qqmedia.testing._conformance._failing import Failing
from qqmedia.testing._conformance._hosting import Hosting
from qqmedia.testing._conformance._modelling import Modelling
from qqmedia.testing._conformance._secrecy import Secrecy, Settings
from qqmedia.testing._conformance._stateful import DriverMachine
from qqmedia.testing._conformance._storing import Abilities, Storing

__all__ = ("ChainBuilderConformance", "DriverAt", "DriverConformance", "DriverMachine")


class DriverConformance(Storing, Abilities, Cancelling, Failing, Secrecy, Settings, Hosting, Modelling):
    """Proves a driver.

    Inherit it, and write one fixture and two back doors::

        class TestWebDAV(DriverConformance):
            @pytest_asyncio.fixture
            async def driver(self, server: Server) -> AsyncIterator[Driver]:
                self.folder = server.folder
                async with open_driver(SPEC, url=server.url) as driver:
                    yield driver

            async def read(self, key: str) -> bytes | None: ...    # without the driver

            async def remove(self, key: str) -> None: ...          # without the driver

    The fixture may stand in a ``conftest.py``. These fixtures are optional and stand in the class; without one, the
    tests that need it are skipped and say so:

    ======================  ======================================================================================
    ``faulty``              a `DriverAt`: how to open the driver at another address, where the kit's proxy stands
    ``wrong_credentials``   an async context manager that opens the driver with credentials which the store refuses
    ``secrets``             the values that must never show (of ``wrong_credentials`` too)
    ``opener``              a function that returns an async context manager: opens the driver once more; where there
                            is a ``faulty``, its `DriverAt.open` is taken
    ``spec``                the `qqmedia.DriverSpec`, for its settings
    ======================  ======================================================================================

    What may be overridden: `read`, `remove`, `leftovers`, `client`, `url_expires_at`, `memory_limit_bytes`. Abilities
    that a driver does not have (`qqmedia.SupportsDelete` ...) are skipped by name.

    It needs ``pip install "qqmedia[testing]"``, works in both modes of pytest-asyncio and under strict settings, and
    has no markers of its own.
    """
