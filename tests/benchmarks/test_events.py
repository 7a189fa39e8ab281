"""The benchmark of events counts what it says."""

from __future__ import annotations

import pytest

from benchmarks.events import running

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("what", ["minimal", "product"])
async def test_every_event_is_counted_with_its_delay(what: str) -> None:
    async with running(what, warm_up=100) as bot:
        burst = await bot.burst(300)
        held = await bot.hold(500, 0.2)
    assert burst["events"] == 300
    assert 0 < burst["seconds"] < 5
    assert burst["computed"] > 0
    assert 0 < held["events"] <= 100
    assert 0 < held["p99"] < 5
