"""Downloads a medium from a URL that a stranger may have written.

Only http and https; no address of this machine or of a private network, whatever a name resolves to: the connector
asks this module's resolver, so what was judged is what is connected to. Redirects are followed by hand, each one
judged again. Sizes and times are limited.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qqmedia._limits import total_seconds
from qqmedia._policy import HostPolicy
from qqmedia._reach import is_public_address
from qqmedia._sources import Limits, Loaded, disk_errors, load, load_file, too_large
from qqmedia.errors import MediaSourceError
from qqmedia.media import Workspace

__all__ = ("Downloader", "NameResolver", "Resolved", "SystemResolver")

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_CONNECT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 256 * 1024
_IN_MEMORY_BYTES: Final = 1024 * 1024
_SHOWN_CHARACTERS: Final = 120

T = TypeVar("T")


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


class Downloader:
    """Fetches media for one host, through a session whose every connection is judged."""

    def __init__(
        self,
        *,
        policy: HostPolicy,
        platform_on_loopback: bool,
        resolver: NameResolver | None,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._policy = policy
        self._in_thread = in_thread
        self._guard = _Guard(resolver or SystemResolver(), everything=platform_on_loopback)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, limits: Limits, workspace: Workspace) -> Loaded:
        """Download what stands at the URL.

        Raises:
            MediaSourceError: The URL is not allowed, cannot be reached, or answers with something else than 200.
            MediaTooLargeError: It is larger than ``limits.max_bytes``.
        """
        try:
            async with asyncio.timeout(total_seconds(self._policy.put_timeout, limits.max_bytes)):
                return await self._follow(_parse(url), limits, workspace)
        except TimeoutError as error:
            raise MediaSourceError(
                f"{_shown(url)} did not answer in time; send bytes, or raise put_timeout (QQMEDIA_HOST_PUT_TIMEOUT,"
                f" now {self._policy.put_timeout:g} s)"
            ) from error
        except aiohttp.ClientError as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise MediaSourceError(f"{_shown(url)} cannot be fetched: {reason}") from error

    async def aclose(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def _follow(self, url: URL, limits: Limits, workspace: Workspace) -> Loaded:
        for _ in range(_MOST_REDIRECTS + 1):
            self._guard.judge_url(url)
            async with self._open_session().get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._take(response, limits, workspace)
                url = _parse(response.headers.get("Location", ""), base=url)
        raise MediaSourceError(f"{_shown(str(url))} redirects more than {_MOST_REDIRECTS} times")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self._guard, ttl_dns_cache=10),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_SECONDS, sock_read=self._policy.put_timeout
                ),
                headers={"Accept-Encoding": "identity", "User-Agent": "qqmedia"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # a proxy would resolve names where nobody judges them
            )
        return self._session

    async def _take(self, response: aiohttp.ClientResponse, limits: Limits, workspace: Workspace) -> Loaded:
        what = f"the {limits.kind} at {_shown(str(response.url))}"
        if response.status != _OK:
            raise MediaSourceError(f"{_shown(str(response.url))} answered {response.status} {response.reason or ''}")
        if (announced := response.content_length) is not None and announced > limits.max_bytes:
            raise too_large(what, announced, limits.max_bytes)
        filename = unquote(PurePosixPath(response.url.path).name) or None
        path, parts, size = None, bytearray(), 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > limits.max_bytes:
                raise too_large(what, limits.max_bytes, limits.max_bytes, at_least=True)
            parts += chunk
            if len(parts) > _IN_MEMORY_BYTES:
                path = path or await self._in_thread(workspace.file)
                await self._in_thread(_append, path, bytes(parts))
                parts.clear()
        if not size:
            raise MediaSourceError(f"{what} is empty (0 bytes)")
        if path is None:
            loaded: Loaded = await self._in_thread(load, bytes(parts), limits, workspace)
            return Loaded(
                content=loaded.content, size=loaded.size, head=loaded.head, sha256=loaded.sha256, filename=filename
            )
        await self._in_thread(_append, path, bytes(parts))
        spooled: Loaded = await self._in_thread(lambda: load_file(path, limits, what=what, filename=filename))
        return spooled


class _Guard(AbstractResolver):
    """Resolves names for the connector, and lets no private address through."""

    def __init__(self, resolver: NameResolver, *, everything: bool) -> None:
        self._resolver = resolver
        self._everything = everything

    def judge_url(self, url: URL) -> None:
        """Refuse a literal address: the connector asks no resolver for it."""
        host = url.host or ""
        is_address = ":" in host or host.rstrip(".").replace(".", "").isdigit()
        if is_address and not self._allows(host.rstrip(".")):
            raise _refusal(host, host)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # both are tried, as the addresses say
        addresses = list(await self._resolver.resolve(host))
        if not addresses:
            raise OSError(None, f"{host} has no address")
        for one in addresses:
            if not self._allows(one.address):
                raise _refusal(host, one.address)
        return [_result(host, one.connect_to or one.address, port) for one in addresses]

    async def close(self) -> None:
        """Nothing is held."""

    def _allows(self, address: str) -> bool:
        return self._everything or is_public_address(address)


def _refusal(host: str, address: str) -> MediaSourceError:
    means = "" if host == address else f", which is {address}"
    return MediaSourceError(
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
        raise MediaSourceError(f"{_shown(text)} is not a valid URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise MediaSourceError(f"{_shown(str(url))} cannot be fetched: only http and https addresses are")
    return url


def _append(path: Any, chunk: bytes) -> None:
    with disk_errors(), path.open("ab") as file:
        file.write(chunk)


def _shown(url: str) -> str:
    """Return the URL without what may be secret in it: user, query, fragment."""
    try:
        parsed = URL(url)
        text = str(parsed.with_user(None).with_query(None).with_fragment(None)) if parsed.host else url
    except ValueError:
        text = url.partition("?")[0]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
