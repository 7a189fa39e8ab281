"""The driver beside a dict, under any sequence of calls."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from qqmedia.driver import Driver
from qqmedia.testing._conformance._base import ConformanceBase
from qqmedia.testing._conformance._stateful import DriverMachine

__all__ = ("Modelling",)


class Modelling(ConformanceBase):
    """The driver as a whole."""

    @pytest.mark.asyncio
    async def test_any_sequence_of_calls_does_what_a_dict_does(self, driver: Driver) -> None:
        """Puts, finds, deletes, removals behind its back, in any order; a failure shows the shortest that fails.

        The sequences are the same in every run, so that a driver does not fail now and then.
        """
        loop = asyncio.get_running_loop()
        limits = settings(
            max_examples=20, stateful_step_count=12, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        async with self.client() as client:

            def machine() -> DriverMachine:
                return DriverMachine(driver, loop=loop, client=client, read=self.read, remove=self.remove)

            factory = cast("type[DriverMachine]", machine)  # any callable will do; its annotation knows classes only
            await asyncio.to_thread(run_state_machine_as_test, factory, settings=limits)
