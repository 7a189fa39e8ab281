"""Downloads what a bot gave by URL, with the platform's small budget and its caution."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bot_core.sandbox._answers import RefusedCallError
from bot_core.sandbox._media import MediaStore, StoredMedia
from bot_core.sandbox._options import SandboxOptions

__all__ = ("TOO_LARGE", "Fetcher")

# Whether the platform follows redirects is not known; a few are harmless.
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_OK: Final = 200

_FETCH_FAILED: Final = 850026
TOO_LARGE: Final = 850031


class Fetcher:
    """Fetches a URL into the media store."""

    def __init__(self, options: SandboxOptions, store: MediaStore, http: aiohttp.ClientSession) -> None:
        self._options = options
        self._store = store
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, options: SandboxOptions, store: MediaStore) -> AsyncIterator[Fetcher]:
        """Open the HTTP session that downloads."""
        resolver = _Resolver(options.public_names, refuse_private=options.refuse_private)
        connector = aiohttp.TCPConnector(limit=0, resolver=resolver)
        timeout = aiohttp.ClientTimeout(total=options.fetch_timeout_seconds)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        ) as http:
            yield cls(options, store, http)

    async def fetch(self, address: str) -> StoredMedia:
        """Download within the budget.

        Raises:
            RefusedCallError: 850026 with what went wrong, or 850031.
        """
        try:
            url = URL(address)
            for _ in range(_MOST_REDIRECTS + 1):
                self._check(url)
                async with self._http.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await self._take(response)
                    url = url.join(URL(response.headers.get("Location", "")))
        except TimeoutError:
            raise _failed(f"not done within {self._options.fetch_timeout_seconds:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise _failed(f"{type(error).__name__}: {error}") from error
        raise _failed(f"more than {_MOST_REDIRECTS} redirects")

    def _check(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise _failed("url invalid: it must start with http:// or https://")
        if self._options.fetch_ports and url.port not in self._options.fetch_ports:
            raise _failed(f"port {url.port} is not fetched from")
        if self._options.refuse_private and _is_private_literal(url.host):
            raise _failed(f"{url.host} is a private address")

    async def _take(self, response: aiohttp.ClientResponse) -> StoredMedia:
        if response.status != _OK:
            raise _failed(f"HTTP status {response.status}")
        async with self._store.intake(self._options.hard_bytes) as taken:
            async for piece in response.content.iter_any():
                if not await taken.add(piece):
                    raise RefusedCallError(
                        400, TOO_LARGE, f"the file is over the hard limit of {self._options.hard_bytes}"
                    )
            if taken.size == 0:
                raise _failed("the file is empty")
            return await taken.finish()


def _failed(why: str) -> RefusedCallError:
    return RefusedCallError(400, _FETCH_FAILED, f"download of the url failed: {why}")


def _is_private_literal(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False  # a name; the resolver looks at what it stands for


class _Resolver(AbstractResolver):
    """Looks names up, first among those that the options give.

    Args:
        names: Addresses by name; an empty one for a name that does not exist.
        refuse_private: Refuse other names that stand for an address of this machine or network.
    """

    def __init__(self, names: Mapping[str, str], *, refuse_private: bool) -> None:
        self._names = names
        self._refuse_private = refuse_private
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        given = self._names.get(host)
        if given is not None:
            return [_result(host, given, port)]
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if self._refuse_private and not ipaddress.ip_address(result["host"].partition("%")[0]).is_global:
                raise OSError(errno.EACCES, f"{host} is {result['host']}, a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _result(host: str, address: str, port: int) -> ResolveResult:
    if not address:
        raise OSError(errno.ENOENT, f"there is no {host}")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
