"""The platform's own store for pictures of markdown (PLATFORM 2.7): prepare, put, complete; the oldest makes room.

A picture is kept there under a name that is made of its content, so that nothing is stored twice, by whichever process.
The platform keeps a hundred for a bot; from eighty on, the one that was used longest ago goes when a new one comes.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from bot_core.errors import OpenAPIError, PermissionDeniedError
from bot_core.openapi.part_store import PartStore
from bot_core.openapi.values import as_int
from bot_core.qq_group.digests import Digests, digests_of
from bot_core.qq_group.timing import Timing
from bot_core.qq_group.trying import may_pass, repeat
from bot_core.reading import InThread, content_of
from qqmedia import MediaFormatError, Upload
from qqmedia.guard import GuardedSession

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.settings import AdapterSettings

__all__ = ("ImageStore", "open_image_store")

_PATH: Final = "/v2/media-images"
_SUFFIXES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}
_MOST_BYTES: Final = 10 * 1024 * 1024
_MAKE_ROOM_AT: Final = 80
_MOST_PAGES: Final = 100

_FULL: Final = 40035007
_GONE: Final = 40035008
_NOT_FOUND: Final = 404

# A message that shows it may still be on its way.
_IN_USE_SECONDS: Final = 600.0
# One that ends sooner is stored anew.
_MARGIN_SECONDS: Final = 3600.0
_LIFETIME_SECONDS: Final = 7_776_000
_PROTECTED: Final = "keep-"
_RETRIES: Final = 2
_WAIT: Final = 1.0

logger = logging.getLogger("bot_core.qq_group")


@dataclass(slots=True)
class _Image:
    """One picture in the store; it ends by the wall clock, and was used by the other one (by this process, that is)."""

    id: str
    name: str
    url: str
    expires_at: float
    used_at: float = -math.inf


class ImageStore:
    """The pictures of one account.

    Args:
        api: Where the store is.
        parts: Puts what is announced.
        protect: Names of pictures, as markdown has them, that never make room for others.
        timing: Clock and pauses.
        in_thread: Where files are read.
    """

    def __init__(
        self,
        api: OpenAPIClient,
        parts: PartStore,
        *,
        protect: Collection[str],
        timing: Timing,
        in_thread: InThread,
    ) -> None:
        self._api = api
        self._parts = parts
        self._protect = frozenset(protect)
        self._timing = timing
        self._in_thread = in_thread
        self._lock = asyncio.Lock()
        self._images: list[_Image] = []  # the one that was used longest ago comes first
        self._loaded = False
        self._full = False
        self._refused: OpenAPIError | None = None

    async def link(self, upload: Upload, name: str) -> str:
        """Return the link that markdown shows the picture by; it is stored where it is not there.

        Args:
            upload: The picture.
            name: What markdown calls it.

        Raises:
            MediaFormatError: The store does not take such pictures.
            OpenAPIError: It could not be stored. Where this bot may not use the store at all, it is not asked again.
        """
        suffix = _SUFFIXES.get(upload.content_type)
        if suffix is None or upload.size > _MOST_BYTES:
            raise MediaFormatError(
                f"the platform's store takes png, jpg, gif and webp up to {_MOST_BYTES} bytes, and this is"
                f" {upload.content_type} of {upload.size} bytes"
            )
        if self._refused is not None:
            raise self._refused
        protected = _PROTECTED if name in self._protect else ""
        async with self._lock:
            image = await self._kept(upload, f"{protected}{upload.sha256[:40]}.{suffix}")
        return image.url

    def forget(self, url: str) -> None:
        """Store the picture anew when it is asked for next, as the platform could not show this link."""
        self._images = [image for image in self._images if image.url != url]

    # --- inside, one at a time

    async def _kept(self, upload: Upload, name: str) -> _Image:
        try:
            image = await repeat(
                lambda: self._attempt(upload, name), retries=_RETRIES, wait=_WAIT, may_help=self._may_help,
                sleep=self._timing.sleep,
            )  # fmt: skip
        except OpenAPIError as error:
            self._loaded = False
            if isinstance(error, PermissionDeniedError) or (error.status == _NOT_FOUND and not error.codes):
                self._refused = error
                logger.warning(
                    "this bot cannot use the platform's store for pictures, it is not asked again: %s", error
                )
            raise
        image.used_at = self._timing.clock()
        self._images.remove(image)
        self._images.append(image)
        return image

    async def _attempt(self, upload: Upload, name: str) -> _Image:
        await self._load()
        soon = self._timing.wall_clock() + _MARGIN_SECONDS
        for image in self._images:
            if image.name == name and image.expires_at > soon:
                return image
        await self._make_room()
        image = await self._store(upload, name)
        self._images.append(image)
        return image

    def _may_help(self, error: OpenAPIError) -> bool:
        """Return whether to try again; what is there is looked at anew then, as it may have been stored after all."""
        self._loaded = False
        self._full = _FULL in error.codes
        return self._full or may_pass(error)

    async def _load(self) -> None:
        """Ask what is there, unless it is known."""
        if self._loaded:
            return
        used = {image.id: image.used_at for image in self._images}
        images: list[_Image] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = await self._api.get(_PATH, params={"cursor": cursor} if cursor else None)
            found = page.get("images") if isinstance(page, dict) else None
            images += [_read(one, used) for one in found or () if isinstance(one, dict)]
            cursor = str(page.get("next_cursor") or "") if isinstance(page, dict) else ""
            if not cursor:
                break
        images.reverse()  # they came newest first
        images.sort(key=lambda image: image.used_at)
        self._images, self._loaded = images, True

    async def _make_room(self) -> None:
        """Delete the picture that was used longest ago, where there are many; where it is full, whichever may go."""
        now = self._timing.clock()
        may_go = [image for image in self._images if not image.name.startswith(_PROTECTED)]
        if not self._full:
            may_go = [image for image in may_go if now - image.used_at >= _IN_USE_SECONDS]
        if may_go and (self._full or len(self._images) >= _MAKE_ROOM_AT):
            oldest = may_go[0]
            try:
                await self._api.request("DELETE", f"{_PATH}/{quote(oldest.id, safe='')}")
            except OpenAPIError as error:
                if _GONE not in error.codes:
                    raise
            self._images = [image for image in self._images if image is not oldest]  # forgotten meanwhile, perhaps
        self._full = False

    async def _store(self, upload: Upload, name: str) -> _Image:
        digests = await self._in_thread(_digest, upload)
        fields = {
            "file_name": name,
            "file_size": digests.size,
            "content_type": upload.content_type,
            "md5": digests.md5,
            "sha1": digests.sha1,
        }
        plan = await self._api.post(f"{_PATH}/prepare", fields)
        upload_id, url = _text(plan, "upload_id", "prepare"), _text(plan, "presigned_url", "prepare")
        await self._parts.put(url, lambda: self._whole(upload), digests.size, content_type=upload.content_type)
        stored = await self._api.post(f"{_PATH}/complete", {"upload_id": upload_id, "md5": digests.md5})
        return _Image(
            id=_text(stored, "image_id", "complete"),
            name=name,
            url=_text(stored, "url", "complete"),
            expires_at=self._timing.wall_clock() + (as_int(stored.get("ttl"), 0) or _LIFETIME_SECONDS),
        )

    async def _whole(self, upload: Upload) -> AsyncIterator[bytes]:
        yield await content_of(upload, self._in_thread)


@asynccontextmanager
async def open_image_store(
    api: OpenAPIClient, settings: AdapterSettings, in_thread: InThread, *, platform_on_loopback: bool
) -> AsyncIterator[ImageStore]:
    """Open it; nothing is asked for before the first picture."""
    session = GuardedSession(everything=platform_on_loopback, resolver=settings.resolver, proxy=settings.proxy)
    try:
        parts = PartStore(session, plain_http=platform_on_loopback)
        yield ImageStore(
            api, parts, protect=settings.markdown_protect, timing=settings.timing, in_thread=in_thread
        )  # fmt: skip
    finally:
        await session.aclose()


def _read(raw: dict[str, Any], used: dict[str, float]) -> _Image:
    image_id = str(raw.get("image_id") or "")
    return _Image(
        id=image_id,
        name=str(raw.get("file_name") or ""),
        url=str(raw.get("url") or ""),
        expires_at=float(as_int(raw.get("expires_at"), 0)),
        used_at=used.get(image_id, -math.inf),
    )


def _text(raw: Any, field: str, call: str) -> str:
    value = raw.get(field) if isinstance(raw, dict) else None
    if not isinstance(value, str) or not value:
        path = f"{_PATH}/{call}"
        raise OpenAPIError(f"POST {path} failed: the answer has no {field}; try again", status=200, path=path)
    return value


def _digest(upload: Upload) -> Digests:
    with upload.open() as file:
        return digests_of(file)
