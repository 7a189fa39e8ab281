"""`/files`: takes media in, by URL or as bytes, and hands out `file_info` (PLATFORM 2.2 to 2.4)."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from bot_core.openapi.values import FileType, Scene, Target
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError, parse_object
from bot_core.sandbox._chunks import ChunkDesk, Declared, file_type_of
from bot_core.sandbox._digests import Digests
from bot_core.sandbox._fetch import TOO_LARGE, Fetcher
from bot_core.sandbox._formats import is_accepted, sniff
from bot_core.sandbox._ids import Names
from bot_core.sandbox._media import SMALL_BYTES, MediaStore, StoredMedia
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._values import ArrivedMedia

__all__ = ("FileDesk",)

_FORMAT_REFUSED: Final = 850019
_FILE_INFO_INVALID: Final = 304080

_SOURCES: Final = ("url", "file_data", "upload_id")


@dataclass(frozen=True, slots=True)
class _Uploaded:
    appid: str
    scene: Scene
    media: ArrivedMedia
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class _Sameness:
    """What makes a prepared file the same as one that is there."""

    appid: str
    scene: Scene
    file_type: FileType
    size: int
    digests: Digests


class FileDesk:
    """All uploaded files of all bots.

    Attributes:
        chunks: Where files come together that are uploaded in parts.
    """

    def __init__(self, options: SandboxOptions, names: Names, store: MediaStore, fetcher: Fetcher) -> None:
        self.chunks = ChunkDesk(options, names, store)
        self._options = options
        self._names = names
        self._store = store
        self._fetcher = fetcher
        self._uploaded: OrderedDict[str, _Uploaded] = OrderedDict()
        self._same: OrderedDict[_Sameness, dict[str, Any]] = OrderedDict()

    async def prepare(self, appid: str, target: Target, raw: bytes) -> dict[str, Any]:
        """Answer ``upload_prepare``.

        Raises:
            RefusedCallError: With the platform's code.
        """
        declared = self.chunks.declare(appid, target, raw)
        if self._options.chunks.reuse_file_info:
            answer = self._same.get(_sameness(declared))
            uploaded = self._uploaded.get(answer["file_info"]) if answer is not None else None
            if uploaded is not None and not self._has_expired(uploaded):
                return {"upload_id": self._names.upload(), "reuse_file_info": True, "parts": [], **(answer or {})}
        return await self.chunks.prepare(declared)

    async def post(self, appid: str, target: Target, raw: bytes) -> tuple[dict[str, Any], ArrivedMedia, bool]:
        """Take one file in; return the answer, the medium, and whether it is to be sent at once.

        Raises:
            RefusedCallError: With the platform's code.
        """
        body = await asyncio.to_thread(parse_object, raw) if len(raw) > SMALL_BYTES else parse_object(raw)
        way = _source(body)
        if way == "upload_id":
            return await self._merge(appid, target, body)
        file_type = file_type_of(body)
        stored = await self._take(way, body)
        media = self._accept(file_type, way, body, stored)
        return self._answer(appid, target, media), media, body.get("srv_send_msg") is True

    def lookup(self, appid: str, scene: Scene, file_info: object) -> ArrivedMedia:
        """Return what a `file_info` stands for.

        Raises:
            RefusedCallError: 304080, it is unknown, expired, or not for this bot and scene.
        """
        uploaded = self._uploaded.get(file_info) if isinstance(file_info, str) else None
        if uploaded is None or uploaded.appid != appid:
            raise RefusedCallError(400, _FILE_INFO_INVALID, "file_info is not known")
        if uploaded.scene is not scene:
            raise RefusedCallError(400, _FILE_INFO_INVALID, f"file_info is good in {uploaded.scene}, not in {scene}")
        if self._has_expired(uploaded):
            raise RefusedCallError(400, _FILE_INFO_INVALID, "file_info has expired")
        return uploaded.media

    def forget_all(self) -> None:
        """Let every `file_info` expire now."""
        self._uploaded.clear()

    def _has_expired(self, uploaded: _Uploaded) -> bool:
        return uploaded.expires_at is not None and self._options.clock() >= uploaded.expires_at

    async def _merge(
        self, appid: str, target: Target, body: dict[str, Any]
    ) -> tuple[dict[str, Any], ArrivedMedia, bool]:
        upload = await self.chunks.merge(appid, target, body["upload_id"])
        declared = upload.declared
        if "file_type" in body and file_type_of(body) is not declared.file_type:
            text = f"file_type {body['file_type']} is not what was prepared ({declared.file_type.value})"
            raise RefusedCallError(400, BODY_ERROR, text)
        if upload.merged is None:
            raise AssertionError("a merge that returns has a medium")
        media = self._accept(declared.file_type, "upload_id", {"file_name": declared.file_name, **body}, upload.merged)
        answer = self._answer(appid, target, media)
        if self._options.chunks.raw_url and declared.file_type is not FileType.FILE:
            answer["raw_url"] = f"{self.chunks.storage_url}/raw/{upload.merged.name}"
        self._same[_sameness(declared)] = answer
        if len(self._same) > self._options.remembered_messages:
            self._same.popitem(last=False)
        return dict(answer), media, body.get("srv_send_msg") is True

    async def _take(self, way: str, body: dict[str, Any]) -> StoredMedia:
        source = body[way]
        if not isinstance(source, str):
            raise RefusedCallError(400, BODY_ERROR, f"{way} must be a string")
        if way == "url":
            return await self._fetcher.fetch(source)
        large = len(source) > SMALL_BYTES
        content = await asyncio.to_thread(_decode, source) if large else _decode(source)
        if len(content) > self._options.hard_bytes:
            text = f"the file is over the hard limit of {self._options.hard_bytes}"
            raise RefusedCallError(400, TOO_LARGE, text)
        return await self._store.keep(content)

    def _accept(self, file_type: FileType, way: str, body: dict[str, Any], stored: StoredMedia) -> ArrivedMedia:
        content_type = sniff(stored.head)
        options = self._options
        if not is_accepted(
            file_type, content_type, lenient_voice=options.lenient_voice, strict_images=options.strict_images
        ):
            text = f"format not accepted: file_type {file_type.value} ({file_type.name.lower()}) came as {content_type}"
            raise RefusedCallError(400, _FORMAT_REFUSED, text)
        if way == "file_data":
            body["file_data"] = f"<{len(body['file_data'])} characters of base64>"
        return ArrivedMedia(
            file_type=file_type,
            way=way,
            url=body["url"] if way == "url" else None,
            size=stored.size,
            content_type=content_type,
            sha256=stored.sha256,
            file_name=str(body.get("file_name") or ""),
            as_card=stored.size > self._options.soft_bytes.get(file_type, self._options.hard_bytes),
            raw_request=body,
            stored=stored,
        )

    def _answer(self, appid: str, target: Target, media: ArrivedMedia) -> dict[str, Any]:
        ttl = self._options.file_ttl_seconds
        file_info = self._names.file_info()
        expires_at = self._options.clock() + ttl if ttl else None
        self._uploaded[file_info] = _Uploaded(appid, target.scene, media, expires_at)
        if len(self._uploaded) > self._options.remembered_messages:
            self._uploaded.popitem(last=False)
        return {"file_uuid": f"{self._names.trace()}", "file_info": file_info, "ttl": ttl}


def _sameness(declared: Declared) -> _Sameness:
    return _Sameness(declared.appid, declared.target.scene, declared.file_type, declared.size, declared.digests)


def _source(body: dict[str, Any]) -> str:
    given = [name for name in _SOURCES if body.get(name)]
    if len(given) != 1:
        got = ", ".join(given) or "none"
        raise RefusedCallError(400, BODY_ERROR, f"exactly one of {', '.join(_SOURCES)} must be given, got {got}")
    return given[0]


def _decode(data: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedCallError(400, BODY_ERROR, "file_data is not plain base64 (no `data:` prefix)") from None
    return content
