"""One HTTP session for all accounts of a process: their connections to the platform are kept and reused together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp

from bot_core.qq_group.connector import LastUsedFirst

__all__ = ("shared_http_session",)


@dataclass(slots=True)
class _Lent:
    session: aiohttp.ClientSession
    users: int = 0


_Way: TypeAlias = tuple[asyncio.AbstractEventLoop, str | None]

# A session works in the loop that it was made in alone, and a proxy is one account's own choice.
_lent: Final[dict[_Way, _Lent]] = {}


@asynccontextmanager
async def shared_http_session(proxy: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    """Lend the session of this event loop and this proxy; who leaves last closes it.

    It knows no account: tokens travel with each request, cookies are not kept, and nobody waits for another's
    connections, as there is no limit but that of each account's own client.
    """
    way = (asyncio.get_running_loop(), proxy)
    lent = _lent.get(way)
    if lent is None or lent.session.closed:  # a driver closed what it was lent: newcomers need not suffer
        lent = _lent[way] = _Lent(_new_session(proxy))
    lent.users += 1
    try:
        yield lent.session
    finally:
        lent.users -= 1
        if not lent.users:
            if _lent.get(way) is lent:
                del _lent[way]  # before anything is awaited: who comes now opens another
            await lent.session.close()


def _new_session(proxy: str | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=LastUsedFirst(limit=0), cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy)
