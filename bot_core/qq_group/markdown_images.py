"""Makes pictures in markdown visible: the platform shows nothing but what it can fetch, and needs to know its size.

There are two ways: a URL of the media host, and the platform's own store. Where one fails, the other one is taken.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from PIL import Image, UnidentifiedImageError

from bot_core.adapter import Delivery
from bot_core.errors import OpenAPIError
from bot_core.qq_group.builders import Builder, as_builder, ask
from bot_core.qq_group.reaching import may_fetch, may_fetch_from
from bot_core.reading import InThread, content_of
from qqmedia import (
    DriverBrokenError,
    MediaError,
    MediaFormatError,
    MediaKind,
    MediaSource,
    MediaSourceError,
    Reach,
    StorageError,
    StorageMisconfiguredError,
    SupportsPublish,
    Upload,
    is_url,
    reach_of,
)
from qqmedia.guard import ForbiddenAddressError, shown_url

if TYPE_CHECKING:
    from bot_core.qq_group.downloads import Downloads
    from bot_core.qq_group.hosting import Hosting
    from bot_core.qq_group.image_store import ImageStore

__all__ = ("MarkdownImages", "Shown")

Way: TypeAlias = Literal["host", "store"]

# A picture, perhaps with a title; or what only looks like one: in code, or behind a backslash.
_PICTURE: Final = re.compile(
    r"```.*?```|~~~.*?~~~|`[^`\n]*`|\\!"
    r"|!\[(?P<text>[^\]\n]*)\]\([ \t]*(?P<link><[^>\n]+>|(?:[^()\s]|\([^()\s]*\))+)"
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'))?[ \t]*\)""",
    re.DOTALL,
)
_SIZED: Final = re.compile(r"#\d+px\s+#\d+px")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of two letters or more: C:\cat.png is a path
# Windows would log in to that machine, with the password of whoever runs the bot.
_OF_OTHER_MACHINES: Final = ("//", "\\\\", "/\\", "\\/")
_PLATFORM_SCHEME: Final = "qqbot-media://"

logger = logging.getLogger("bot_core.qq_group")


@dataclass(frozen=True, slots=True)
class Shown:
    """Markdown whose pictures can be fetched.

    Attributes:
        content: The markdown.
        pictures: By the link that the author wrote: how each picture goes.
    """

    content: str
    pictures: Mapping[str, Delivery] = field(default_factory=dict)


class MarkdownImages:
    """Replaces what the platform cannot fetch by links that it can.

    Args:
        hosting: The adapter's builder and host.
        store: The platform's own store.
        downloads: Fetches links that the platform cannot fetch.
        in_thread: Where files are read.
        first: Which way is taken first.
        platform_on_loopback: The platform can fetch loopback addresses.
        passes_over: Says which media host failed a short while ago: that one is not tried before the store.
    """

    def __init__(
        self,
        hosting: Hosting,
        store: ImageStore,
        downloads: Downloads,
        in_thread: InThread,
        *,
        first: Way = "host",
        platform_on_loopback: bool,
        passes_over: Callable[[SupportsPublish], bool] = lambda _: False,
    ) -> None:
        self._hosting = hosting
        self._downloads = downloads
        self._images = store
        self._in_thread = in_thread
        self._ways: tuple[Way, ...] = ("host", "store") if first == "host" else ("store", "host")
        self._platform_on_loopback = platform_on_loopback
        self._passes_over = passes_over

    async def resolve(
        self,
        content: str,
        images: Mapping[str, MediaSource],
        chain_builder: Builder | None,
        *,
        refused: Shown | None = None,
    ) -> Shown:
        """Return the markdown with links that the platform can fetch, and sizes of the pictures that were stored.

        Public links, and those of the platform's own store, stay as they are.

        Args:
            content: The markdown.
            images: Pictures by the name that they have in it.
            chain_builder: The chain's own builder, if it has one.
            refused: What this came to before, where the platform could not fetch it: each picture then goes the other
                way, and public links are fetched from here for it.

        Raises:
            MediaError: A picture cannot be read, or is none; the text names it.
            StorageError: It cannot be stored where the platform can fetch it.
        """
        builder = chain_builder if chain_builder is not None else self._hosting.builder
        sizes: dict[str, str] = {}
        pictures: dict[str, Delivery] = {}
        parts: list[str] = []
        end = 0
        for found in _PICTURE.finditer(content):
            link = (found["link"] or "").strip("<>")
            source = self._source(link, images) if link else None
            if source is None and refused is not None and is_url(link):
                source = link
            if source is None:
                if link:
                    pictures[link] = Delivery(kind="image", way="url" if is_url(link) else "store", url=link)
                continue
            if link not in sizes:
                ways = self._ways_for(link, refused, builder)
                pictures[link], sizes[link] = await self._store(link, source, builder, ways, images)
            text = found["text"]
            text = text if _SIZED.search(text) else f"{text} {sizes[link]}".lstrip()
            parts += [content[end : found.start()], f"![{text}]({pictures[link].url})"]
            end = found.end()
        return Shown("".join([*parts, content[end:]]), pictures)

    def _ways_for(self, link: str, refused: Shown | None, builder: Builder) -> tuple[Way, ...]:
        """Return the ways to try. What was refused goes another way; a public link, none of ours, into the store."""
        if refused is None:
            failed = isinstance(builder, SupportsPublish) and self._passes_over(builder)
            return ("store", "host") if failed else self._ways
        before = refused.pictures.get(link)
        if before is None or before.way != "store":
            return ("store",)
        self._images.forget(before.url or "")
        return ("host",)

    def _source(self, link: str, images: Mapping[str, MediaSource]) -> MediaSource | None:
        """Return what has to be stored, or `None` where the link can stay."""
        if link in images:
            return images[link]
        if is_url(link):
            private = reach_of(link, platform_on_loopback=self._platform_on_loopback) is Reach.PRIVATE
            return link if private else None
        if link.startswith(_PLATFORM_SCHEME):
            return None
        if _SCHEME.match(link) or link.startswith(_OF_OTHER_MACHINES):
            raise MediaSourceError(
                f"picture {link[:80]} of the markdown cannot be shown: give an http(s) link, a path, or a name that is"
                " in images"
            )
        return link

    async def _store(
        self, link: str, source: MediaSource, builder: Builder, ways: tuple[Way, ...], images: Collection[str]
    ) -> tuple[Delivery, str]:
        """Return how it goes, and its size; `images` are the names that are known, for an error to tell."""
        wide = builder if isinstance(builder, SupportsPublish) else None
        failed: list[Exception] = []
        try:
            async with self._prepared(source, wide or self._hosting.host) as upload:
                size = await self._in_thread(_size, upload)
                for way in ways:
                    try:
                        url = await (
                            self._images.link(upload, link) if way == "store" else self._url(upload, wide, builder)
                        )
                    except (StorageError, DriverBrokenError, OpenAPIError, MediaFormatError) as error:
                        logger.info("a picture of the markdown could not be stored (%s): %s", way, error)
                        failed.append(error)
                        continue
                    if url is not None:
                        return _delivery(way, url, upload), size
        except MediaError as error:
            hint = _hint(error, link, images)
            raise type(error)(f"picture {shown_url(link)[:80]} of the markdown: {error}{hint}") from error
        why = "".join(f" ({' '.join(str(error).split())})" for error in failed)
        raise StorageMisconfiguredError(
            f"picture {link[:80]} of the markdown cannot be shown: the platform fetches such pictures by a URL, and"
            f" nothing here has a public one, nor could it be put into the platform's own store{why}. Set public_url"
            " (QQMEDIA_LOCAL_PUBLIC_URL), choose a driver that has a public address (QQMEDIA_DRIVER), or send the"
            " picture with image()"
        ) from (failed[0] if failed else None)

    @asynccontextmanager
    async def _prepared(self, source: MediaSource, host: SupportsPublish) -> AsyncIterator[Upload]:
        async with AsyncExitStack() as stack:
            if is_url(source):
                source = await self._downloads.fetch(source, stack)
            yield await stack.enter_async_context(host.prepare(MediaKind.IMAGE, source))

    async def _url(self, upload: Upload, wide: SupportsPublish | None, builder: Builder) -> str | None:
        if wide is not None:
            if not may_fetch_from(wide, platform_on_loopback=self._platform_on_loopback):
                return None
            hosted = await wide.publish(upload)
            return hosted.url if may_fetch(hosted, wide, platform_on_loopback=self._platform_on_loopback) else None
        content = await content_of(upload, self._in_thread)
        answer = await ask(as_builder(builder), MediaKind.IMAGE, content, self._hosting.host, self._in_thread)
        if not is_url(answer):
            return None
        private = reach_of(answer, platform_on_loopback=self._platform_on_loopback) is Reach.PRIVATE
        return None if private else answer


def _delivery(way: Way, url: str, upload: Upload) -> Delivery:
    return Delivery(
        kind="image", way="store" if way == "store" else "url", size=upload.size, content_type=upload.content_type,
        url=url, notes=upload.notes,
    )  # fmt: skip


def _hint(error: MediaError, link: str, images: Collection[str]) -> str:
    if isinstance(error, ForbiddenAddressError):
        return ': ![text](name) with images={"name": bytes}'
    if link in images or not images or is_url(link):
        return ""
    near = difflib.get_close_matches(link, images, n=1)
    known = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, sorted(images)))[:200]}"
    return f"; images has no such name, {known}"


def _size(upload: Upload) -> str:
    """Return the size as the platform wants it; only the head of the picture is read."""
    try:
        with upload.open() as file, Image.open(file) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise MediaFormatError(f"its size cannot be read: {error}") from error
    return f"#{width}px #{height}px"
