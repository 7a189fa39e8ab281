from __future__ import annotations

from typing import Any

import pytest

from qqmedia import Reach, SupportsDelete, SupportsReach
from qqmedia_drivers.direct import qqmedia_register_drivers


@pytest.mark.asyncio
async def test_it_hosts_nothing_and_says_so(context: Any, make_upload: Any) -> None:
    spec = qqmedia_register_drivers()
    assert spec.name == "direct"
    assert spec.settings is None
    async with spec.open(None, context) as driver:
        assert await driver.put(make_upload()) is None
        assert isinstance(driver, SupportsReach)
        assert driver.reach is Reach.PRIVATE
        assert not isinstance(driver, SupportsDelete)
