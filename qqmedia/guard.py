"""HTTP to addresses that a stranger may have written: nothing of this machine or of a private network is reached.

Only http and https; whatever a name resolves to is judged, and what was judged is what is connected to, because the
connector asks this module's resolver. Redirects are followed by hand, each one judged again. ``docs/safety.md`` lists
what was tried against it. Importing this module imports aiohttp, so `import qqmedia` does not.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.request import getproxies

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qqmedia._reach import is_private_name, is_public_address
from qqmedia._trusted import HOST_NAME, TrustedHosts
from qqmedia.errors import MediaSourceError
from qqmedia.proxy import ProxyConnector

__all__ = (
    "ForbiddenAddressError",
    "GuardedSession",
    "NameResolver",
    "Resolved",
    "SystemResolver",
    "TrustedHosts",
    "shown_url",
)

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SHOWN_CHARACTERS: Final = 120
_OF_FAKE_IP: Final = ("198.18.", "198.19.")
_SECRET: Final = re.compile(r"(?<=//).*@|[?#].*", re.DOTALL)
# A host whose last part is a number is an address, in some spelling: 127.1, 2130706433, 0x7f.1 (WHATWG URL).
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")


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
        trusted: Private hosts that are let through: names, addresses or networks, each with a port or for any.

    Raises:
        ConfigurationError: One of `trusted` is nothing of the kind.
    """

    def __init__(
        self,
        *,
        everything: bool = False,
        resolver: NameResolver | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        trusted: Iterable[str] = (),
    ) -> None:
        self._guard = _Guard(resolver or SystemResolver(), TrustedHosts(trusted), everything=everything)
        self._timeout = timeout or aiohttp.ClientTimeout()
        self._proxy = proxy
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

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
        if target.scheme == "https":
            if self._tls is None:
                self._tls = await asyncio.to_thread(_tls_context)  # it reads all certificates of this machine
            options["ssl"] = self._tls
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

    def __init__(self, resolver: NameResolver, trusted: TrustedHosts, *, everything: bool) -> None:
        self._resolver = resolver
        self._trusted = trusted
        self._everything = everything
        self._spared: frozenset[str] = frozenset()

    def spare(self, names: frozenset[str]) -> None:
        """Do not judge what these names mean, as they are proxies that were chosen; no URL may name them then."""
        self._spared = names

    def judge_url(self, url: URL) -> None:
        """Refuse what needs no resolver to be judged: the connector asks none for an address, and a proxy asks its own.

        Raises:
            ForbiddenAddressError: It is private.
            MediaSourceError: No host is called so.
        """
        host = (url.raw_host or "").rstrip(".").lower()
        if self._everything or self._trusted.has_name(host, url.port):
            return
        if ":" in host or _NUMBER.fullmatch(host):
            good = self._allows(host, url.port)
        elif not HOST_NAME.fullmatch(host):
            raise MediaSourceError(f"{shown_url(str(url))} is not a valid URL")
        elif is_private_name(host):  # what it means here is judged too, but a proxy would not ask
            good = self._trusted.names_loopback(host, url.port)
        else:
            good = host not in self._spared
        if not good:
            raise _refusal(host, host)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # both are tried, as the addresses say
        addresses = list(await self._resolver.resolve(host))
        if not addresses:
            raise OSError(None, f"{host} has no address")
        if host not in self._spared and not self._trusted.has_name(host.rstrip("."), port):
            for one in addresses:
                if not self._allows(one.address, port):
                    raise _refusal(host, one.address)
        return [_result(host, one.connect_to or one.address, port) for one in addresses]

    async def close(self) -> None:
        """Nothing is held."""

    def _allows(self, address: str, port: int | None) -> bool:
        return self._everything or is_public_address(address) or self._trusted.has_address(address, port)


def shown_url(url: str) -> str:
    """Return the URL without what may be secret in it, user, query, fragment; so too where it is none."""
    try:
        parsed = URL(url)
        text = str(parsed.with_user(None).with_query(None).with_fragment(None)) if parsed.host else ""
    except ValueError:
        text = ""
    text = text or _SECRET.sub("", url)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _tls_context() -> ssl.SSLContext:
    """Return what Python takes for safe, and all that OpenSSL does.

    Python leaves out ciphers without forward secrecy, and the host of the platform that has what people sent to a bot
    speaks no others.
    """
    context = ssl.create_default_context()
    context.set_ciphers("DEFAULT")
    return context


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
    why = "an address of this machine or of a private network"
    if address.startswith(_OF_FAKE_IP):
        why = "an address within this machine, as a proxy with fake IPs (TUN) answers for every name, and no public one"
    return ForbiddenAddressError(
        f"nothing is fetched from {host}{means}: {why}; read the file yourself and send its bytes"
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
