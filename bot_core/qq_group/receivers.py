"""Which way events come in: over the gateway, by webhook, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot_core.gateway.actions import Dispatch
from bot_core.webhook import WebhookOptions, WebhookReceiver
from bot_core.webhook.receiver import BothReceivers, Receiver

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.connection import Connection
    from bot_core.qq_group.settings import AdapterSettings

__all__ = ("new_receiver",)

_DEFAULT: Final = WebhookOptions()


def new_receiver(appid: str, settings: AdapterSettings, connection: Connection) -> Receiver:
    """Return what `receive` asks for; it receives nothing yet."""
    if settings.receive == "ws":
        return connection.new_cluster(settings)
    options = settings.webhook or _DEFAULT

    async def log_in() -> Dispatch:
        return await _ready(connection.api)

    if settings.receive == "webhook":
        return WebhookReceiver(appid, settings.client_secret, options, log_in=log_in)
    webhook = WebhookReceiver(appid, settings.client_secret, options)
    return BothReceivers(connection.new_cluster(settings), webhook)


async def _ready(api: OpenAPIClient) -> Dispatch:
    """Prove appid and secret, and return what READY of the gateway tells."""
    me = await api.get_me()
    return Dispatch("", "READY", {"user": {"id": me.id, "username": me.username}}, None)
