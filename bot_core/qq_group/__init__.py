"""QQ groups and private chats: the adapter that `AmiyaBot` is given.

::

    bot = AmiyaBot(appid="...", token="...", adapter=qq_group(client_secret="..."))

`events` reads what comes in, `render` plans what goes out, `uploads` decides which way each medium goes, `reply` keeps
count, `sending` puts them together.
"""

from __future__ import annotations

from bot_core.qq_group.adapter import QQGroupAdapter
from bot_core.qq_group.attachments import Attachment
from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.qq_group.factory import qq_group
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.qq_group.reply import ReplyLimits

__all__ = (
    "Attachment",
    "QQGroupAdapter",
    "QQGroupChainBuilder",
    "QQGroupChainBuilderOptions",
    "ReplyLimits",
    "qq_group",
)
