"""A running adapter beside a sandbox, without the bot around it: handlers are plain coroutine functions."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from PIL import Image as Picture

from bot_core.adapter import MessageHandle
from bot_core.chain import Chain
from bot_core.message import Event, Message
from bot_core.qq_group import QQGroupAdapter, QQGroupChainBuilderOptions, qq_group
from bot_core.sandbox import Sandbox
from qqmedia import HostPolicy, MediaHost
from qqmedia.testing import MemoryDriver, memory_host

Answer: TypeAlias = Callable[[Message], Chain | None]


def png(shade: int = 0, side: int = 8) -> bytes:
    """A picture that differs from others by its shade."""
    out = io.BytesIO()
    Picture.new("RGB", (side, side), (shade % 256, shade // 256, 99)).save(out, "PNG")
    return out.getvalue()


def wav(seconds: float = 0.5, rate: int = 24000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        frames = int(seconds * rate)
        file.writeframes(b"".join((i % 100 * 100).to_bytes(2, "little") for i in range(frames)))
    return out.getvalue()


def mp4(size: int = 2000) -> bytes:
    """Enough of a video for everybody who looks at the first bytes."""
    return b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(size)


class Bot:
    """What a test holds: the adapter, and what its handlers got and sent."""

    def __init__(self, adapter: QQGroupAdapter, answer: Answer) -> None:
        self.adapter = adapter
        self.answer = answer
        self.received: list[Message | Event] = []
        self.handles: list[MessageHandle] = []
        self.errors: list[Exception] = []
        self.progress = asyncio.Event()

    async def handle(self, message: Message | Event) -> None:
        self.received.append(message)
        try:
            chain = self.answer(message) if isinstance(message, Message) else None
            if chain is not None:
                self.handles += await self.adapter.send_chain(chain)
        except Exception as error:  # noqa: BLE001 - what a bot does: one handler's error is not another's
            self.errors.append(error)
        self.progress.set()

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not done():
                self.progress.clear()
                await self.progress.wait()

    async def error(self) -> Exception:
        await self.until(lambda: self.errors)
        return self.errors.pop()


Start: TypeAlias = Callable[..., AbstractAsyncContextManager[Bot]]


@asynccontextmanager
async def running(adapter: QQGroupAdapter, answer: Answer, sandbox: Sandbox | None = None) -> AsyncIterator[Bot]:
    bot = Bot(adapter, answer)
    async with adapter.open(), asyncio.TaskGroup() as tasks:

        async def receive(message: Message | Event) -> None:
            tasks.create_task(bot.handle(message), name="handler")

        tasks.create_task(adapter.listen(receive), name="listen")
        try:
            if sandbox is not None:
                await sandbox.connected(appid=adapter.appid)
            yield bot
        finally:
            adapter.stop()


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open() as opened:
        yield opened


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Any) -> Start:
    """Start a bot beside the sandbox; its media server takes any free port."""

    def start_bot(answer: Answer, appid: str = "1020", **settings: Any) -> AbstractAsyncContextManager[Bot]:
        settings.setdefault(
            "default_chain_builder_options", QQGroupChainBuilderOptions("127.0.0.1", 0, str(tmp_path / "resource"))
        )
        make = qq_group("secret", api_base=sandbox.api_base, **settings)
        return running(make(appid, ""), answer, sandbox)

    return start_bot


Handler: TypeAlias = Callable[[Message], Awaitable[None]]


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest_asyncio.fixture
async def host(driver: MemoryDriver) -> AsyncIterator[MediaHost]:
    """A host whose driver a test makes fail; it gives up at once."""
    async with memory_host(driver, policy=HostPolicy(retry_wait=0.0, retries=0, put_timeout=0.2)) as host:
        yield host
