"""Uploads bytes to the platform: in one request up to a limit, in parts above it; the limit adapts."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Final

from bot_core.errors import OpenAPIError
from bot_core.openapi.bodies import Base64Source
from bot_core.openapi.values import FileInfo, FileType, Target
from bot_core.qq_group.trying import Sleep, Trail, may_pass, repeat
from bot_core.reading import InThread
from qqmedia import Upload

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.chunked import ChunkedUploads

__all__ = ("BytesWay",)

# Above this, encoding in place would delay other messages by more than a thread costs.
_ENCODE_IN_PLACE_BYTES: Final = 64 * 1024
# Up to this much the body is made in one piece; above, while it is sent.
_ONE_PIECE_BYTES: Final = 256 * 1024
# Each holds no more than a few MiB; what else a line could carry at once is little.
_AT_ONCE: Final = 8

# Nothing of a body moved for so long: the line is dead. When it is all there, the platform has what any call has.
_IDLE_SECONDS: Final = 60.0

_TOO_LARGE: Final = 413
_RETRIES: Final = 4
_WAIT: Final = 0.5

logger = logging.getLogger("bot_core.qq_group")


class BytesWay:
    """Takes bytes to the platform, for one account.

    Args:
        api: Where ``/files`` is.
        chunked: Uploads in parts.
        in_thread: Where files are read.
        inline_limit: Up to how many bytes go in one request; less, once the platform says that this is too much.
        sleep: Waits between tries.
        idle_seconds: After how many seconds without any progress a large body is given up.
    """

    def __init__(
        self,
        api: OpenAPIClient,
        chunked: ChunkedUploads,
        *,
        in_thread: InThread,
        inline_limit: int,
        sleep: Sleep = asyncio.sleep,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._api = api
        self._chunked = chunked
        self._in_thread = in_thread
        self._inline_limit = inline_limit
        self._sleep = sleep
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def inline_limit(self) -> int:
        """Up to how many bytes go in one request, as far as is known by now."""
        return self._inline_limit

    async def upload(
        self, upload: Upload, target: Target, *, file_type: FileType, file_name: str | None, trail: Trail
    ) -> tuple[FileInfo, str]:
        """Upload the bytes; return the `file_info`, and the way that they took: `bytes` or `chunks`.

        Raises:
            OpenAPIError: The platform does not take them.
            MediaSourceError: They cannot be read any more.
        """
        async with self._slots:
            if upload.size <= self._inline_limit:
                info = await self._inline(upload, target, file_type, file_name, trail)
                if info is not None:
                    return info, "bytes"
            info = await self._chunked.upload(
                upload, target, file_type=file_type, file_name=file_name, trail=trail
            )  # fmt: skip
            return info, "chunks"

    async def _inline(
        self, upload: Upload, target: Target, file_type: FileType, file_name: str | None, trail: Trail
    ) -> FileInfo | None:
        """Upload in one request; `None`: it is too large for that, or was cut as it would be then."""
        streamed = upload.size > _ONE_PIECE_BYTES

        name = file_name if file_type is FileType.FILE else None

        async def post() -> FileInfo:
            if streamed:
                return await self._post_streamed(upload, target, file_type, name)
            data = await _encoded(upload, self._in_thread)
            return await self._api.post_file(target, file_type=file_type, file_data=data, file_name=name)

        def may_help(error: OpenAPIError) -> bool:
            return may_pass(error) and not (streamed and error.status is None)

        try:
            return await repeat(
                lambda: trail.call(post), retries=_RETRIES, wait=_WAIT, may_help=may_help, sleep=self._sleep
            )
        except OpenAPIError as error:
            if error.status == _TOO_LARGE:
                self._lower_limit(upload.size)
                return None
            if not (streamed and error.status is None):
                raise
            # A front proxy that finds a body too large may cut the line in the middle of it, without a word.
            logger.info("a body of %d bytes was cut, it goes up in parts: %s", upload.size, error)
            return None

    async def _post_streamed(self, upload: Upload, target: Target, file_type: FileType, name: str | None) -> FileInfo:
        """Post it while it is read; give up where nothing moves any more."""
        idle, clock = asyncio.timeout(None), asyncio.get_running_loop().time

        def moved(left: int) -> None:
            if not idle.expired():
                idle.reschedule(clock() + self._idle_seconds if left else None)

        data = Base64Source(upload.open, upload.size, self._in_thread, moved)
        try:
            async with idle:
                return await self._api.post_file(target, file_type=file_type, file_data=data, file_name=name)
        except TimeoutError as error:
            if not idle.expired():
                raise
            raise OpenAPIError(
                f"the upload of {upload.filename} failed: nothing moved for {self._idle_seconds:g} s"
            ) from error

    def _lower_limit(self, refused: int) -> None:
        limit = min(self._inline_limit, refused * 3 // 4)
        if limit < self._inline_limit:
            logger.warning(
                "the platform takes no body with %d bytes of media in one request (HTTP 413); from now on those above "
                "%d go up in parts. To begin with that, set inline_limit=%d",
                refused, limit, limit,
            )  # fmt: skip
            self._inline_limit = limit


async def _encoded(upload: Upload, in_thread: InThread) -> str:
    if isinstance(upload.content, bytes) and upload.size <= _ENCODE_IN_PLACE_BYTES:
        return base64.b64encode(upload.content).decode("ascii")
    return await in_thread(lambda: base64.b64encode(upload.read()).decode("ascii"))
