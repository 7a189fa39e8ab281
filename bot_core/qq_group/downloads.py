"""Fetches a link that the author gave, where he wants the bytes uploaded instead of the link passed on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from qqmedia import MediaSourceError, MediaTooLargeError

if TYPE_CHECKING:
    from bot_core.qq_group.options import QQGroupChainBuilderOptions

__all__ = ("Downloads",)


@dataclass(frozen=True, slots=True)
class Downloads:
    """Fetches links within the limits of the options.

    Attributes:
        http: The session to use; nobody closes it here.
        options: Holds `media_download_timeout`, `media_max_bytes` and whether to fetch at all.
    """

    http: aiohttp.ClientSession
    options: QQGroupChainBuilderOptions

    async def fetch(self, url: str) -> bytes:
        """Return what the link holds.

        Raises:
            MediaSourceError: It cannot be fetched.
            MediaTooLargeError: It is larger than `media_max_bytes`.
        """
        where = shown(url)
        seconds = self.options.media_download_timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._get(url, where)
        except TimeoutError as error:
            raise MediaSourceError(
                f"{where} was not fetched within {seconds:g} s; raise media_download_timeout"
            ) from error

    async def _get(self, url: str, where: str) -> bytes:
        limit = self.options.media_max_bytes
        body = bytearray()
        try:
            async with self.http.get(url) as answer:
                if not answer.ok:
                    raise MediaSourceError(f"{where} cannot be fetched: it answers {answer.status} {answer.reason}")
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > limit:
                        raise MediaTooLargeError(
                            f"{where} is larger than {limit} bytes; raise media_max_bytes, or pass the link on "
                            "(download=False)"
                        )
        except (aiohttp.ClientError, ValueError) as error:
            if isinstance(error, MediaSourceError):
                raise
            raise MediaSourceError(f"{where} cannot be fetched: {str(error) or type(error).__name__}") from error
        return bytes(body)


def shown(url: str) -> str:
    """Return the link without its query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
