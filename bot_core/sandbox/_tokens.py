"""Access tokens: handing them out and checking them (PLATFORM 1.2, 1.3)."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from bot_core.sandbox._answers import RefusedCallError
from bot_core.sandbox._options import SandboxOptions

__all__ = ("TokenDesk",)

# In the last minute of a token the next one is handed out; both are good then.
_RENEWABLE_SECONDS: Final = 60

_SCHEME: Final = "QQBot "

# Tokens that ended are remembered, so that they are called expired rather than unknown.
_MOST_TOKENS: Final = 1000

APPID_INVALID: Final = 100007
PAIR_WRONG: Final = 100016
TOKEN_MISSING: Final = 11241
TOKEN_WRONG: Final = 11243
TOKEN_EXPIRED: Final = 11244
FIXED_TOKEN_DISABLED: Final = 11245


@dataclass(slots=True)
class _Token:
    value: str
    appid: str
    expires_at: float


class TokenDesk:
    """All access tokens of all bots."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._secrets = {account.appid: account.secret for account in options.accounts}
        self._current: dict[str, _Token] = {}
        self._tokens: OrderedDict[str, _Token] = OrderedDict()

    def issue(self, raw: bytes) -> dict[str, Any]:
        """Answer a request for a token; the same one until its last minute.

        Raises:
            RefusedCallError: With HTTP status 200, as the platform does it.
        """
        appid = self._check_pair(raw)
        now = self._options.clock()
        token = self._current.get(appid)
        if token is None or token.expires_at - now <= _RENEWABLE_SECONDS:
            token = _Token(secrets.token_urlsafe(48), appid, now + self._options.token_lifetime_seconds)
            self._current[appid] = self._tokens[token.value] = token
            if len(self._tokens) > _MOST_TOKENS:
                self._tokens.popitem(last=False)
        return {"access_token": token.value, "expires_in": str(int(token.expires_at - now))}

    def check(self, authorization: object) -> str:
        """Return the appid of a header ``Authorization: QQBot TOKEN``, or of the same string in a gateway frame.

        Raises:
            RefusedCallError: 401 with the platform's code.
        """
        if not authorization or not isinstance(authorization, str):
            raise RefusedCallError(401, TOKEN_MISSING, "the header Authorization (in a frame: `token`) is missing")
        if authorization.startswith("Bot "):
            raise RefusedCallError(401, FIXED_TOKEN_DISABLED, "fixed tokens are disabled; use an access token")
        if not authorization.startswith(_SCHEME):
            raise RefusedCallError(401, TOKEN_WRONG, "Authorization must be `QQBot ` and the access token")
        token = self._tokens.get(authorization[len(_SCHEME) :])
        if token is None:
            raise RefusedCallError(401, TOKEN_WRONG, "the access token is not known")
        if token.expires_at <= self._options.clock():
            raise RefusedCallError(401, TOKEN_EXPIRED, "token not exist or expire")
        return token.appid

    def revoke(self, appid: str | None) -> int:
        """End every token of a bot, or of all; return how many were good."""
        now = self._options.clock()
        ended = [token for token in self._tokens.values() if appid in (None, token.appid) and token.expires_at > now]
        for token in ended:
            token.expires_at = now
        return len(ended)

    def _check_pair(self, raw: bytes) -> str:
        try:
            body = json.loads(raw)
            appid, secret = body["appId"], body["clientSecret"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RefusedCallError(200, APPID_INVALID, "appid invalid") from None
        if not isinstance(appid, str) or not appid or not isinstance(secret, str) or not secret:
            raise RefusedCallError(200, APPID_INVALID, "appid invalid")
        if self._secrets:
            if appid not in self._secrets:
                raise RefusedCallError(200, APPID_INVALID, "appid invalid")
            if not secrets.compare_digest(self._secrets[appid].encode(), secret.encode()):
                raise RefusedCallError(200, PAIR_WRONG, "appid or secret wrong")
        return appid
