"""A QQ open platform on loopback, for development and tests: the same HTTP and WebSocket surface, no account.

::

    async with Sandbox.open() as sandbox:            # QQ_API_BASE=sandbox.api_base QQ_TOKEN_URL=sandbox.token_url
        said = await sandbox.say("picture", group="friends")
        [answer] = await sandbox.replies(said)
        assert answer.media.content_type == "image/png"

It is written against what is known of the platform, not against this project's client: they share values, no logic.
"""

from __future__ import annotations

from bot_core.sandbox._faults import FAULT_KINDS, Fault, FaultMode, Faults
from bot_core.sandbox._option_groups import ChunkOptions, ImageStoreOptions, LimitOptions
from bot_core.sandbox._options import SandboxAccount, SandboxOptions
from bot_core.sandbox._sandbox import DEFAULT_GROUP, DEFAULT_USER, Sandbox
from bot_core.sandbox._values import (
    Acknowledged,
    Arrived,
    ArrivedMedia,
    ArrivedPicture,
    Connection,
    Happening,
    Recalled,
    Refused,
    Said,
    Undelivered,
    UploadCall,
)
from bot_core.sandbox._webhook import Webhook, WebhookTry

__all__ = (
    "DEFAULT_GROUP",
    "DEFAULT_USER",
    "FAULT_KINDS",
    "Acknowledged",
    "Arrived",
    "ArrivedMedia",
    "ArrivedPicture",
    "ChunkOptions",
    "Connection",
    "Fault",
    "FaultMode",
    "Faults",
    "Happening",
    "ImageStoreOptions",
    "LimitOptions",
    "Recalled",
    "Refused",
    "Said",
    "Sandbox",
    "SandboxAccount",
    "SandboxOptions",
    "Undelivered",
    "UploadCall",
    "Webhook",
    "WebhookTry",
)
