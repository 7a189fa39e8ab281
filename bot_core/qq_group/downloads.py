"""Fetches links: of the author, where he wants that or where the platform cannot; of markdown; of what people sent.

A link may come from whoever writes to the bot. So nothing of this machine or of a private network is fetched, whatever
a name resolves to or a redirect leads to (`qqmedia.guard`), except from the bot's own media server, from
`media_trusted_hosts`, and where the platform itself runs on this machine.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bot_core.reading import InThread
from qqmedia import MediaSource
from qqmedia.fetch import FetchLimits, fetch
from qqmedia.guard import ForbiddenAddressError, GuardedSession
from qqmedia.media import Workspace

if TYPE_CHECKING:
    from bot_core.qq_group.options import QQGroupChainBuilderOptions

__all__ = ("Downloads",)


class Downloads:
    """Fetches links within the limits of the options.

    Args:
        session: Judges addresses; nobody closes it here.
        options: Holds `media_download_timeout`, `media_max_bytes` and whether to fetch at all.
        in_thread: Where what is large is written.
    """

    def __init__(self, session: GuardedSession, options: QQGroupChainBuilderOptions, in_thread: InThread) -> None:
        self.options = options
        self._session = session
        self._in_thread = in_thread

    async def fetch(self, url: str, stack: AsyncExitStack, limits: FetchLimits | None = None) -> MediaSource:
        """Return what the link holds: its bytes, or the path of a file that is there until `stack` closes.

        Raises:
            MediaSourceError: It cannot be fetched.
            MediaTooLargeError: It is larger than `media_max_bytes`.
        """
        workspace = Workspace()
        try:
            fetched = await fetch(
                self._session, url, limits or self._limits(), workspace, in_thread=self._in_thread
            )  # fmt: skip
        except ForbiddenAddressError as error:
            raise ForbiddenAddressError(f"{error}, or name the host in media_trusted_hosts") from error
        finally:
            if workspace.end():  # removed whatever became of the account; the folder is this machine's
                stack.push_async_callback(asyncio.to_thread, workspace.close)
        return fetched.content

    def _limits(self) -> FetchLimits:
        return FetchLimits(
            max_bytes=self.options.media_max_bytes,
            seconds=self.options.media_download_timeout,
            larger="raise media_max_bytes, or pass the link on (download=False)",
            longer="raise media_download_timeout",
        )
