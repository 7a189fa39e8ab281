"""What is remembered about ways that failed, so that not every picture pays for the same failure; and said about them.

A host whose URL the platform could not fetch is passed over for ten minutes. A media host whose driver failed rests for
one. Each is told once in an hour, with what can be seen from here. A URL that was given up for another reason says
nothing about its host, and is told once in ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from yarl import URL

from bot_core.qq_group.probe import probe
from bot_core.qq_group.times import REMEMBER_AT_MOST, Times
from qqmedia import SupportsPublish
from qqmedia.guard import GuardedSession, shown_url

__all__ = ("Rescue",)

_PASS_OVER_SECONDS: Final = 600.0
_REST_SECONDS: Final = 60.0
_TELL_AGAIN_SECONDS: Final = 3600.0
_TELL_OF_GIVEN_UP_AGAIN_SECONDS: Final = 600.0
_ORIGIN: Final = re.compile(r"[^:]*://[^/?#]*")

logger = logging.getLogger("bot_core.qq_group")


class Rescue:
    """Remembers which hosts to pass over. Close it: it may still be looking at a URL.

    Args:
        session: Looks at URLs.
        clock: Seconds; only differences count.
    """

    def __init__(self, session: GuardedSession, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._until = Times(clock)
        self._told = Times(clock)
        self._told_given_up = Times(clock)
        self._last_host: OrderedDict[int, str] = OrderedDict()
        self._looking: set[asyncio.Task[None]] = set()

    def passes_over(self, url: str) -> bool:
        """Return whether the platform could not fetch from this URL's host a short while ago."""
        return bool(self._until) and self._until.runs(_host(url))

    def passes_over_host(self, host: SupportsPublish) -> bool:
        """Return whether this media host failed a short while ago, or the platform could not fetch what it gave."""
        if not self._until:  # as a rule nothing has failed
            return False
        return self._until.runs(str(id(host))) or self._until.runs(self._last_host.get(id(host), ""))

    def gave(self, host: SupportsPublish, url: str) -> None:
        """Note whose URLs look like this one."""
        self._last_host[id(host)] = _host(url)
        if len(self._last_host) > REMEMBER_AT_MOST:
            self._last_host.popitem(last=False)

    def not_fetched(self, url: str, error: Exception) -> None:
        """Pass this URL's host over, and say why: in the background, because that takes a look at the URL."""
        self._until.set(_host(url), _PASS_OVER_SECONDS)
        if not self._told.starts(_host(url), _TELL_AGAIN_SECONDS):
            return
        task = asyncio.create_task(self._explain(url, error), name=f"look at {_host(url)}")
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    def not_stored(self, host: SupportsPublish, error: Exception) -> None:
        """Let this media host rest, and say so."""
        self._until.set(str(id(host)), _REST_SECONDS)
        if not self._told.starts(str(id(host)), _TELL_AGAIN_SECONDS):
            return
        logger.warning(
            "media could not be stored and go to the platform as bytes; storing is tried again every %g s: %s",
            _REST_SECONDS, " ".join(str(error).split()),
        )  # fmt: skip

    def given_up(self, url: str, error: Exception) -> None:
        """Say why this URL is not given to the platform any more; the next one of its host is."""
        if self._told_given_up.starts(_host(url), _TELL_OF_GIVEN_UP_AGAIN_SECONDS):
            logger.warning(
                "the platform did not take the URL %s, so its bytes are tried in place of it: %s",
                shown_url(url), " ".join(str(error).split()),
            )  # fmt: skip

    async def aclose(self) -> None:
        """Stop looking; what has not been said yet is said without a look."""
        looking = list(self._looking)
        for task in looking:
            task.cancel()
        if looking:
            await asyncio.wait(looking)

    async def _explain(self, url: str, error: Exception) -> None:
        seen, cause = "not looked at, as the bot ended", "see docs/media-ways.md"
        try:
            finding = await probe(self._session, url, clock=self._clock)
            seen, cause = finding.seen, finding.cause
        finally:
            logger.warning(
                "the platform could not fetch %s, so for %g minutes bytes go up in place of URLs of %s, where they can "
                "be had from here (pictures of markdown apart). Seen from here: %s. Likely cause: %s. (%s)",
                shown_url(url), _PASS_OVER_SECONDS / 60, _host(url), seen, cause, " ".join(str(error).split()),
            )  # fmt: skip


def _host(url: str) -> str:
    """Return host and port, in lower case."""
    origin = _ORIGIN.match(url)
    return _host_of_origin(origin[0] if origin else url)


@lru_cache(REMEMBER_AT_MOST)
def _host_of_origin(origin: str) -> str:
    try:
        parsed = URL(origin)
    except ValueError:
        return origin
    return f"{parsed.host}:{parsed.port}"
