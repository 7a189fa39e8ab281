"""Which bots get their events by webhook, and where."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import aiohttp

from bot_core.errors import SandboxError
from bot_core.sandbox._faults import Faults
from bot_core.sandbox._record import Record
from bot_core.sandbox._session import Session
from bot_core.sandbox._webhook import Webhook

__all__ = ("Webhooks",)


class Webhooks:
    """The addresses of all bots."""

    def __init__(self, faults: Faults, record: Record) -> None:
        self._faults = faults
        self._record = record
        self._http: aiohttp.ClientSession | None = None
        self._by_appid: dict[str, Webhook] = {}

    @property
    def appids(self) -> set[str]:
        """The bots that have one."""
        return set(self._by_appid)

    def get(self, appid: str | None) -> Webhook | None:
        """Return the address of this bot, or the only one that there is."""
        if appid is None:
            return next(iter(self._by_appid.values())) if len(self._by_appid) == 1 else None
        return self._by_appid.get(appid)

    async def use(
        self,
        appid: str,
        url: str,
        secret: str,
        *,
        retries: int,
        timeout_seconds: float,
        pause_seconds: float,
        ca_file: str | None,
        session: Callable[[], Session | None] | None,
    ) -> Webhook:
        """Validate an address, and send the bot's events there from now on.

        Raises:
            SandboxError: The validation failed, the secret is empty, or `ca_file` cannot be used.
            ValueError: A number makes no sense.
        """
        if type(retries) is not int or retries < 0 or not timeout_seconds > 0 or not pause_seconds >= 0:
            raise ValueError(
                "a webhook's retries and pause must be 0 or more, and its timeout more than 0, "
                f"got {retries=}, pause={pause_seconds!r}, timeout={timeout_seconds!r}"
            )
        try:
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file) if ca_file is not None else None
        except OSError as error:  # ssl.SSLError is one
            raise SandboxError(f"ca_file {ca_file} cannot be used: {error.strerror or error}") from error
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        webhook = Webhook(
            self._http,
            appid,
            url,
            secret,
            retries=retries,
            timeout_seconds=timeout_seconds,
            pause_seconds=pause_seconds,
            tls=tls,
            faults=self._faults,
            record=self._record,
            session=session,
        )
        await webhook.validate()
        before = self._by_appid.get(appid)
        self._by_appid[appid] = webhook
        if before is not None:
            await before.close()
        return webhook

    async def drop(self, appid: str) -> bool:
        """Send the events of a bot over the gateway again; return whether they went elsewhere."""
        webhook = self._by_appid.pop(appid, None)
        if webhook is None:
            return False
        await webhook.close()
        return True

    async def close(self) -> None:
        """Give up what is under way, and disconnect."""
        for webhook in self._by_appid.values():
            await webhook.close()
        self._by_appid.clear()
        if self._http is not None:
            await self._http.close()
            self._http = None
