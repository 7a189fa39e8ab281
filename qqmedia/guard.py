"""HTTP to addresses that a stranger may have written: nothing of this machine or of a private network is reached.

Only http and https; whatever a name resolves to is judged, and what was judged is what is connected to, because the
connector asks this module's resolver. Redirects are followed by hand, each one judged again. Importing this module
imports aiohttp, so `import qqmedia` does not.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.request import getproxies

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qqmedia._reach import is_public_address
from qqmedia.errors import MediaSourceError
from qqmedia.proxy import ProxyConnector

__all__ = ("ForbiddenAddressError", "GuardedSession", "NameResolver", "Resolved", "SystemResolver", "shown_url")

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SHOWN_CHARACTERS: Final = 120


class ForbiddenAddressError(MediaSourceError):
    """The address is not one that anybody on the internet may reach, so nothing was sent there."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One address of a name.

    Attributes:
        address: What the name means; this is judged.
        connect_to: Where the socket goes instead. Only for tests, where a public name stands on loopback.
    """

    address: str
    connect_to: str | None = None


class NameResolver(Protocol):
    """Says what a host name means."""

    async def resolve(self, name: str) -> Sequence[Resolved]:
        """Return all addresses of the name; raise `OSError` when there are none."""
        ...


class SystemResolver:
    """Asks the system."""

    async def resolve(self, name: str) -> Sequence[Resolved]:
        """Return all addresses of the name."""
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return [Resolved(str(entry[4][0])) for entry in found]


class GuardedSession:
    """An HTTP session whose every connection is judged. Nothing is opened before the first request.

    Args:
        everything: Let every address through: the platform itself runs on this machine.
        resolver: Says what names mean; the system's by default.
        timeout: Of a request, unless it says otherwise.
        proxy: Goes through this proxy, which resolves names itself: then only literal addresses can be judged here.
        trust_env: Goes through the proxy that the environment names, if any, with the same consequence.
    """

    def __init__(
        self,
        *,
        everything: bool = False,
        resolver: NameResolver | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
    ) -> None:
        self._guard = _Guard(resolver or SystemResolver(), everything=everything)
        self._timeout = timeout or aiohttp.ClientTimeout()
        self._proxy = proxy
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(self, method: str, url: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Do one request, as `aiohttp.ClientSession.request`; a redirect is returned, not followed.

        Raises:
            ForbiddenAddressError: The address is private; nothing was sent.
            MediaSourceError: It is no http(s) URL.
            aiohttp.ClientError: It cannot be reached.
        """
        target = _parse(url)
        self._guard.judge_url(target)
        async with self._opened().request(method, target, allow_redirects=False, **options) as response:
            yield response

    @asynccontextmanager
    async def follow(self, url: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET the URL and follow redirects, each of them judged; raises as `request` does."""
        target = _parse(url)
        for _ in range(_MOST_REDIRECTS + 1):
            async with self.request("GET", str(target), **options) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                target = _parse(response.headers.get("Location", ""), base=target)
        raise MediaSourceError(f"{shown_url(str(target))} redirects more than {_MOST_REDIRECTS} times")

    async def aclose(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._guard.spare(_proxy_names(self._proxy, trust_env=self._trust_env))
            self._session = aiohttp.ClientSession(
                connector=ProxyConnector(resolver=self._guard, ttl_dns_cache=10),
                timeout=self._timeout,
                headers={"Accept-Encoding": "identity", "User-Agent": "qqmedia"},
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
                trust_env=self._trust_env,
            )
        return self._session


class _Guard(AbstractResolver):
    """Resolves names for the connector, and lets no private address through."""

    def __init__(self, resolver: NameResolver, *, everything: bool) -> None:
        self._resolver = resolver
        self._everything = everything
        self._spared: frozenset[str] = frozenset()

    def spare(self, names: frozenset[str]) -> None:
        """Do not judge what these names mean, as they are proxies that were chosen; no URL may name them then."""
        self._spared = names

    def judge_url(self, url: URL) -> None:
        """Refuse a literal address, for which the connector asks no resolver."""
        host = (url.host or "").rstrip(".")
        is_address = ":" in host or host.replace(".", "").isdigit()
        if is_address and not self._allows(host):
            raise _refusal(host, host)
        if host in self._spared and not self._everything:
            raise _refusal(host, host)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # both are tried, as the addresses say
        addresses = list(await self._resolver.resolve(host))
        if not addresses:
            raise OSError(None, f"{host} has no address")
        for one in addresses:
            if host not in self._spared and not self._allows(one.address):
                raise _refusal(host, one.address)
        return [_result(host, one.connect_to or one.address, port) for one in addresses]

    async def close(self) -> None:
        """Nothing is held."""

    def _allows(self, address: str) -> bool:
        return self._everything or is_public_address(address)


def shown_url(url: str) -> str:
    """Return the URL without what may be secret in it: user, query, fragment."""
    try:
        parsed = URL(url)
        text = (
            str(parsed.with_user(None).with_query(None).with_fragment(None)) if parsed.host else url.partition("?")[0]
        )
    except ValueError:
        text = url.partition("?")[0]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _proxy_names(proxy: str | None, *, trust_env: bool) -> frozenset[str]:
    given = [proxy] if proxy else []
    if trust_env:
        given += getproxies().values()
    names = set()
    for one in given:
        try:
            names.add(URL(one).host)
        except ValueError:
            continue  # "no" in `no_proxy`, and the like
    return frozenset(name for name in names if name)


def _refusal(host: str, address: str) -> ForbiddenAddressError:
    means = "" if host == address else f", which is {address}"
    return ForbiddenAddressError(
        f"nothing is fetched from {host}{means}: an address of this machine or of a private network;"
        " read the file yourself and send its bytes"
    )


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )  # fmt: skip


def _parse(text: str, *, base: URL | None = None) -> URL:
    try:
        url = URL(text) if base is None else base.join(URL(text))
    except ValueError as error:
        raise MediaSourceError(f"{shown_url(text)} is not a valid URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise MediaSourceError(f"{shown_url(str(url))} cannot be fetched: only http and https addresses are")
    return url
