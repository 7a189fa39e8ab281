"""Chunked upload: ``upload_prepare``, the parts, ``upload_part_finish`` and the merge (PLATFORM 2.5)."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from bot_core.openapi.values import FileType, Target, as_int
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError, parse_object
from bot_core.sandbox._digests import Digests, digest_file
from bot_core.sandbox._ids import Names
from bot_core.sandbox._media import MediaStore, StoredMedia
from bot_core.sandbox._option_groups import ChunkOptions
from bot_core.sandbox._options import SandboxOptions

__all__ = ("ChunkDesk", "ChunkedUpload", "Declared", "Part")

MALFORMED: Final = 850012  # "call inner proxy error"
_TOO_LARGE: Final = 850031
_BUSY: Final = 40093001
_VOLUME_USED_UP: Final = 40093002

# Uploads beyond this are forgotten, the oldest first. It is far above what bots have in flight.
_MOST_UPLOADS: Final = 1000

_DAY_SECONDS: Final = 86_400

_HEX: Final = {"md5": re.compile("[0-9a-f]{32}"), "sha1": re.compile("[0-9a-f]{40}")}
_HASHES: Final = (("md5", "md5"), ("sha1", "sha1"), ("md5_10m", "md5"))


@dataclass(frozen=True, slots=True)
class Declared:
    """What a bot says about a file before it uploads it."""

    appid: str
    target: Target
    file_type: FileType
    size: int
    file_name: str
    digests: Digests


@dataclass(slots=True)
class Part:
    """One part on its way: where it belongs, and what has come of it."""

    index: int
    offset: int
    size: int
    token: str
    expires_at: float
    path: Path
    attempt: int = 0
    received: int = -1
    md5: str = ""
    finished: bool = False
    busy_left: int = 0


@dataclass(slots=True)
class ChunkedUpload:
    """One upload from its preparation on."""

    id: str
    declared: Declared
    path: Path
    parts: dict[int, Part]
    merged: StoredMedia | None = None
    merging: asyncio.Lock = field(default_factory=asyncio.Lock)


class ChunkDesk:
    """All chunked uploads of all bots.

    Attributes:
        storage_url: Where presigned addresses begin.
    """

    def __init__(self, options: SandboxOptions, names: Names, store: MediaStore) -> None:
        self.storage_url = ""
        self._options = options
        self._names = names
        self._store = store
        self._uploads: OrderedDict[str, ChunkedUpload] = OrderedDict()
        self._spent: dict[str, tuple[int, int]] = {}

    def declare(self, appid: str, target: Target, raw: bytes) -> Declared:
        """Read the body of ``upload_prepare``.

        Raises:
            RefusedCallError: 850012 for what is malformed, 850031 for what is too large.
        """
        body = parse_object(raw)
        name = body.get("file_name")
        if not isinstance(name, str) or not name:
            raise RefusedCallError(400, BODY_ERROR, "file_name is missing")
        size = self._declared_size(body.get("file_size"))
        hashes: dict[str, str] = {}
        for key, algorithm in _HASHES:
            value = body.get(key)
            if not isinstance(value, str) or not _HEX[algorithm].fullmatch(value):
                raise _malformed(f"{key} must be {algorithm} in lower-case hex, got {value!r}")
            hashes[key] = value
        return Declared(appid, target, file_type_of(body), size, name, Digests(**hashes))

    async def prepare(self, declared: Declared) -> dict[str, Any]:
        """Open an upload; return the answer.

        Raises:
            RefusedCallError: 40093002, today's volume is used up.
        """
        self._spend(declared)
        path = await asyncio.to_thread(self._new_file)
        upload = ChunkedUpload(self._names.upload(), declared, path, {})
        block = min(self._options.chunks.block_bytes, declared.size)
        for number, offset in enumerate(range(0, declared.size, block)):
            self._add_part(upload, number, offset, min(block, declared.size - offset))
        self._uploads[upload.id] = upload
        if len(self._uploads) > _MOST_UPLOADS:
            _, oldest = self._uploads.popitem(last=False)
            if oldest.merged is None:
                await asyncio.to_thread(oldest.path.unlink, missing_ok=True)
        return self._prepared(upload, block)

    def part(self, appid: str, upload_id: str, name: str) -> Part | None:
        """Return the part that a presigned address stands for."""
        upload = self._uploads.get(upload_id)
        index = name.removeprefix("part_")
        if upload is None or upload.declared.appid != appid or not index.isdecimal():
            return None
        return upload.parts.get(int(index)) if upload.merged is None else None

    def finish(self, appid: str, target: Target, raw: bytes) -> None:
        """Take the news that a part is up, and compare it with what is there.

        Raises:
            RefusedCallError: It does not fit; 40093001 by option.
        """
        body = parse_object(raw)
        upload = self._find(appid, target, body.get("upload_id"))
        index = body.get("part_index")
        part = upload.parts.get(index) if isinstance(index, int) else None
        if part is None:
            known = ", ".join(map(str, upload.parts))
            raise RefusedCallError(400, BODY_ERROR, f"part_index {index!r} is not a part of this upload ({known})")
        size = self._finished_size(body.get("block_size"))
        if part.busy_left:
            part.busy_left -= 1
            raise RefusedCallError(400, _BUSY, "the store's channel is busy, try again")
        if part.received < 0:
            raise RefusedCallError(400, BODY_ERROR, f"part {index} has not arrived")
        if not size == part.received == part.size:
            text = f"part {index} has {part.size} bytes, {part.received} arrived, block_size says {size}"
            raise RefusedCallError(400, BODY_ERROR, text)
        if body.get("md5") != part.md5:
            raise RefusedCallError(400, BODY_ERROR, f"md5 of part {index} is {part.md5}, not {body.get('md5')!r}")
        part.finished = True

    async def merge(self, appid: str, target: Target, upload_id: str) -> ChunkedUpload:
        """Put the parts together and compare them with what was declared; the same again is answered again.

        Raises:
            RefusedCallError: A part is missing, or a hash differs.
        """
        upload = self._find(appid, target, upload_id)
        async with upload.merging:
            if upload.merged is None:
                missing = [str(part.index) for part in upload.parts.values() if not part.finished]
                if missing:
                    raise RefusedCallError(400, BODY_ERROR, f"parts are not finished: {', '.join(missing)}")
                found = await asyncio.to_thread(digest_file, upload.path)
                declared = upload.declared
                for key, _ in _HASHES:
                    said, is_ = getattr(declared.digests, key), getattr(found.digests, key)
                    if said != is_:
                        raise RefusedCallError(400, BODY_ERROR, f"{key} of the file is {is_}, declared was {said}")
                upload.merged = await self._store.admit(declared.size, found.sha256, found.head, upload.path)
        return upload

    # --- inside

    @property
    def _chunks(self) -> ChunkOptions:
        return self._options.chunks

    def _declared_size(self, value: object) -> int:
        if isinstance(value, int) and not self._chunks.take_int_size:
            raise _malformed(f"file_size must be a string, got the number {value}")
        size = as_int(value, 0)
        if size <= 0:
            raise _malformed(f"file_size must be more than 0, got {value!r}")
        if size > self._options.hard_bytes:
            raise RefusedCallError(400, _TOO_LARGE, f"the file is over the hard limit of {self._options.hard_bytes}")
        return size

    def _finished_size(self, value: object) -> int:
        form = self._chunks.finish_block_size
        if form != "either" and isinstance(value, str) is (form == "number"):
            raise _malformed(f"block_size must be a {form}, got {value!r}")
        return as_int(value, -1)

    def _spend(self, declared: Declared) -> None:
        day = int(self._options.clock() // _DAY_SECONDS)
        last, spent = self._spent.get(declared.appid, (day, 0))
        total = declared.size + (spent if last == day else 0)
        if self._chunks.daily_bytes and total > self._chunks.daily_bytes:
            raise RefusedCallError(400, _VOLUME_USED_UP, f"over {self._chunks.daily_bytes} bytes were uploaded today")
        self._spent[declared.appid] = (day, total)

    def _new_file(self) -> Path:
        path = self._store.new_file()
        path.touch()
        return path

    def _add_part(self, upload: ChunkedUpload, number: int, offset: int, size: int) -> None:
        index = number + self._chunks.index_base
        upload.parts[index] = Part(
            index=index,
            offset=offset,
            size=size,
            # with characters that must be escaped once, neither never nor twice
            token=f"{secrets.token_urlsafe(18)}+/{secrets.token_hex(4)}==",
            expires_at=self._options.clock() + self._chunks.url_lifetime_seconds,
            path=upload.path,
            busy_left=self._chunks.busy_finishes,
        )

    def _prepared(self, upload: ChunkedUpload, block: int) -> dict[str, Any]:
        chunks = self._chunks
        whole: object = str(block) if chunks.block_size_form == "string" else block
        parts = []
        for part in upload.parts.values():
            size = block if chunks.full_last_block else part.size
            key = f"robot_upload/{upload.declared.appid}/{upload.id}/part_{part.index}"
            parts.append({
                "index": part.index,
                "presigned_url": f"{self.storage_url}/{key}?x-cos-security-token={quote(part.token, safe='')}",
                "block_size": size if chunks.block_size_form == "number" else str(size),
            })  # fmt: skip
        config = {
            "concurrency": chunks.concurrency,
            "retry_timeout": chunks.retry_timeout_seconds,
            "retry_delay": chunks.retry_delay_seconds,
        }
        answer = {"upload_id": upload.id, "block_size": whole, "parts": parts}
        if chunks.upload_config == "top_level":
            return {**answer, **config}
        return {**answer, "upload_config": config} if chunks.upload_config == "nested" else answer

    def _find(self, appid: str, target: Target, upload_id: object) -> ChunkedUpload:
        upload = self._uploads.get(upload_id) if isinstance(upload_id, str) else None
        if upload is None or (upload.declared.appid, upload.declared.target) != (appid, target):
            raise RefusedCallError(400, BODY_ERROR, "upload_id is not known in this chat")
        return upload


def file_type_of(body: dict[str, Any]) -> FileType:
    """Return `file_type` of a body.

    Raises:
        RefusedCallError: It is none of the four.
    """
    try:
        return FileType(as_int(body.get("file_type"), 0))
    except ValueError:
        raise RefusedCallError(400, BODY_ERROR, "file_type must be 1, 2, 3 or 4") from None


def _malformed(what: str) -> RefusedCallError:
    return RefusedCallError(500, MALFORMED, f"call inner proxy error: {what}")
