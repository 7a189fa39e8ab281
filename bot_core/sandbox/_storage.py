"""The object storage behind presigned addresses: takes parts, gives bytes back, and wants no Authorization."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from aiohttp import web

from bot_core.sandbox._answers import RefusedCallError
from bot_core.sandbox._chunks import ChunkDesk, Part
from bot_core.sandbox._formats import sniff
from bot_core.sandbox._images import ImageDesk
from bot_core.sandbox._media import MediaStore, StoredMedia
from bot_core.sandbox._options import SandboxOptions

__all__ = ("Storage", "StorageRefusedError", "media_response")

_TOKEN: Final = "x-cos-security-token"  # noqa: S105 - the name of a parameter

# How much is collected before it is written to disk in one go.
_PIECE_BYTES: Final = 1024 * 1024


class StorageRefusedError(RefusedCallError):
    """The storage refuses a call, in its own words: XML with a name.

    Attributes:
        name: The storage's word for it.
    """

    def __init__(self, status: int, name: str, message: str) -> None:
        self.name = name
        super().__init__(status, 0, f"{name}: {message}")

    def page(self) -> bytes:
        """Return the body of the answer."""
        return (
            "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n"
            f"\t<Code>{self.name}</Code>\n\t<Message>{escape(self.message)}</Message>\n</Error>\n"
        ).encode()


class Storage:
    """Answers what comes to a presigned address."""

    def __init__(self, options: SandboxOptions, store: MediaStore, chunks: ChunkDesk, images: ImageDesk) -> None:
        self._options = options
        self._store = store
        self._chunks = chunks
        self._images = images

    async def put_part(self, request: web.BaseRequest, _appid: str, named: tuple[str, ...]) -> web.StreamResponse:
        """Take one part.

        Raises:
            StorageRefusedError: The address or a header is wrong.
        """
        part = self._chunks.part(*named)
        if part is None:
            raise StorageRefusedError(404, "NoSuchUpload", "there is no such part, or the upload is complete")
        self._check(request, token=part.token, expires_at=part.expires_at, most=part.size)
        digest = await self._receive(request, part)
        return web.Response(headers={"ETag": f'"{digest}"', "x-cos-request-id": secrets.token_hex(12)})

    async def put_image(self, request: web.BaseRequest, _appid: str, named: tuple[str, ...]) -> web.StreamResponse:
        """Take an image for the image store.

        Raises:
            StorageRefusedError: The address or a header is wrong.
        """
        upload = self._images.upload(named[0])
        if upload is None:
            raise StorageRefusedError(404, "NoSuchUpload", "there is no such upload, or it is complete")
        self._check(request, token=upload.token, expires_at=upload.expires_at, most=upload.size)
        if request.content_type != upload.content_type:
            text = f"Content-Type is {request.content_type}, signed was {upload.content_type}"
            raise StorageRefusedError(403, "SignatureDoesNotMatch", text)
        async with self._store.intake(upload.size) as taken:
            while piece := await request.content.readany():
                await taken.add(piece)
            upload.stored = await taken.finish()
        return web.Response(headers={"x-cos-request-id": secrets.token_hex(12)})

    async def get_raw(self, request: web.BaseRequest, _appid: str, named: tuple[str, ...]) -> web.StreamResponse:
        """Give the bytes behind a `raw_url`.

        Raises:
            StorageRefusedError: They are not there, or a token came along.
        """
        _refuse_authorization(request)
        stored = self._store.get(named[0])
        if stored is None:
            raise StorageRefusedError(404, "NoSuchKey", "there is no such object")
        return await media_response(stored)

    def _check(self, request: web.BaseRequest, *, token: str, expires_at: float, most: int) -> None:
        _refuse_authorization(request)
        if not secrets.compare_digest(request.rel_url.query.get(_TOKEN, "").encode(), token.encode()):
            raise StorageRefusedError(403, "SignatureDoesNotMatch", f"{_TOKEN} is not the one of this address")
        if self._options.clock() >= expires_at:
            raise StorageRefusedError(403, "AccessDenied", "Request has expired")
        size = request.content_length
        if size is None:
            raise StorageRefusedError(411, "MissingContentLength", "the header Content-Length is missing")
        if size > most:
            raise StorageRefusedError(400, "EntityTooLarge", f"{most} bytes were announced, {size} are coming")

    async def _receive(self, request: web.BaseRequest, part: Part) -> str:
        """Write the body where it belongs in the file; return its md5."""
        part.attempt += 1
        attempt, offset, waiting = part.attempt, part.offset, 0
        digest = hashlib.md5(usedforsecurity=False)
        pieces: list[bytes] = []

        def write() -> None:
            with part.path.open("r+b") as file:
                file.seek(offset)
                for piece in pieces:
                    file.write(piece)
                    digest.update(piece)

        while True:
            piece = await request.content.readany()
            if piece:
                pieces.append(piece)
                waiting += len(piece)
            if pieces and (not piece or waiting >= _PIECE_BYTES):
                if attempt != part.attempt:  # the bot gave this one up and began again
                    raise StorageRefusedError(409, "OperationAborted", "the same part is being uploaded again")
                await asyncio.to_thread(write)
                offset += waiting
                pieces, waiting = [], 0
            if not piece:
                break
        part.received, part.md5, part.finished = offset - part.offset, digest.hexdigest(), False
        return part.md5


def _refuse_authorization(request: web.BaseRequest) -> None:
    if "Authorization" in request.headers:
        raise StorageRefusedError(
            403, "AccessDenied", "a presigned address takes no Authorization header; the bot's token must not come here"
        )


async def media_response(stored: StoredMedia) -> web.StreamResponse:
    """Return an answer with the bytes of a medium; from disk in pieces if they are there."""
    headers = {"Content-Type": sniff(stored.head), "X-Content-Type-Options": "nosniff"}
    path: Path | None = stored.path
    if path is not None:
        return web.FileResponse(path, headers=headers)
    return web.Response(body=await stored.read(), headers=headers)
