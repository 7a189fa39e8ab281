"""Receiving by webhook: events come by signed POST instead of over the WebSocket (PLATFORM 5).

`signature` proves who sent a request, `server` listens (one for all bots that name the same address), `receiver` is one
bot's part of it, `check` calls an address as the platform would.
"""

from __future__ import annotations

from bot_core.webhook.options import WebhookOptions
from bot_core.webhook.receiver import Receiver, WebhookReceiver

__all__ = ("Receiver", "WebhookOptions", "WebhookReceiver")
