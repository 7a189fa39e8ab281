"""The platform's own image store for markdown: prepare, PUT, complete, list, delete (PLATFORM 2.7)."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from bot_core.openapi.values import as_int
from bot_core.sandbox._answers import BODY_ERROR, RefusedCallError, parse_object
from bot_core.sandbox._formats import sniff
from bot_core.sandbox._ids import Names
from bot_core.sandbox._media import StoredMedia
from bot_core.sandbox._options import SandboxOptions

__all__ = ("IMAGE_SCHEME", "ImageDesk", "ImageUpload", "StoredImage")

IMAGE_SCHEME: Final = "qqbot-media://"

_FULL: Final = 40035007
_NO_SUCH_IMAGE: Final = 40035008
_NO_RIGHT: Final = 11253
_FORMAT_REFUSED: Final = 850019
_TOO_LARGE: Final = 850031

_TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
_MD5: Final = re.compile("[0-9a-f]{32}")
_SHA1: Final = re.compile("[0-9a-f]{40}")

# Uploads that were begun and never completed are forgotten beyond this.
_MOST_UPLOADS: Final = 1000


@dataclass(slots=True)
class ImageUpload:
    """One image on its way."""

    id: str
    appid: str
    file_name: str
    content_type: str
    size: int
    md5: str
    sha1: str
    token: str
    expires_at: float
    stored: StoredMedia | None = None


@dataclass(slots=True)
class StoredImage:
    """One image in the store."""

    id: str
    appid: str
    url: str
    file_name: str
    stored: StoredMedia
    created_at: float
    used_at: float


class ImageDesk:
    """The images of all bots.

    Attributes:
        storage_url: Where presigned addresses begin.
    """

    def __init__(self, options: SandboxOptions, names: Names) -> None:
        self.storage_url = ""
        self._options = options
        self._names = names
        self._uploads: OrderedDict[str, ImageUpload] = OrderedDict()
        self._images: OrderedDict[str, StoredImage] = OrderedDict()

    def prepare(self, appid: str, raw: bytes) -> dict[str, Any]:
        """Announce an image.

        Raises:
            RefusedCallError: It is not one that the store takes, or the store is full.
        """
        self._check_right()
        body = parse_object(raw)
        upload = self._read(appid, body)
        self._check_room(appid)
        self._uploads[upload.id] = upload
        if len(self._uploads) > _MOST_UPLOADS:
            self._uploads.popitem(last=False)
        return {
            "upload_id": upload.id,
            "presigned_url": f"{self.storage_url}/media_images/{upload.id}"
            f"?x-cos-security-token={quote(upload.token, safe='')}",
            "expires_in": int(self._options.images.upload_seconds),
        }

    def upload(self, upload_id: str) -> ImageUpload | None:
        """Return what a presigned address stands for."""
        return self._uploads.get(upload_id)

    async def complete(self, appid: str, raw: bytes) -> dict[str, Any]:
        """Put an image that is up into the store.

        Raises:
            RefusedCallError: It is not up, is not what was announced, or the store is full.
        """
        self._check_right()
        body = parse_object(raw)
        upload = self._uploads.get(str(body.get("upload_id")))
        if upload is None or upload.appid != appid or self._options.clock() >= upload.expires_at:
            raise RefusedCallError(400, BODY_ERROR, "upload_id is not known, or too old")
        if upload.stored is None:
            raise RefusedCallError(400, BODY_ERROR, "the image has not arrived")
        if body.get("md5") != upload.md5:
            raise RefusedCallError(400, BODY_ERROR, f"md5 is {body.get('md5')!r}, announced was {upload.md5}")
        await _compare(upload, upload.stored)
        self._check_room(appid)
        del self._uploads[upload.id]
        return self._admit(upload, upload.stored)

    def page(self, appid: str, cursor: str) -> dict[str, Any]:
        """Return one page of a bot's images, newest first.

        Raises:
            RefusedCallError: The cursor is none.
        """
        self._check_right()
        if cursor and not cursor.isdecimal():
            raise RefusedCallError(400, BODY_ERROR, f"cursor {cursor!r} was not handed out")
        images = list(reversed(list(self._of(appid))))
        begin, size = int(cursor or "0"), self._options.images.page
        more = begin + size < len(images)
        return {
            "images": [self._described(image) for image in images[begin : begin + size]],
            "total": len(images),
            "next_cursor": str(begin + size) if more else "",
        }

    def delete(self, appid: str, image_id: str) -> None:
        """Take an image out of the store.

        Raises:
            RefusedCallError: 40035008, there is none.
        """
        self._check_right()
        image = next((image for image in self._of(appid) if image.id == image_id), None)
        if image is None:
            raise RefusedCallError(400, _NO_SUCH_IMAGE, "the image does not exist")
        del self._images[image.url]

    def use(self, appid: str, url: str) -> StoredImage | None:
        """Return the image that a markdown link stands for, and let its lifetime begin anew."""
        image = self._images.get(url)
        if image is None or image.appid != appid or self._is_over(image):
            return None
        image.used_at = self._options.clock()
        return image

    # --- inside

    def _check_right(self) -> None:
        if not self._options.images.available:
            raise RefusedCallError(403, _NO_RIGHT, "the bot has no right to use the image store")

    def _read(self, appid: str, body: dict[str, Any]) -> ImageUpload:
        name, content_type = body.get("file_name"), body.get("content_type")
        size = as_int(body.get("file_size"), 0)
        if not isinstance(name, str) or not isinstance(content_type, str):
            raise RefusedCallError(400, BODY_ERROR, "file_name and content_type must be strings")
        if _TYPES.get(name.rpartition(".")[2].lower()) != content_type:
            text = f"{name} does not go with {content_type!r}; there are {', '.join(_TYPES)}"
            raise RefusedCallError(400, _FORMAT_REFUSED, text)
        if not 0 < size <= self._options.images.max_bytes:
            code = _TOO_LARGE if size > 0 else BODY_ERROR
            raise RefusedCallError(400, code, f"file_size must be 1 to {self._options.images.max_bytes}, got {size}")
        md5, sha1 = str(body.get("md5")), str(body.get("sha1"))
        if not _MD5.fullmatch(md5) or not _SHA1.fullmatch(sha1):
            raise RefusedCallError(400, BODY_ERROR, "md5 and sha1 must be in lower-case hex")
        return ImageUpload(
            id=self._names.upload(),
            appid=appid,
            file_name=name,
            content_type=content_type,
            size=size,
            md5=md5,
            sha1=sha1,
            token=f"{secrets.token_urlsafe(18)}+/{secrets.token_hex(4)}==",
            expires_at=self._options.clock() + self._options.images.upload_seconds,
        )

    def _check_room(self, appid: str) -> None:
        capacity = self._options.images.capacity
        if sum(1 for _ in itertools.islice(self._of(appid), capacity)) >= capacity:
            raise RefusedCallError(400, _FULL, f"the bot has {capacity} images already")

    def _admit(self, upload: ImageUpload, stored: StoredMedia) -> dict[str, Any]:
        now = self._options.clock()
        image = StoredImage(
            id=f"img_{self._names.trace()}",
            appid=upload.appid,
            url=f"{IMAGE_SCHEME}image/v1/{secrets.token_urlsafe(24)}",
            file_name=upload.file_name,
            stored=stored,
            created_at=now,
            used_at=now,
        )
        self._images[image.url] = image
        ttl = int(self._options.images.lifetime_seconds)
        return {"image_id": image.id, "url": image.url, "ttl": ttl, "preview_url": self._preview(image)}

    def _of(self, appid: str) -> Iterator[StoredImage]:
        """Give a bot's images, oldest first; those whose time is up are forgotten on the way."""
        for image in tuple(self._images.values()):
            if self._is_over(image):
                del self._images[image.url]
            elif image.appid == appid:
                yield image

    def _is_over(self, image: StoredImage) -> bool:
        return self._options.clock() - image.used_at >= self._options.images.lifetime_seconds

    def _preview(self, image: StoredImage) -> str:
        return f"{self.storage_url}/raw/{image.stored.name}"

    def _described(self, image: StoredImage) -> dict[str, Any]:
        return {
            "image_id": image.id,
            "url": image.url,
            "file_name": image.file_name,
            "preview_url": self._preview(image),
            "created_at": int(image.created_at),
            "expires_at": int(image.used_at + self._options.images.lifetime_seconds),
        }


async def _compare(upload: ImageUpload, stored: StoredMedia) -> None:
    content = await stored.read()

    def digest() -> tuple[str, str]:
        return (
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        )

    md5, sha1 = await asyncio.to_thread(digest)
    if (len(content), md5, sha1) != (upload.size, upload.md5, upload.sha1):
        raise RefusedCallError(400, BODY_ERROR, "size, md5 or sha1 of the image is not what was announced")
    found = sniff(stored.head)
    if found != upload.content_type:
        raise RefusedCallError(400, _FORMAT_REFUSED, f"the image is {found}, announced was {upload.content_type}")
