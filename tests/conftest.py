"""Guards that hold for every test: nothing blocks the event loop, nothing is read from the developer's environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def _loop_guard(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Fail a test whose event loop is blocked by file, socket or sleep calls."""
    if request.node.get_closest_marker("blocking"):
        yield None
        return
    with blockbuster_ctx() as guard:
        yield guard


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away settings of this machine, and run in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("QQMEDIA_", "QQ_", "QQBOT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QQMEDIA_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
