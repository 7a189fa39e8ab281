"""Decides, in this one place, which way each medium goes; and remembers what the platform has already.

The ways, best first: a `file_info` that is still good; the link that the author gave; a URL of the media host, where
the platform can fetch it; the bytes themselves. Where one fails, the next is taken. ``docs/media-ways.md`` has them as
a table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bot_core.adapter import Delivery
from bot_core.errors import OpenAPIError
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.values import FileInfo, Target
from bot_core.qq_group.builders import Builder, as_builder, ask, check_link
from bot_core.qq_group.cards import Cards
from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.qq_group.file_info import FileInfoKey, FileInfoStore, usable_seconds
from bot_core.qq_group.media import FILE_TYPES, Ready, as_card, delivery_of, last_part, parts_of
from bot_core.qq_group.reaching import may_fetch, may_fetch_from
from bot_core.qq_group.reuse import Reuse
from bot_core.qq_group.trying import Sleep, Trail, may_pass, repeat
from bot_core.reading import InThread
from qqmedia import (
    DriverBrokenError,
    HostedMedia,
    MediaError,
    MediaKind,
    MediaSource,
    StorageError,
    SupportsPublish,
    Upload,
    is_url,
    safe_format,
)

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.bytes_way import BytesWay
    from bot_core.qq_group.downloads import Downloads
    from bot_core.qq_group.render import Medium
    from bot_core.qq_group.rescue import Rescue

__all__ = ("Ready", "Uploads")

_FORMAT_REFUSED: Final = frozenset({850019, 40034002})
# Before the platform is asked to fetch the same URL once more, as hiccups are common.
_FETCH_AGAIN_SECONDS: Final = 0.5
_FETCH_RETRIES: Final = 1


@dataclass(frozen=True, slots=True)
class _Got:
    """What an upload came to."""

    info: FileInfo
    delivery: Delivery


class Uploads:
    """Makes media ready and gets a `file_info` for them.

    Args:
        appid: The bot.
        api: Where `post_file` is.
        builder: The adapter's builder: a host (`SupportsPublish`), or a stranger's object of the narrow face.
        host: Makes media ready where the builder in charge is a stranger's.
        store: Where each `file_info` is kept.
        downloads: Fetches links; lent to others.
        bytes_way: Takes bytes to the platform.
        rescue: Remembers ways that failed.
        in_thread: Where files are read.
        reuse_across_chats: Whether a `file_info` is used in other chats of its scene.
        platform_on_loopback: The platform can fetch loopback addresses.
        fetch_seconds: How long the platform may take to fetch a URL, and to convert what it got.
        clock: Seconds; only differences count.
        sleep: Waits between tries.
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
        bytes_way: BytesWay,
        rescue: Rescue,
        in_thread: InThread,
        reuse_across_chats: bool = True,
        platform_on_loopback: bool = False,
        fetch_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._appid = appid
        self._api = api
        self._builder = builder
        self._wide = builder if isinstance(builder, SupportsPublish) else None
        self._host = host
        self._store = store
        self.downloads = downloads
        self._bytes_way = bytes_way
        self._rescue = rescue
        self._in_thread = in_thread
        self._reuse = Reuse(on=reuse_across_chats)
        self._platform_on_loopback = platform_on_loopback
        self._fetch_seconds = fetch_seconds
        self._clock = clock
        self._sleep = sleep
        self._cards = Cards(clock)
        self._running: dict[FileInfoKey, asyncio.Future[_Got | OpenAPIError | None]] = {}

    # --- before the first message leaves

    async def prepare(self, medium: Medium, chain_builder: Builder | None, stack: AsyncExitStack) -> Ready:
        """Make a medium ready; it can be sent until `stack` closes. The platform is not called.

        Raises:
            MediaError: It cannot be sent; the text says why and what to do.
        """
        kind, given, filename = parts_of(medium)
        builder, wide = self._in_charge(medium, chain_builder)
        source = given if wide is not None else await self._ask(builder, kind, given, stack)
        if is_url(source):
            check_link(kind, source)
            if not self._wants_download(medium):
                return Ready(kind, link=source, filename=filename, given=given, stack=stack)
            filename = filename or last_part(source)
            source = await self.downloads.fetch(source, stack)
        host = wide or self._host
        upload = await stack.enter_async_context(host.prepare(kind, source, filename=filename))
        filename = filename or upload.filename
        # What cannot be made playable is a file by now, where the settings want that.
        return Ready(upload.kind, upload=upload, host=wide, filename=filename, given=given, stack=stack)

    # --- for each message

    async def file_info(self, ready: Ready, target: Target) -> tuple[str, Delivery]:
        """Return a `file_info` that is good in this chat, and how it was come by.

        The same bytes are uploaded once, also when many chats want them at the same time. A medium whose format the
        platform refuses altogether may come as a file card: then the delivery's kind is `file`.

        Raises:
            OpenAPIError: The platform does not take it.
            MediaError: It cannot be read any more.
        """
        if ready.upload is None:
            return await self._by_link(ready, target)
        return await self._by_content(ready, ready.upload, target, Trail())

    async def forget(self, ready: Ready, file_info: str, target: Target) -> None:
        """Forget this `file_info`, which the platform would not have; a newer one that is there already is kept."""
        key = self._reuse.refused(file_info, target)
        if key is None and ready.upload is not None:  # kept by an earlier process
            key = self._key(ready, ready.upload, target)
        if key is not None and await self._store.get(key) == file_info:
            await self._store.drop(key)

    def passes_over(self, host: SupportsPublish) -> bool:
        """Return whether this media host is of no use for the moment."""
        return self._rescue.passes_over_host(host)

    # --- links

    async def _by_link(self, ready: Ready, target: Target) -> tuple[str, Delivery]:
        """Let the platform fetch it; where it cannot, upload what the author gave, or what is behind the link."""
        trail = Trail()
        passed_over = self._rescue.passes_over(ready.link)
        got = None if passed_over else await self._by_url(ready, target, ready.link, trail)
        if isinstance(got, FileInfo):
            return _fetched(ready, got, trail)
        try:
            upload = await self._behind_link(ready)
        except MediaError as error:
            if got is None:  # passed over, which is no reason to give up
                got = await self._by_url(ready, target, ready.link, trail)
            if isinstance(got, FileInfo):
                return _fetched(ready, got, trail)
            raise _neither(got, error) from error
        ready = replace(ready, link="", upload=upload, host=None, filename=ready.filename or upload.filename)
        return await self._by_content(ready, upload, target, trail)

    async def _behind_link(self, ready: Ready) -> Upload:
        stack = ready.stack
        name = ready.filename or last_part(ready.link)
        if ready.given is not None and not is_url(ready.given):
            try:
                return await stack.enter_async_context(self._host.prepare(ready.kind, ready.given, filename=name))
            except MediaError:  # a file object that the builder has read to its end
                pass
        source = await self.downloads.fetch(ready.link, stack)
        return await stack.enter_async_context(self._host.prepare(ready.kind, source, filename=name))

    # --- content, by its digest

    async def _by_content(self, ready: Ready, upload: Upload, target: Target, trail: Trail) -> tuple[str, Delivery]:
        key = self._key(ready, upload, target)
        if key in self._cards:
            ready = as_card(ready)
            key = self._key(ready, upload, target)
        while (running := self._running.get(key)) is not None:
            await asyncio.wait([running])
            outcome = running.result()
            if isinstance(outcome, OpenAPIError):
                raise outcome
            if outcome is not None:
                return self._handed(outcome.info.file_info, target, _from_cache(outcome.delivery))
        return await self._lead(key, ready, upload, target, trail)

    async def _lead(
        self, key: FileInfoKey, ready: Ready, upload: Upload, target: Target, trail: Trail
    ) -> tuple[str, Delivery]:
        """Look and upload for all that want the same: they wait for the future, and go on if it brings nothing."""
        outcome = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            known = await self._store.get(key)
            if known is not None:
                delivery = delivery_of(ready, upload, "cache", Trail())
                outcome.set_result(_Got(FileInfo(file_info=known, ttl_seconds=None, file_uuid="", raw={}), delivery))
                return self._handed(known, target, delivery)
            asked = self._clock()
            got = await self._upload(ready, upload, target, trail)
            await self._keep(key, ready, got, target, spent=self._clock() - asked)
        except OpenAPIError as error:
            if kind_of(error) is not CodeKind.TARGET:  # that chat is muted or gone, and others may not be
                outcome.set_result(error)
            raise
        else:
            outcome.set_result(got)
            return got.info.file_info, got.delivery
        finally:
            del self._running[key]
            if not outcome.done():
                outcome.set_result(None)

    async def _keep(self, key: FileInfoKey, ready: Ready, got: _Got, target: Target, *, spent: float) -> None:
        if got.delivery.kind != ready.kind.value:  # a card, and to be asked for as such for a while
            self._cards.add(key)
            return
        if not self._reuse.on and not key.chat:  # switched off meanwhile
            return
        self._reuse.uploaded(got.info.file_info, key, target)
        await self._store.put(key, got.info.file_info, usable_seconds(got.info.ttl_seconds, spent=spent))

    def _handed(self, file_info: str, target: Target, delivery: Delivery) -> tuple[str, Delivery]:
        self._reuse.used(file_info, target)
        return file_info, delivery

    # --- the ways

    async def _upload(self, ready: Ready, upload: Upload, target: Target, trail: Trail) -> _Got:
        hosted = await self._published(ready, upload)
        if hosted is not None:
            upload, url = hosted.upload, hosted.url  # a plugin may have answered with other bytes
            if url is not None and not self._rescue.passes_over(url):
                info = await self._by_url(ready, target, url, trail)
                if isinstance(info, FileInfo):
                    return _Got(info, delivery_of(ready, upload, "url", trail, url=url))
                if _is_about_format(info):
                    return await self._made_acceptable(ready, upload, target, trail, info)
        try:
            return await self._send_bytes(ready, upload, target, trail)
        except OpenAPIError as error:
            if not _is_about_format(error) or ready.kind is MediaKind.FILE:
                raise
            return await self._made_acceptable(ready, upload, target, trail, error)

    async def _published(self, ready: Ready, upload: Upload) -> HostedMedia | None:
        """Return where the platform can fetch it, if anywhere; `None`: the media host is of no use now."""
        host = ready.host
        on_loopback = self._platform_on_loopback
        if host is None or not may_fetch_from(host, platform_on_loopback=on_loopback):
            return None
        if self._rescue.passes_over_host(host):
            return None
        try:
            hosted = await host.publish(upload)
        except (StorageError, DriverBrokenError) as error:
            self._rescue.not_stored(host, error)
            return None
        if hosted.url is not None:
            self._rescue.gave(host, hosted.url)
        return hosted if may_fetch(hosted, host, platform_on_loopback=on_loopback) else replace(hosted, url=None)

    async def _by_url(self, ready: Ready, target: Target, url: str, trail: Trail) -> FileInfo | OpenAPIError:
        """Let the platform fetch a URL, and once again if that may help; return why not, where another way may do.

        Raises:
            OpenAPIError: No other way would do either.
        """
        name = ready.filename if ready.kind is MediaKind.FILE else None
        file_type = FILE_TYPES[ready.kind]

        async def post() -> FileInfo:
            return await self._api.post_file(
                target, file_type=file_type, url=url, file_name=name, timeout=self._fetch_seconds
            )

        try:
            return await repeat(
                lambda: trail.call(post), retries=_FETCH_RETRIES, wait=_FETCH_AGAIN_SECONDS,
                may_help=_is_about_source, sleep=self._sleep,
            )  # fmt: skip
        except OpenAPIError as error:
            if not (_is_about_format(error) or _is_about_source(error)):
                raise
            if kind_of(error) is CodeKind.MEDIA_SOURCE or isinstance(error.__cause__, TimeoutError):
                self._rescue.not_fetched(url, error)
            elif url == ready.link or not _is_about_format(error):  # else it is made anew, which is told of
                self._rescue.given_up(url, error)
            return error

    async def _made_acceptable(
        self, ready: Ready, upload: Upload, target: Target, trail: Trail, refused: OpenAPIError
    ) -> _Got:
        """Send it in a format that the platform takes, else as a file card."""
        anew = await self._anew(ready, upload)
        if anew is not None:
            try:
                got = await self._send_bytes(ready, anew, target, trail)
            except OpenAPIError as error:
                if not _is_about_format(error):
                    raise
            else:
                self._cards.tell_anew(ready, upload, anew, refused)
                return got
        note = f"a file card, as the platform does not take its format as {ready.kind.value}"
        try:
            info, delivery = await self._by_content(
                as_card(ready), replace(upload, notes=(*upload.notes, note)), target, trail
            )
        except OpenAPIError as error:
            raise refused from error
        self._cards.tell(ready, upload, refused)
        return _Got(FileInfo(file_info=info, ttl_seconds=None, file_uuid="", raw={}), delivery)

    async def _anew(self, ready: Ready, upload: Upload) -> Upload | None:
        content = await safe_format(upload)
        if content is None:
            return None
        name = upload.filename if ready.kind is MediaKind.FILE else None
        try:
            made = await ready.stack.enter_async_context(self._host.prepare(ready.kind, content, filename=name))
        except MediaError:
            return None
        if made.sha256 == upload.sha256:
            return None
        return replace(made, notes=(*upload.notes, f"made anew as {made.content_type}, as its format was refused"))

    async def _send_bytes(self, ready: Ready, upload: Upload, target: Target, trail: Trail) -> _Got:
        file_type = FILE_TYPES[ready.kind]
        info, way = await self._bytes_way.upload(
            upload, target, file_type=file_type, file_name=ready.filename, trail=trail
        )  # fmt: skip
        return _Got(info, delivery_of(ready, upload, way, trail))

    # --- who is in charge

    def _in_charge(self, medium: Medium, chain_builder: Builder | None) -> tuple[Builder, SupportsPublish | None]:
        """Return the builder in charge, and the same again where it has the wide face."""
        own = medium.builder if medium.builder is not None else chain_builder
        if own is None:
            return self._builder, self._wide
        return (own, own) if isinstance(own, SupportsPublish) else (as_builder(own), None)

    async def _ask(self, builder: Builder, kind: MediaKind, given: MediaSource, stack: AsyncExitStack) -> MediaSource:
        if not isinstance(builder, QQGroupChainBuilder):
            return await ask(builder, kind, given, self._host, self._in_thread)
        await stack.enter_async_context(builder.opened(platform_on_loopback=self._platform_on_loopback))
        answer = await ask(builder, kind, given, self._host, self._in_thread)
        if isinstance(answer, str) and answer in builder.file_caches:
            stack.push_async_callback(builder.in_thread, builder.remove_file, answer)
        return await builder.settle(kind, answer, given)

    def _wants_download(self, medium: Medium) -> bool:
        return self.downloads.options.download_media if medium.download is None else medium.download

    def _key(self, ready: Ready, upload: Upload, target: Target) -> FileInfoKey:
        # A file card keeps the name that it was uploaded with.
        name = f":{ready.filename}" if ready.kind is MediaKind.FILE else ""
        chat = "" if self._reuse.on else target.openid
        file_type = int(FILE_TYPES[ready.kind])
        return FileInfoKey(self._appid, target.scene.value, file_type, upload.sha256 + name, chat)


def _is_about_format(error: OpenAPIError) -> bool:
    return not _FORMAT_REFUSED.isdisjoint(error.codes)


def _is_about_source(error: OpenAPIError) -> bool:
    """Return whether the same once more, or another way, may do."""
    return kind_of(error) is CodeKind.MEDIA_SOURCE or may_pass(error)


def _fetched(ready: Ready, info: FileInfo, trail: Trail) -> tuple[str, Delivery]:
    return info.file_info, delivery_of(ready, None, "url", trail, url=ready.link)


def _neither(refused: OpenAPIError, error: MediaError) -> OpenAPIError:
    """Return an error that says why neither the platform nor we could have it."""
    return refused.retold(f"{refused} - and it could not be uploaded from here either: {error}")


def _from_cache(delivery: Delivery) -> Delivery:
    return replace(delivery, way="cache", tries=0, trace_ids=(), url=None)
