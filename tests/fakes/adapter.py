"""An adapter without a platform: tests say what people write, and see what the bot sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bot_core import AmiyaBot, Chain, Event, Message
from bot_core.adapter import MessageHandle, Receive, Response
from bot_core.elements import At, Text

GROUP = "G1"
USER = "U1"


class FakeAdapter:
    """Implements the whole contract of `bot_core.adapter.Adapter`."""

    def __init__(self, appid: str, token: str = "") -> None:
        self.appid = appid
        self.bot_name = "fake"
        self.shutdown_grace = 0.5
        self.max_handlers = 256
        self.sent: list[Chain] = []
        self.recalled: list[tuple[str, Any]] = []
        self.proactive: list[tuple[Chain, str, str]] = []
        self.opened = 0
        self.closed = 0
        self.fatal: Exception | None = None
        self.on_send: Callable[[Chain], Any] | None = None
        self.listening = asyncio.Event()
        self._stopped = asyncio.Event()
        self._receive: Receive | None = None
        self._more = asyncio.Event()
        self._count = 0

    @property
    def api(self) -> Any:
        return None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.opened += 1
        try:
            yield
        finally:
            self.closed += 1

    async def listen(self, receive: Receive) -> None:
        if self.fatal is not None:
            raise self.fatal
        self._receive = receive
        self.listening.set()
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def send_chain(self, chain: Chain, *, timeout: float | None = None) -> list[MessageHandle]:
        if self.on_send is not None:
            await self.on_send(chain)
        self.sent.append(chain)
        self._more.set()
        parts = max(1, sum(not isinstance(element, (At, Text)) for element in chain.chain)) if chain.chain else 0
        return [self._handle(chain.data) for _ in range(parts)]

    async def send_message(
        self, chain: Chain, user_id: str = "", channel_id: str = "", direct_src_guild_id: str = ""
    ) -> list[MessageHandle]:
        self.proactive.append((chain, user_id, channel_id))
        return [self._handle(chain.data)]

    async def recall_message(self, message_id: str, data: Any = None) -> None:
        self.recalled.append((message_id, data))

    def _handle(self, data: Message | None) -> MessageHandle:
        self._count += 1
        return MessageHandle(self, data, Response({"id": f"S{self._count}"}), f"S{self._count}", "target")

    # What people do

    def message(
        self, text: str, *, user: str = USER, group: str = GROUP, direct: bool = False, at: bool = False
    ) -> Message:
        self._count += 1
        message = Message(self, {"content": text})
        message.set_text(text)
        message.message_id = f"M{self._count}"
        message.user_id = message.user_openid = user
        message.is_direct = direct
        message.is_at = at
        if not direct:
            message.channel_id = message.channel_openid = group
        return message

    async def say(self, text: str, **where: Any) -> Message:
        message = self.message(text, **where)
        await self.receive(message)
        return message

    async def happen(self, name: str, **data: Any) -> Event:
        event = Event(self, name, data)
        await self.receive(event)
        return event

    async def receive(self, item: Message | Event) -> None:
        assert self._receive is not None, "the bot is not running"
        await self._receive(item)

    async def arrived(self, count: int = 1) -> list[str]:
        """Return the texts that were sent, as soon as there are `count`."""
        async with asyncio.timeout(2):
            while len(self.sent) < count:
                self._more.clear()
                await self._more.wait()
        return self.texts

    @property
    def texts(self) -> list[str]:
        return ["".join(e.content for e in chain.chain if isinstance(e, Text)) for chain in self.sent]


def make_bot(appid: str = "1001") -> tuple[AmiyaBot, FakeAdapter]:
    bot = AmiyaBot(appid=appid, token="unused", adapter=FakeAdapter)
    assert isinstance(bot.instance, FakeAdapter)
    return bot, bot.instance


@asynccontextmanager
async def running(*bots: Any) -> AsyncIterator[None]:
    """Run bots (or a `MultipleAccounts`) while the block runs."""
    tasks = [asyncio.create_task(bot.start()) for bot in bots]
    try:
        adapters: list[Any] = [b.instance for bot in bots for b in ([bot] if isinstance(bot, AmiyaBot) else bot)]
        for adapter in adapters:
            async with asyncio.timeout(2):
                await adapter.listening.wait()
        yield
    finally:
        for bot in bots:
            await bot.close()
        await asyncio.gather(*tasks)


async def settled() -> None:
    """Let everything run that can run without more input."""
    for _ in range(20):
        await asyncio.sleep(0)
