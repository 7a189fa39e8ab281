"""Looks at a URL as the platform would have to, to say why it may not have been able to fetch it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from qqmedia import MediaSourceError, Reach, reach_of
from qqmedia.guard import ForbiddenAddressError, GuardedSession

__all__ = ("Finding", "probe")

# The ports that every report saw fetched from; and the time that the platform is said to have (PLATFORM 2.4).
_USUAL_PORTS: Final = frozenset({80, 443})
_BUDGET_SECONDS: Final = 5.0
# Longer than the platform waits, so that "slow" and "no answer" can be told apart.
_LIMIT_SECONDS: Final = 10.0
_READ_AT_MOST: Final = 30 * 1024 * 1024
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Attributes:
        seen: What happened when it was fetched from here.
        cause: Why the platform probably could not fetch it, and what helps.
    """

    seen: str
    cause: str


async def probe(
    session: GuardedSession,
    url: str,
    *,
    limit_seconds: float = _LIMIT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Finding:
    """Fetch the URL once and say what was seen. Raises nothing but cancellation."""
    began = clock()
    try:
        async with asyncio.timeout(limit_seconds), session.follow(url) as answer:
            size = 0
            async for piece in answer.content.iter_any():
                size += len(piece)
                if size > _READ_AT_MOST:
                    break
            return _answered(url, answer, size, clock() - began)
    except TimeoutError:
        return Finding(
            f"no answer within {limit_seconds:g} s", f"it is too slow or does not answer{_port_too(url)}; the platform "
            f"waits for about {_BUDGET_SECONDS:g} s",
        )  # fmt: skip
    except ForbiddenAddressError:
        return Finding("an address of this machine or of a private network", _PRIVATE)
    except MediaSourceError as error:
        return Finding(str(error), "the address is wrong")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _unreachable(url, error)


_PRIVATE: Final = (
    "the platform cannot reach private addresses; set public_url (QQMEDIA_LOCAL_PUBLIC_URL) to what the outside sees, "
    "or use a storage driver (QQMEDIA_DRIVER)"
)


def _answered(url: str, answer: aiohttp.ClientResponse, size: int, seconds: float) -> Finding:
    redirected = "" if str(answer.url) == str(URL(url)) else ", after a redirect"
    seen = f"HTTP {answer.status}, {answer.content_type}, {size} bytes in {seconds:.1f} s{redirected}"
    if answer.status != _OK:
        return Finding(seen, "it answers with an error; the address is wrong, has expired, or wants a login")
    if seconds > _BUDGET_SECONDS:
        return Finding(seen, f"too slow: the platform waits for about {_BUDGET_SECONDS:g} s; a smaller file helps")
    if reach_of(url, platform_on_loopback=False) is Reach.PRIVATE:
        return Finding(seen, _PRIVATE)
    if URL(url).port not in _USUAL_PORTS:
        return Finding(seen, f"the port: {URL(url).port} is not fetched from as surely as 80 and 443 are")
    if redirected:
        return Finding(seen, "the redirect: whether the platform follows one is not known")
    return Finding(seen, "it works from here, so a firewall, or a DNS name that means something else outside")


def _unreachable(url: str, error: Exception) -> Finding:
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        why = getattr(error, "certificate_error", None) or error
        return Finding(
            f"TLS fails: {' '.join(str(why).split())}", "the certificate; the platform wants one that browsers trust"
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Finding(
            f"the name {error.host} does not resolve ({reason})",
            "the name does not resolve: it is misspelt, gone, or known in another network only",
        )
    return Finding(f"it cannot be connected to ({reason})", f"nothing answers there{_port_too(url)}")


def _port_too(url: str) -> str:
    try:
        port = URL(url).port
    except ValueError:
        return ""
    return "" if port in _USUAL_PORTS else f", or the port ({port}; 80 and 443 are the ones that surely work)"
