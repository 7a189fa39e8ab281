"""Decides, in this one place, which way each medium goes; and remembers what the platform has already.

The ways, best first: a `file_info` that is still good; the link that the author gave; a URL of the media host, where
the platform can fetch it; the bytes themselves. ``docs/media-ways.md`` has them as a table.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from bot_core.adapter import Delivery
from bot_core.elements import File, Image, Video, Voice
from bot_core.errors import OpenAPIError
from bot_core.openapi.values import FileInfo, FileType, Target
from bot_core.qq_group.builders import Builder, as_builder, ask, is_link
from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.qq_group.file_info import FileInfoKey, FileInfoStore, usable_seconds
from qqmedia import MediaKind, MediaSource, MediaSourceError, MediaTooLargeError, Reach, SupportsPublish, Upload

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.downloads import Downloads
    from bot_core.qq_group.render import Medium

__all__ = ("Ready", "Uploads")

_FILE_TYPES: Final = {
    MediaKind.IMAGE: FileType.IMAGE,
    MediaKind.VIDEO: FileType.VIDEO,
    MediaKind.VOICE: FileType.VOICE,
    MediaKind.FILE: FileType.FILE,
}
# Above this, encoding in place would delay other messages by more than a thread costs.
_ENCODE_IN_PLACE_BYTES: Final = 64 * 1024
# Each upload of bytes holds its body about three times over while it is encoded and sent.
_BYTES_AT_ONCE: Final = 8

logger = logging.getLogger("bot_core.qq_group")


@dataclass(frozen=True, slots=True)
class Ready:
    """A medium that can be sent.

    Attributes:
        kind: What it is.
        link: The platform is to fetch this; nothing is known of what is behind it.
        upload: What will be sent, where it is not a link.
        host: Who may publish `upload`; `None`: its bytes go up.
        filename: What people see on a file card.
    """

    kind: MediaKind
    link: str = ""
    upload: Upload | None = None
    host: SupportsPublish | None = None
    filename: str | None = None

    @property
    def hostable(self) -> bool:
        """Whether the platform may be able to fetch it."""
        return self.host is not None and self.host.reach is not Reach.PRIVATE


class Uploads:
    """Makes media ready and gets a `file_info` for them.

    Args:
        appid: The bot.
        api: Where `post_file` is.
        builder: The adapter's builder: a host (`SupportsPublish`), or a stranger's object of the narrow face.
        host: Makes media ready where the builder in charge is a stranger's.
        store: Where each `file_info` is kept.
        downloads: Fetches links.
        inline_limit: Up to how many bytes go up as `file_data`.
        platform_on_loopback: The platform can fetch loopback addresses.
        clock: Seconds; only differences count.
    """

    def __init__(
        self,
        *,
        appid: str,
        api: OpenAPIClient,
        builder: Builder,
        host: SupportsPublish,
        store: FileInfoStore,
        downloads: Downloads,
        inline_limit: int,
        platform_on_loopback: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._appid = appid
        self._api = api
        self._builder = builder
        self._wide = builder if isinstance(builder, SupportsPublish) else None
        self._host = host
        self._store = store
        self._downloads = downloads
        self._inline_limit = inline_limit
        self._platform_on_loopback = platform_on_loopback
        self._clock = clock
        self._bytes_slots = asyncio.Semaphore(_BYTES_AT_ONCE)
        self._running: dict[FileInfoKey, asyncio.Future[str | OpenAPIError | None]] = {}

    async def prepare(self, medium: Medium, chain_builder: Builder | None, stack: AsyncExitStack) -> Ready:
        """Make a medium ready; it can be sent until `stack` closes. The platform is not called.

        Raises:
            MediaError: It cannot be sent; the text says why and what to do.
        """
        kind, source, filename = _parts(medium)
        builder, wide = self._in_charge(medium, chain_builder)
        if wide is None:
            source = await self._ask(builder, kind, source, stack)
        if is_link(source):
            if not self._wants_download(medium):
                return Ready(kind, link=source, filename=filename)
            filename = filename or _last_part(source)
            source = await self._downloads.fetch(source)
        host = wide or self._host
        upload = await stack.enter_async_context(host.prepare(kind, source, filename=filename))
        ready = Ready(kind, upload=upload, host=wide, filename=filename or upload.filename)
        if not ready.hostable:
            self._check_inline(upload)
        return ready

    async def file_info(self, ready: Ready, target: Target) -> tuple[str, Delivery]:
        """Return a `file_info` that is good in this chat, and how it was come by.

        The same bytes are uploaded once, also when many chats want them at the same time.

        Raises:
            OpenAPIError: The platform does not take it.
            StorageError: It could not be published.
        """
        if ready.upload is None:
            info = await self._post(ready, target, url=ready.link)
            return info.file_info, Delivery(kind=ready.kind.value, way="url", url=ready.link)
        key = self._key(ready, ready.upload, target)
        while (running := self._running.get(key)) is not None:
            await asyncio.wait([running])
            outcome = running.result()
            if isinstance(outcome, OpenAPIError):
                raise outcome
            if outcome is not None:
                return outcome, _delivery(ready.upload, "cache", None)
        return await self._lead(key, ready, ready.upload, target)

    async def forget(self, ready: Ready, file_info: str, target: Target) -> None:
        """Forget this `file_info`, which the platform would not have; a newer one that is there already is kept."""
        if ready.upload is None:
            return
        key = self._key(ready, ready.upload, target)
        if await self._store.get(key) == file_info:
            await self._store.drop(key)

    async def _lead(self, key: FileInfoKey, ready: Ready, upload: Upload, target: Target) -> tuple[str, Delivery]:
        """Look and upload for all that want the same: they wait for the future, and go on if it brings nothing."""
        outcome = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            known = await self._store.get(key)
            if known is not None:
                outcome.set_result(known)
                return known, _delivery(upload, "cache", None)
            asked = self._clock()
            info, delivery = await self._upload(ready, upload, target)
            seconds = usable_seconds(info.ttl_seconds, spent=self._clock() - asked)
            await self._store.put(key, info.file_info, seconds)
        except OpenAPIError as error:
            outcome.set_result(error)
            raise
        else:
            outcome.set_result(info.file_info)
            return info.file_info, delivery
        finally:
            del self._running[key]
            if not outcome.done():
                outcome.set_result(None)

    async def _upload(self, ready: Ready, upload: Upload, target: Target) -> tuple[FileInfo, Delivery]:
        if ready.host is not None and ready.hostable:
            hosted = await ready.host.publish(upload)
            if hosted.url is not None and hosted.reach is not Reach.PRIVATE:
                info = await self._post(ready, target, url=hosted.url)
                return info, _delivery(upload, "url", hosted.url)
            upload = hosted.upload  # a plugin may have answered with other bytes
        self._check_inline(upload)
        async with self._bytes_slots:
            info = await self._post(ready, target, file_data=await _encoded(upload))
        return info, _delivery(upload, "bytes", None)

    async def _post(
        self, ready: Ready, target: Target, *, url: str | None = None, file_data: str | None = None
    ) -> FileInfo:
        name = ready.filename if ready.kind is MediaKind.FILE else None
        file_type = _FILE_TYPES[ready.kind]
        return await self._api.post_file(target, file_type=file_type, url=url, file_data=file_data, file_name=name)

    def _in_charge(self, medium: Medium, chain_builder: Builder | None) -> tuple[Builder, SupportsPublish | None]:
        """Return the builder in charge, and the same again where it has the wide face."""
        own = medium.builder if medium.builder is not None else chain_builder
        if own is None:
            return self._builder, self._wide
        return (own, own) if isinstance(own, SupportsPublish) else (as_builder(own), None)

    async def _ask(self, builder: Builder, kind: MediaKind, given: MediaSource, stack: AsyncExitStack) -> MediaSource:
        if not isinstance(builder, QQGroupChainBuilder):
            return await ask(builder, kind, given, asyncio.to_thread)
        await stack.enter_async_context(builder.opened(platform_on_loopback=self._platform_on_loopback))
        answer = await ask(builder, kind, given, asyncio.to_thread)
        if isinstance(answer, str) and answer in builder.file_caches:
            stack.push_async_callback(asyncio.to_thread, builder.remove_file, answer)
        return await builder.settle(kind, answer, given)

    def _wants_download(self, medium: Medium) -> bool:
        if not isinstance(medium, Image):
            return False
        return self._downloads.options.download_media if medium.download is None else medium.download

    def _check_inline(self, upload: Upload) -> None:
        if upload.size > self._inline_limit:
            raise MediaTooLargeError(
                f"{upload.kind} {upload.filename} has {_mib(upload.size)}, and there is no URL where the platform could"
                f" fetch it; bytes go up to {_mib(self._inline_limit)} (inline_limit). Set public_url "
                "(QQMEDIA_LOCAL_PUBLIC_URL) to what the outside sees of this machine, or choose a driver that has a "
                "public address (QQMEDIA_DRIVER)"
            )

    def _key(self, ready: Ready, upload: Upload, target: Target) -> FileInfoKey:
        # A file card keeps the name that it was uploaded with.
        name = f":{ready.filename}" if ready.kind is MediaKind.FILE else ""
        return FileInfoKey(self._appid, target.scene.value, int(_FILE_TYPES[ready.kind]), upload.sha256 + name)


def _parts(medium: Medium) -> tuple[MediaKind, MediaSource, str | None]:
    match medium:
        case Image(url, content):
            kind, source, name = MediaKind.IMAGE, url or content, None
        case Voice(file):
            kind, source, name = MediaKind.VOICE, file, None
        case Video(file):
            kind, source, name = MediaKind.VIDEO, file, None
        case File(file, filename):
            kind, source, name = MediaKind.FILE, file, filename
        case _:
            assert_never(medium)
    if source is None:
        raise MediaSourceError(f"{kind} is None; give bytes, a path, an http(s) link or a binary file")
    return kind, source, name


async def _encoded(upload: Upload) -> str:
    if isinstance(upload.content, bytes) and upload.size <= _ENCODE_IN_PLACE_BYTES:
        return base64.b64encode(upload.content).decode("ascii")
    return await asyncio.to_thread(lambda: base64.b64encode(upload.read()).decode("ascii"))


def _delivery(upload: Upload, way: str, url: str | None) -> Delivery:
    return Delivery(
        kind=upload.kind.value,
        way=way,
        size=upload.size,
        content_type=upload.content_type,
        url=url,
        notes=upload.notes,
    )


def _last_part(url: str) -> str | None:
    name = url.split("?", 1)[0].split("#", 1)[0].rsplit("/", 1)[-1]
    return name or None


def _mib(size: int) -> str:
    return f"{size / (1024 * 1024):.1f} MiB"
