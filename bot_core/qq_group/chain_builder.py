"""The local server under the names of AmiyaBot's `QQGroupChainBuilder`, for bots that subclass it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import qqmedia
from bot_core.qq_group.options import QQGroupChainBuilderOptions, check_options
from bot_core.qq_group.server_address import ServerAddress, server_address
from bot_core.reading import content_of
from qqmedia import ChainBuilder, MediaHost, MediaKind, MediaSource, MediaSourceError, Reach, Upload, is_url, own_url
from qqmedia.threads import Threads

__all__ = ("QQGroupChainBuilder",)


class QQGroupChainBuilder(ChainBuilder):
    """Stores media in a folder that is served, and returns their URLs. Meant to be subclassed.

    It opens with the adapter that it was given to, or for the sending of the chain that it was given to, and is closed
    with it. A program that uses it alone need not open it, and calls `close`.

    Args:
        options: Where to serve.
    """

    def __init__(self, options: QQGroupChainBuilderOptions | None = None) -> None:
        self.options = options if options is not None else QQGroupChainBuilderOptions()
        check_options("options", self.options)
        self.file_caches: dict[str, str] = {}
        self._stack: AsyncExitStack | None = None
        self._host: MediaHost | None = None
        self._address: ServerAddress | None = None
        self._base = ""  # what the URLs of the open server begin with, once one is known
        self._opening: asyncio.Lock | None = None
        self._threads: Threads | None = None
        self._platform_on_loopback = False
        self._users = 0  # blocks of `opened`

    @property
    def domain(self) -> str:
        """What the URLs begin with, without a slash at the end. Override it to name a tunnel."""
        if self._base:
            return self._base
        settings = self._settled()
        if settings.public_url:
            return f"{settings.public_url.rstrip('/').removesuffix('/resource')}/resource"
        base = own_url(
            settings.host, settings.port, tls=settings.tls,
            platform_on_loopback=self._platform_on_loopback,
        )  # fmt: skip
        return f"{base}/resource"

    def start(self) -> None:
        """Do nothing: the server starts with the adapter, or when it is used first. Exists to be overridden."""

    def temp_filename(self, suffix: str) -> tuple[str, str]:
        """Return the path for a new file, and the URL that stands for it: return it from a `get_` method.

        The file is removed (`remove_file`) once it was sent.
        """
        name = f"{secrets.token_hex(32)}.{suffix.lstrip('.')}"
        folder = Path(self.options.resource_path)
        if self._host is None:  # else it is there already
            folder.mkdir(parents=True, exist_ok=True)
        path, url = str(folder / name), f"{self.domain.rstrip('/')}/{name}"
        self.file_caches[url] = path
        return path, url

    def remove_file(self, url: str) -> None:
        """Remove the file that `temp_filename` named so; do nothing when it is not one of those, or gone."""
        path = self.file_caches.pop(url, None)
        if path is not None:
            Path(path).unlink(missing_ok=True)

    async def get_image(self, image: str | bytes) -> str | bytes:
        """Store the picture and return its URL; a link is returned as it is."""
        return await self._publish(MediaKind.IMAGE, image)

    async def get_voice(self, voice_file: str) -> str | bytes:
        """Store the voice as silk and return its URL; a link is returned as it is."""
        return await self._publish(MediaKind.VOICE, voice_file)

    async def get_video(self, video_file: str) -> str | bytes:
        """Store the video and return its URL; a link is returned as it is."""
        return await self._publish(MediaKind.VIDEO, video_file)

    async def keep(self, upload: Upload) -> str | None:
        """Store it for good, and return its URL; `None` where the server could not be started."""
        hosted = await (await self._opened()).keep(upload)
        return None if hosted.url is None else self._under_domain(hosted.url)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """What the URLs of its server begin with; empty until it is open."""
        return self._host.own_addresses if self._host is not None else ()

    async def in_thread(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Run a blocking function in the builder's share of the threads: its folder may be on a drive that hangs.

        Raises:
            MediaSourceError: It was closed meanwhile.
        """
        if self._threads is None:
            self._threads = Threads()
        return await self._threads.start(function, *args)

    @asynccontextmanager
    async def opened(self, *, platform_on_loopback: bool) -> AsyncIterator[None]:
        """Serve during the block; the last of several blocks closes what the first one opened."""
        if self._users == 0 and self._host is not None:  # somebody uses it alone, and closes it
            yield
            return
        self._platform_on_loopback = platform_on_loopback
        self._users += 1
        try:
            await self._opened()
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self.close()

    async def close(self) -> None:
        """Stop serving; do nothing when it does not serve."""
        stack, self._stack, self._host, self._base = self._stack, None, None, ""
        threads, self._threads = self._threads, None
        try:
            if stack is not None:
                await stack.aclose()
        finally:
            if threads is not None:
                threads.close(_closed_meanwhile)

    async def settle(self, kind: MediaKind, answer: MediaSource, given: MediaSource) -> MediaSource:
        """Turn what a method returned into what the platform can take; the adapter asks for it.

        A file of `temp_filename` is moved to where the server finds it; and where the platform can plainly not reach
        the server, the medium itself is returned in place of its URL.
        """
        if not is_url(answer):
            return answer
        path = self.file_caches.get(answer)
        hidden = not self._names_a_tunnel() and (await self._opened()).reach is Reach.PRIVATE
        if path is not None:
            return Path(path) if hidden else await self._publish(kind, path)
        ours = self._base and answer.startswith(self._base)
        return given if hidden and ours and not is_url(given) else answer

    async def _publish(self, kind: MediaKind, source: MediaSource) -> str | bytes:
        if is_url(source):
            return source
        host = await self._opened()
        async with host.prepare(kind, source) as upload:
            hosted = await host.publish(upload)
            if hosted.url is None:  # the server could not be started, or a plugin gave bytes of its own
                return await content_of(hosted.upload, self.in_thread)
            return self._under_domain(hosted.url)

    def _under_domain(self, url: str) -> str:
        if not url.startswith(self.own_addresses):  # a plugin's
            return url
        self._base, name = url.rsplit("/", 1)
        return f"{self.domain.rstrip('/')}/{name}"

    def _settled(self) -> ServerAddress:
        """Return what the options say, else the environment and the settings file, which is read only once."""
        if self._address is None:
            self._address = server_address(self.options)
        return self._address

    def _names_a_tunnel(self) -> bool:
        return type(self).domain is not QQGroupChainBuilder.domain

    async def _opened(self) -> MediaHost:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._host is not None:
                return self._host
            await self.in_thread(self._settled)
            settings = self.options.server_settings()
            stack = AsyncExitStack()
            host = await stack.enter_async_context(
                qqmedia.open_host("local", platform_on_loopback=self._platform_on_loopback, **settings)
            )
            self._stack, self._host = stack, host
            return host


def _closed_meanwhile() -> MediaSourceError:
    return MediaSourceError("the chain builder was closed while a medium was on its way")
