"""Speaks QQ: bots for groups and private chats, written as for AmiyaBot.

::

    from bot_core import AmiyaBot, Chain, Message, qq_group

    bot = AmiyaBot(appid="...", token="...", adapter=qq_group(client_secret="..."))

    @bot.on_message(keywords="picture")
    async def show(data: Message):
        return Chain(data).text("look").image("cat.png")

    asyncio.run(bot.start())

The names here are promises. Each is imported when it is asked for: a command line need not wait for all of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bot_core.accounts import MultipleAccounts
    from bot_core.bot import AmiyaBot
    from bot_core.chain import Chain
    from bot_core.errors import WaitEventCancel, WaitEventOutOfFocus
    from bot_core.keyboard import InlineKeyboard
    from bot_core.message import Event, File, Message, Verify
    from bot_core.qq_group import QQGroupChainBuilder, QQGroupChainBuilderOptions, qq_group
    from bot_core.router import Equal, GroupConfig
    from bot_core.webhook import WebhookOptions
    from qqmedia import ChainBuilder

__all__ = (
    "AmiyaBot",
    "Chain",
    "ChainBuilder",
    "Equal",
    "Event",
    "File",
    "GroupConfig",
    "InlineKeyboard",
    "Message",
    "MultipleAccounts",
    "QQGroupChainBuilder",
    "QQGroupChainBuilderOptions",
    "Verify",
    "WaitEventCancel",
    "WaitEventOutOfFocus",
    "WebhookOptions",
    "qq_group",
)

_HOMES: Final = {
    "AmiyaBot": "bot_core.bot",
    "Chain": "bot_core.chain",
    "ChainBuilder": "qqmedia",
    "Equal": "bot_core.router",
    "Event": "bot_core.message",
    "File": "bot_core.message",
    "GroupConfig": "bot_core.router",
    "InlineKeyboard": "bot_core.keyboard",
    "Message": "bot_core.message",
    "MultipleAccounts": "bot_core.accounts",
    "QQGroupChainBuilder": "bot_core.qq_group",
    "QQGroupChainBuilderOptions": "bot_core.qq_group",
    "Verify": "bot_core.message",
    "WaitEventCancel": "bot_core.errors",
    "WaitEventOutOfFocus": "bot_core.errors",
    "WebhookOptions": "bot_core.webhook",
    "qq_group": "bot_core.qq_group",
}


class _Package(ModuleType):
    """This package: it imports a name when that is asked for first."""

    def __getattr__(self, name: str) -> Any:
        home = _HOMES.get(name)
        if home is not None:
            value = getattr(importlib.import_module(home), name)
            setattr(self, name, value)
            return value
        if name.startswith("_") or importlib.util.find_spec(f"{self.__name__}.{name}") is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return importlib.import_module(f"{self.__name__}.{name}")  # `bot_core.errors`, with no import of its own

    def __setattr__(self, name: str, value: object) -> None:
        # Whoever imports a module of the package `qq_group` would have it stand in the place of the function.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
