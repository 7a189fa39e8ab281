"""What the tests of the ways out look at: what arrived, and what the log says of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bot_core.sandbox import Arrived, Sandbox

__all__ = ("media", "warnings")


def warnings(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and words in one.getMessage()]


async def media(sandbox: Sandbox) -> Any:
    arrived: Arrived = await sandbox.next_arrival()
    assert arrived.media is not None
    return arrived.media
