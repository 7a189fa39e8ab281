"""Uploads a file in parts, as the platform advises for anything large (PLATFORM 2.5).

Prepare, then for each part: put it at its presigned address, report it; then ``/files`` puts them together. The file
is read twice, in pieces: for the digests, and as it travels.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from bot_core.errors import OpenAPIError
from bot_core.openapi.chunks import Part, UploadPlan
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.values import FileInfo, FileType, Target
from bot_core.qq_group.digests import Digests, digests_of
from bot_core.qq_group.trying import Sleep, Trail, may_pass, repeat
from bot_core.reading import InThread, read_piece
from qqmedia import MediaSourceError, Upload

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.openapi.part_store import PartStore

__all__ = ("ChunkedUploads",)

_BUSY: Final = 40093001
_VOLUME_USED_UP: Final = 40093002
_MALFORMED: Final = 850012  # what the platform says to a field of the wrong type

# The official SDK has two; a large file has many steps, and one in five that fails must not cost all of it.
_RETRIES: Final = 4
# Of a report, before its part is put once more.
_REPORT_RETRIES: Final = 2
_PREPARE_WAIT: Final = 1.0
_PART_WAIT: Final = 1.0
_MERGE_WAIT: Final = 2.0
# Until the platform says otherwise.
_BUSY_SECONDS: Final = 300.0
_BUSY_DELAY: Final = 1.0

# How much of a part is in memory: ten parts at once hold 5 MiB.
_PIECE_BYTES: Final = 512 * 1024
# A storage that says one of these may say something else a moment later.
_PASSING_STATUS: Final = frozenset({408, 409, 425, 429})
_SERVER_FAULT: Final = 500

T = TypeVar("T")
logger = logging.getLogger("bot_core.qq_group")


class ChunkedUploads:
    """Uploads files in parts, for one account.

    Args:
        api: Where the calls of the platform are.
        store: Puts the parts.
        in_thread: Where files are read.
        sleep: Waits between tries.
        clock: Seconds; only differences count.
    """

    def __init__(
        self,
        api: OpenAPIClient,
        store: PartStore,
        *,
        in_thread: InThread,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._store = store
        self._in_thread = in_thread
        self._sleep = sleep
        self._clock = clock
        self._block_size_type: type[int | str] = int  # the sources disagree; the other one is tried once

    async def upload(
        self, upload: Upload, target: Target, *, file_type: FileType, file_name: str | None, trail: Trail
    ) -> FileInfo:
        """Upload it, and return its `file_info`.

        Raises:
            QuotaError: The volume of today is used up.
            OpenAPIError: The platform or its storage does not take it.
            MediaSourceError: The file changed meanwhile.
        """
        try:
            return await self._upload(upload, target, file_type, file_name, trail)
        except OpenAPIError as error:
            if _VOLUME_USED_UP not in error.codes:
                raise
            raise error.retold(
                f"{upload.kind} {upload.filename} ({upload.size} bytes) was not sent: the volume that this bot may "
                "upload in a day is used up (40093002). It is counted anew tomorrow; media that the platform fetches "
                f"by URL (public_url, or a storage driver) and small ones (inline_limit) go another way - {error}"
            ) from error

    async def _upload(
        self, upload: Upload, target: Target, file_type: FileType, file_name: str | None, trail: Trail
    ) -> FileInfo:
        digests = await self._in_thread(_digest, upload)

        async def prepare() -> UploadPlan:
            return await self._api.upload_prepare(
                target,
                file_type=file_type,
                file_name=file_name or upload.filename,
                size=digests.size,
                md5=digests.md5,
                sha1=digests.sha1,
                md5_10m=digests.md5_10m,
            )

        plan = await self._tried(prepare, trail, wait=_PREPARE_WAIT)
        if plan.file_info:
            return FileInfo(file_info=plan.file_info, ttl_seconds=plan.ttl_seconds, file_uuid="", raw={})
        await self._put_all(upload, target, plan, trail)

        async def merge() -> FileInfo:
            name = file_name if file_type is FileType.FILE else None
            return await self._api.post_file(target, file_type=file_type, upload_id=plan.upload_id, file_name=name)

        return await self._tried(merge, trail, wait=_MERGE_WAIT, plan=plan)

    async def _put_all(self, upload: Upload, target: Target, plan: UploadPlan, trail: Trail) -> None:
        """Put the parts, as many at once as the platform allows; the first that fails ends the others."""
        parts = iter(plan.parts)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(plan.concurrency, len(plan.parts))):
                    group.create_task(
                        self._put_some(parts, upload, target, plan, trail), name=f"upload of parts {number + 1}"
                    )
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _put_some(
        self, parts: Iterator[Part], upload: Upload, target: Target, plan: UploadPlan, trail: Trail
    ) -> None:
        for part in parts:
            await repeat(
                lambda part=part: self._put_one(part, upload, target, plan, trail),  # type: ignore[misc]
                retries=_RETRIES,
                wait=_PART_WAIT,
                may_help=_may_pass_at_storage,
                sleep=self._sleep,
            )

    async def _put_one(self, part: Part, upload: Upload, target: Target, plan: UploadPlan, trail: Trail) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        await trail.call(lambda: self._store.put(part.url, lambda: self._pieces(upload, part, digest), part.size))
        md5 = digest.hexdigest()
        await repeat(
            lambda: self._finish(part, md5, target, plan, trail), retries=_REPORT_RETRIES, wait=_PART_WAIT,
            may_help=_may_pass_again, sleep=self._sleep,
        )  # fmt: skip

    async def _pieces(self, upload: Upload, part: Part, digest: hashlib._Hash) -> AsyncIterator[bytes]:
        """Give the bytes of one part, and note them in `digest`."""
        for left in range(part.size, 0, -_PIECE_BYTES):
            offset = part.offset + part.size - left
            yield await self._in_thread(_read, upload, offset, min(left, _PIECE_BYTES), digest)

    async def _finish(self, part: Part, md5: str, target: Target, plan: UploadPlan, trail: Trail) -> None:
        """Report the part; in the other form where the platform does not like the usual one."""

        async def finish(form: type[int | str]) -> None:
            await self._api.upload_part_finish(
                target, upload_id=plan.upload_id, part_index=part.index, block_size=form(part.size), md5=md5
            )

        form = self._block_size_type
        try:
            await self._unless_busy(lambda: finish(form), trail, plan)
        except OpenAPIError as error:
            if not _is_about_the_form(error):
                raise
            other = str if form is int else int
            await self._unless_busy(lambda: finish(other), trail, plan)
            self._block_size_type = other

    async def _tried(
        self, call: Callable[[], Awaitable[T]], trail: Trail, *, wait: float, plan: UploadPlan | None = None
    ) -> T:
        return await repeat(
            lambda: self._unless_busy(call, trail, plan), retries=_RETRIES, wait=wait, may_help=_may_pass_again,
            sleep=self._sleep,
        )  # fmt: skip

    async def _unless_busy(self, call: Callable[[], Awaitable[T]], trail: Trail, plan: UploadPlan | None) -> T:
        """Do the call; while the platform says "not now", again and again, for as long as it allows."""
        until = self._clock() + (plan.retry_seconds if plan else _BUSY_SECONDS)
        while True:
            try:
                return await trail.call(call)
            except OpenAPIError as error:
                if _BUSY not in error.codes or self._clock() >= until:
                    raise
            await self._sleep(plan.retry_delay if plan else _BUSY_DELAY)


def _digest(upload: Upload) -> Digests:
    with upload.open() as file:
        digests = digests_of(file)
    if (digests.size, digests.sha256) != (upload.size, upload.sha256):
        raise MediaSourceError(f"{upload.filename} changed while it was being sent; send a copy that stays as it is")
    return digests


def _read(upload: Upload, offset: int, size: int, digest: hashlib._Hash) -> bytes:
    piece = read_piece(upload.open, offset, size)
    digest.update(piece)
    return piece


def _may_pass_again(error: OpenAPIError) -> bool:
    return _BUSY not in error.codes and may_pass(error)  # one that is busy was asked for long enough


def _may_pass_at_storage(error: OpenAPIError) -> bool:
    if error.codes:
        return _may_pass_again(error)
    return error.status is None or error.status >= _SERVER_FAULT or error.status in _PASSING_STATUS


def _is_about_the_form(error: OpenAPIError) -> bool:
    if _MALFORMED in error.codes:
        return True
    return error.status == 400 and kind_of(error) in (CodeKind.PAYLOAD, CodeKind.UNKNOWN)  # noqa: PLR2004 - bad request
