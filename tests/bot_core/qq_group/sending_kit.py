"""An adapter whose pauses take no time, and whose clocks a test can move."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from bot_core.adapter import MessageHandle
from bot_core.chain import Chain
from bot_core.message import Message
from bot_core.qq_group import QQGroupAdapter, QQGroupChainBuilderOptions
from bot_core.qq_group.settings import AdapterSettings
from bot_core.qq_group.timing import Timing
from bot_core.sandbox import Said, Sandbox
from tests.bot_core.qq_group.conftest import Answer, Bot, running


class Time:
    """Moves on when somebody sleeps, and by no other means."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.later = 0.0  # of the wall clock

    def clock(self) -> float:
        return self.now

    def wall_clock(self) -> float:
        return time.time() + self.later

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def timing(self) -> Timing:
        return Timing(clock=self.clock, wall_clock=self.wall_clock, sleep=self.sleep, chance=lambda: 0.5)


class Kit:
    """A sandbox, a clock, and bots beside them."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.time = Time()
        self._folder = folder

    def adapter(self, appid: str = "1020", **settings: Any) -> QQGroupAdapter:
        settings.setdefault("api_base", self.sandbox.api_base)
        settings.setdefault("inline_limit", 3_670_016)
        settings.setdefault("options", QQGroupChainBuilderOptions("127.0.0.1", 0, str(self._folder / "resource")))
        return QQGroupAdapter(appid, AdapterSettings(client_secret="secret", timing=self.time.timing, **settings))

    def start(self, answer: Answer = lambda _: None, **settings: Any) -> AbstractAsyncContextManager[Bot]:
        return running(self.adapter(**settings), answer, self.sandbox)

    async def hear(self, bot: Bot, text: str = "hi", **where: Any) -> tuple[Said, Message]:
        """Say something, and return it with the message that the bot got."""
        said = await self.sandbox.say(text, **where)
        await bot.until(lambda: any(isinstance(one, Message) and one.message_id == said.id for one in bot.received))
        [message] = [one for one in bot.received if isinstance(one, Message) and one.message_id == said.id]
        return said, message


def text(data: Message, words: str = "hello") -> Chain:
    return Chain(data, at=False).text(words)


def many(data: Message | None, messages: int) -> Chain:
    """A chain that needs so many messages."""
    chain = Chain(data, at=False)
    for number in range(messages):
        chain.markdown_content(f"part {number + 1}")
    return chain


def arrived(sandbox: Sandbox) -> list[tuple[str | None, int]]:
    """Return what every message that arrived answers, and its number."""
    return [(one.msg_id, one.msg_seq) for one in sandbox.arrived]


async def send(bot: Bot, chain: Chain, **options: Any) -> list[MessageHandle]:
    return await bot.adapter.send_chain(chain, **options)
