"""The object storage where the platform wants the parts of a chunked upload to be put.

It is a third party: the bot's token never goes there. The address comes from the platform, and is judged all the same:
over TLS, to no private address, except where the platform itself runs on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeAlias

import aiohttp

from bot_core.errors import OpenAPIError
from qqmedia import MediaSourceError
from qqmedia.guard import GuardedSession, shown_url

__all__ = ("PartStore", "Pieces")

Pieces: TypeAlias = Callable[[], AsyncIterator[bytes]]
"""Gives the bytes of a body, from the beginning at each call."""

# Nothing moved for so long: the line is dead. All of it takes no longer than a line of 1 Mbit/s does.
_IDLE_SECONDS: Final = 60.0
_SLOWEST_BYTES_PER_SECOND: Final = 128 * 1024
_WORDS: Final = 200


class PartStore:
    """Puts parts at presigned addresses.

    Args:
        session: Judges addresses.
        plain_http: Whether http will do: the platform runs on this machine.
        idle_seconds: After how many seconds without any progress a part is given up.
    """

    def __init__(
        self, session: GuardedSession, *, plain_http: bool = False, idle_seconds: float = _IDLE_SECONDS
    ) -> None:
        self._session = session
        self._plain_http = plain_http
        self._idle_seconds = idle_seconds

    async def put(self, url: str, pieces: Pieces, size: int, *, content_type: str = "") -> None:
        """Put `size` bytes there, with a type only where one was announced: it is part of the signature.

        Raises:
            OpenAPIError: It was not taken; `status` is `None` where no answer came.
            MediaSourceError: The body cannot be read any more.
        """
        where = f"PUT {shown_url(url)}"
        if not self._plain_http and not url[:8].lower().startswith("https://"):
            raise OpenAPIError(
                f"{where} was not done: the platform named an address without TLS for a part of an upload", status=400
            )
        total = self._idle_seconds + size / _SLOWEST_BYTES_PER_SECOND
        unreadable: list[MediaSourceError] = []
        try:
            async with asyncio.timeout(total), asyncio.timeout(self._idle_seconds) as idle:
                await self._put(where, url, _watched(pieces, idle, self._idle_seconds, unreadable), size, content_type)
        except TimeoutError as error:
            raise OpenAPIError(f"{where} failed: nothing moved for {self._idle_seconds:g} s, or all of it took"
                               f" longer than {total:g} s") from error  # fmt: skip
        except MediaSourceError as error:
            raise OpenAPIError(f"{where} was not done: {error}", status=400) from error
        except (aiohttp.ClientError, OSError) as error:  # their text may hold the signed address
            if unreadable:
                raise unreadable[0] from None
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise OpenAPIError(f"{where} failed: {reason}") from None

    async def _put(self, where: str, url: str, body: AsyncIterator[bytes], size: int, content_type: str) -> None:
        headers = {"Content-Length": str(size)} | ({"Content-Type": content_type} if content_type else {})
        async with self._session.request(
            "PUT", url, data=body, headers=headers, skip_auto_headers=("Content-Type",)
        ) as answer:
            if not 200 <= answer.status < 300:  # noqa: PLR2004 - what HTTP calls success
                said = " ".join((await answer.content.read(_WORDS)).decode("utf-8", "replace").split())
                raise OpenAPIError(f"{where} failed: HTTP {answer.status}: {said}", status=answer.status)


async def _watched(
    pieces: Pieces, idle: asyncio.Timeout, seconds: float, unreadable: list[MediaSourceError]
) -> AsyncIterator[bytes]:
    """Give the pieces, and put the end off whenever one is taken; note why there are no more: aiohttp hides it."""
    clock = asyncio.get_running_loop().time
    try:
        async for piece in pieces():
            yield piece
            if not idle.expired():
                idle.reschedule(clock() + seconds)
    except MediaSourceError as error:
        unreadable.append(error)
        raise
