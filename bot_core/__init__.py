"""Speaks QQ: bots for groups and private chats, written as for AmiyaBot.

::

    from bot_core import AmiyaBot, Chain, Message, qq_group

    bot = AmiyaBot(appid="...", token="...", adapter=qq_group(client_secret="..."))

    @bot.on_message(keywords="picture")
    async def show(data: Message):
        return Chain(data).text("look").image("cat.png")

    asyncio.run(bot.start())

The names here are promises.
"""

from __future__ import annotations

from bot_core.accounts import MultipleAccounts
from bot_core.bot import AmiyaBot
from bot_core.chain import Chain
from bot_core.errors import WaitEventCancel, WaitEventOutOfFocus
from bot_core.keyboard import InlineKeyboard
from bot_core.message import Event, File, Message, Verify

# The function has the name of its package, so it is bound here, once and for all: were it bound on demand, whoever had
# imported a module of that package before would find the package under this name.
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
