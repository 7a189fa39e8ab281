"""Fetches a link that the author gave: where he wants that, and where the platform cannot.

A link may come from whoever writes to the bot. So nothing of this machine or of a private network is fetched, whatever
a name resolves to or a redirect leads to (`qqmedia.guard`), except where the platform itself runs on this machine.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from qqmedia import MediaSource, MediaSourceError, MediaTooLargeError
from qqmedia.guard import GuardedSession, shown_url

if TYPE_CHECKING:
    from bot_core.qq_group.options import QQGroupChainBuilderOptions

__all__ = ("Downloads",)

_OK: Final = 200
_IN_MEMORY_BYTES: Final = 1024 * 1024


class Downloads:
    """Fetches links within the limits of the options.

    Args:
        session: Judges addresses; nobody closes it here.
        options: Holds `media_download_timeout`, `media_max_bytes` and whether to fetch at all.
    """

    def __init__(self, session: GuardedSession, options: QQGroupChainBuilderOptions) -> None:
        self.options = options
        self._session = session

    async def fetch(self, url: str, stack: AsyncExitStack) -> MediaSource:
        """Return what the link holds: its bytes, or the path of a file that is there until `stack` closes.

        Raises:
            MediaSourceError: It cannot be fetched.
            MediaTooLargeError: It is larger than `media_max_bytes`.
        """
        where = shown_url(url)
        seconds = self.options.media_download_timeout
        try:
            async with asyncio.timeout(seconds), self._session.follow(url) as answer:
                return await self._take(answer, where, stack)
        except TimeoutError as error:
            raise MediaSourceError(
                f"{where} was not fetched within {seconds:g} s; raise media_download_timeout"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise MediaSourceError(f"{where} cannot be fetched: {reason}") from error

    async def _take(self, answer: aiohttp.ClientResponse, where: str, stack: AsyncExitStack) -> MediaSource:
        if answer.status != _OK:
            raise MediaSourceError(f"{where} cannot be fetched: it answers {answer.status} {answer.reason}")
        limit = self.options.media_max_bytes
        if (answer.content_length or 0) > limit:
            raise _too_large(where, limit)
        body, path, size = bytearray(), None, 0
        async for piece in answer.content.iter_any():
            size += len(piece)
            if size > limit:
                raise _too_large(where, limit)
            body += piece
            if len(body) > _IN_MEMORY_BYTES:
                path = path or await _temporary_file(stack)
                await asyncio.to_thread(_append, path, bytes(body))
                body.clear()
        if path is None:
            return bytes(body)
        await asyncio.to_thread(_append, path, bytes(body))
        return path


def _too_large(where: str, limit: int) -> MediaTooLargeError:
    return MediaTooLargeError(
        f"{where} is larger than {limit} bytes; raise media_max_bytes, or pass the link on (download=False)"
    )


async def _temporary_file(stack: AsyncExitStack) -> Path:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="qqbot-")
    stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "download"


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
