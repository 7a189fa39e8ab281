"""Keeps the bot's access token fresh, with one request in flight."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final

import aiohttp

from bot_core.errors import AuthenticationError, OpenAPIError
from bot_core.openapi.answers import no_answer, read_answer
from bot_core.openapi.values import DEFAULT_TOKEN_URL, as_int

__all__ = ("AccessTokenSource",)

# The platform makes a new token only in the last 60 s of the old one; both work then. Earlier is useless.
_RENEW_EARLY_SECONDS: Final = 60.0

# While the old token still works, a failed or useless renewal is not repeated sooner than this.
_RENEW_PAUSE_SECONDS: Final = 5.0

# What the platform promises where it does not say.
_DEFAULT_LIFETIME_SECONDS: Final = 7200

# `start()` must tell a wrong secret within 5 s of the answer; the platform answers in well under one.
_TIMEOUT_SECONDS: Final = 10.0

# What a server says at a path that is not its.
_NOT_THERE: Final = (404, 405)

logger = logging.getLogger("bot_core.openapi")


class AccessTokenSource:
    """Gives the token that is valid now.

    Args:
        http: Shared session; not closed here.
        appid: The account.
        client_secret: Never shown anywhere.
        token_url: The whole address of ``getAppAccessToken``.
        timeout: Seconds that one request may take.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        appid: str,
        client_secret: str,
        token_url: str = DEFAULT_TOKEN_URL,
        timeout: float = _TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.appid = appid
        self._http = http
        self._secret = client_secret
        self._url = token_url
        self._timeout = timeout
        self._clock = clock
        self._token = ""
        self._renewed_at = 0.0
        self._renew_at = 0.0
        self._expires_at = 0.0
        self._flight: asyncio.Task[str] | None = None
        self._waiters = 0

    def __repr__(self) -> str:
        return f"<AccessTokenSource of {self.appid}>"

    async def get(self) -> str:
        """Return a token that is valid for a while yet; those who ask at the same time share one request.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            RateLimitedError: It was asked too often.
            OpenAPIError: No usable answer; this passes.
        """
        if self._token and self._clock() < self._renew_at:
            return self._token
        # Owned by those who wait for it: the last one to be cancelled takes it along.
        flight = self._flight
        if flight is None or flight.done():
            flight = self._flight = asyncio.create_task(self._renew(), name=f"access token of {self.appid}")
            self._waiters = 0
        self._waiters += 1
        try:
            return await asyncio.shield(flight)
        finally:
            if flight is self._flight:
                self._waiters -= 1
                if not self._waiters:
                    self._flight = None
                    flight.cancel()

    def invalidate(self, token: str) -> None:
        """Forget the token, unless another one has taken its place already."""
        if self._token == token:
            self._token = ""

    def doubt(self, *, older_than: float) -> None:
        """Ask for one anew next time, if the last one came more seconds ago; should none come, the old one serves."""
        if self._clock() - self._renewed_at >= older_than:
            self._renew_at = -math.inf

    async def _renew(self) -> str:
        old = self._token
        try:
            token, lifetime = await self._fetch()
        except AuthenticationError:
            raise
        except OpenAPIError as error:
            now = self._clock()
            if not old or self._token != old or now >= self._expires_at:
                raise
            self._renew_at = min(now + _RENEW_PAUSE_SECONDS, self._expires_at)
            logger.warning("could not renew the access token, the old one is still good: %s", error)
            return old
        now = self._renewed_at = self._clock()
        self._token, self._expires_at = token, now + lifetime
        pause = min(_RENEW_PAUSE_SECONDS, lifetime / 2)
        self._renew_at = max(self._expires_at - _RENEW_EARLY_SECONDS, now + pause)
        logger.debug("access token of %s is good for %d s", self.appid, lifetime)
        return token

    async def _fetch(self) -> tuple[str, int]:
        call, path = f"POST {self._url}", "/app/getAppAccessToken"
        try:
            async with self._http.post(
                self._url,
                json={"appId": self.appid, "clientSecret": self._secret},
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                allow_redirects=False,
            ) as response:
                body, status, headers = await response.read(), response.status, response.headers
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise no_answer(call, path, error, seconds=self._timeout) from error
        try:
            answer = read_answer(
                call, path, status=status, headers=headers, body=body, success="access_token", secret=self._secret
            )
        except OpenAPIError as error:
            if error.status not in _NOT_THERE:
                raise
            raise error.retold(
                f"{error} - QQ_TOKEN_URL (token_url=...) is the whole address, {path} included"
            ) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise OpenAPIError(
                f"{call} failed: the answer (HTTP {status}) has no access_token", status=status, path=path
            )
        return token, max(1, as_int(answer.get("expires_in"), _DEFAULT_LIFETIME_SECONDS))
