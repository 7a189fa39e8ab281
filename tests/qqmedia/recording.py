"""A driver whose life is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pydantic

from qqmedia import DriverContext, DriverSpec, Upload, hookimpl

__all__ = ("Recording", "Settings")


class Settings(pydantic.BaseModel):
    bucket: str
    size: int = 1


class Recording:
    """A driver whose opening, check and closing are seen."""

    def __init__(self, *, fails: Exception | None = None, check: Exception | None = None) -> None:
        self.fails, self._check = fails, check
        self.life: list[str] = []
        self.settings: Settings | None = None
        self.context: DriverContext | None = None
        self.task: asyncio.Task[Any] | None = None

    @hookimpl
    def qqmedia_register_drivers(self) -> list[DriverSpec]:
        return [DriverSpec(name="recording", settings=lambda: Settings, open=self._open, extra="recording")]

    @asynccontextmanager
    async def _open(self, settings: Settings, context: DriverContext) -> AsyncIterator[Recording]:
        self.settings, self.context, self.task = settings, context, asyncio.current_task()
        self.life.append("open")
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        yield self
        assert asyncio.current_task() is self.task, "left in another task than entered"
        self.life.append("close")

    async def check(self) -> None:
        self.life.append("check")
        if self._check:
            raise self._check

    async def put(self, upload: Upload, /) -> str:
        return f"https://pics.example/{upload.key}"
