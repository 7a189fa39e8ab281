"""The HTTP proxy that somebody names, whose password is shown nowhere. Importing this module imports aiohttp."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from qqmedia.errors import ConfigurationError

__all__ = ("ProxyConnector", "check_proxy")

_EXAMPLE: Final = "http://127.0.0.1:7890, or http://user:password@proxy.example.com:3128"


def check_proxy(proxy: object) -> None:
    """Refuse what is no address of an HTTP proxy; aiohttp would only say so at every request.

    Raises:
        ConfigurationError: It does not repeat the address where a password may be in it.
    """
    if proxy is None:
        return
    given = "" if not isinstance(proxy, str) or "@" in proxy else f", got {proxy!r}"
    wrong = ConfigurationError(f"proxy must be the address of an HTTP proxy, such as {_EXAMPLE}{given}")
    if not isinstance(proxy, str) or any(one.isspace() or not one.isprintable() for one in proxy):
        raise wrong
    try:
        parts = urlsplit(proxy)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and bool(URL(proxy).host)
    except ValueError:
        right = False
    if not right:
        raise wrong from None


class ProxyConnector(aiohttp.TCPConnector):
    """A connector whose errors do not show the proxy's password: those of aiohttp hold its whole URL."""

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        """Connect as `aiohttp.TCPConnector` does.

        Raises:
            aiohttp.ClientConnectionError: The proxy refuses; or any other of aiohttp's errors.
        """
        try:
            return await super().connect(*arguments, **named)
        except aiohttp.ClientHttpProxyError as error:
            refusal = _refusal(error)
        raise refusal  # out here, so that the other error hangs on it nowhere


def _refusal(error: aiohttp.ClientHttpProxyError) -> aiohttp.ClientConnectionError:
    url = error.request_info.real_url
    advice = "; the user and password in its address are not right" if error.status == 407 else ""  # noqa: PLR2004
    words = f" {error.message}" if error.message else ""
    return aiohttp.ClientConnectionError(f"the proxy at {url.host}:{url.port} answered {error.status}{words}{advice}")
