"""Which way a bot's events go: by webhook, over the gateway, or both."""

from __future__ import annotations

from bot_core.errors import SandboxError
from bot_core.sandbox._desks import Face
from bot_core.sandbox._webhook import Webhook

__all__ = ("Switching",)


class Switching(Face):
    """The console's choice between webhook and WebSocket."""

    async def use_webhook(
        self,
        url: str,
        secret: str,
        *,
        appid: str | None = None,
        both: bool = False,
        retries: int = 3,
        timeout: float = 5.0,
        pause: float = 1.0,
        ca_file: str | None = None,
    ) -> Webhook:
        """Validate a bot's address as the console does, and send its events there from now on.

        Args:
            url: The address.
            secret: The bot's secret.
            appid: Which bot; else the account of this sandbox.
            both: Send every event by the gateway as well; the bot must be connected there.
            retries: How often an event is sent again after another answer than 200, ``"d":1``, or none in time.
            timeout: Seconds that an answer may take.
            pause: Seconds before it is sent again.
            ca_file: Certificates to trust besides, as PEM; the real platform takes public ones only.

        Raises:
            SandboxError: The address does not answer, or proves another secret; or no bot is connected for `both`.
            ValueError: A number makes no sense.
        """
        appid = appid or self.account.appid
        sessions = self._desks.gateway.sessions
        if both:
            await sessions.session_for(appid, 0, self.options.connect_timeout_seconds)
        return await self._desks.webhooks.use(
            appid,
            url,
            secret,
            retries=retries,
            timeout_seconds=timeout,
            pause_seconds=pause,
            ca_file=ca_file,
            session=(lambda: next(iter(sessions.usable(appid, 0)), None)) if both else None,
        )

    async def use_gateway(self, *, appid: str | None = None) -> None:
        """Send a bot's events over the gateway again; what is on its way to the webhook is given up.

        Raises:
            SandboxError: They do not go to a webhook.
        """
        appid = appid or self.account.appid
        if not await self._desks.webhooks.drop(appid):
            raise SandboxError(f"the events of bot {appid} do not go to a webhook")
