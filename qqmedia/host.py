"""`MediaHost`: the one type that programs hold, over whatever driver was chosen.

It owns its life (opened explicitly, or by its first use) and nothing else: `_opening` decides what is open, `_prepare`
and `_publish` do the work.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from enum import Enum, auto
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from qqmedia._context import Clock, SystemClock
from qqmedia._late import Late
from qqmedia._policy import HostPolicy
from qqmedia._reach import is_url, reach_of
from qqmedia.chain_builder import ChainBuilder
from qqmedia.errors import QQMediaError
from qqmedia.media import HostedMedia, MediaKind, MediaSource, Reach, Upload, Workspace

if TYPE_CHECKING:
    import aiohttp

    from qqmedia import guard
    from qqmedia._opening import Parts
else:
    aiohttp, guard = Late("aiohttp"), Late("qqmedia.guard")

__all__ = ("HostPolicy", "MediaHost", "is_url", "open_host", "reach_of")

# For drivers to close; a bot that ends must not hang in a storage that does not answer.
_CLOSE_SECONDS: Final = 10.0
_KINDS: Final = frozenset(MediaKind)

logger = logging.getLogger("qqmedia.host")


def open_host(
    driver: str | Sequence[str] | None = None,
    /,
    *,
    policy: HostPolicy | None = None,
    check: bool = True,
    platform_on_loopback: bool = False,
    http: aiohttp.ClientSession | None = None,
    state_dir: str | os.PathLike[str] | None = None,
    plugins: Iterable[object] = (),
    **settings: Any,
) -> MediaHost:
    """Choose a driver; nothing is opened, read or imported yet.

    ::

        async with qqmedia.open_host("s3", bucket="pics") as host:
            url = await host.get_image(png_bytes)

    Where nobody enters it, the host opens by itself on first use.

    Args:
        driver: Name of an entry point in the group ``qqmedia``; ``name:section`` for the table
            ``[qqmedia.name.section]`` of ``qqmedia.toml``; several, as a list or with commas, are tried in order.
            `None` means ``QQMEDIA_DRIVER``, then `driver` in ``[qqmedia]`` of the file, then ``local``.
        policy: Limits; `None` takes ``QQMEDIA_HOST_*`` and ``[qqmedia.host]``.
        check: Let the driver try its credentials when it opens.
        platform_on_loopback: The QQ platform runs on this machine (the sandbox), so that it can fetch from loopback.
        http: A session to be shared with drivers; it is not closed.
        state_dir: Folder for secrets and other state; `None` takes ``QQMEDIA_STATE``, else the user's state folder.
        plugins: Objects with hooks, beside the installed ones.
        settings: Of the driver; of several, a mapping for each by its name: ``local={"port": 8087}``. They win over
            the environment, which wins over ``qqmedia.toml``.
    """
    return MediaHost(
        driver, policy=policy, check=check, platform_on_loopback=platform_on_loopback, http=http,
        state_dir=state_dir, plugins=plugins, settings=settings,
    )  # fmt: skip


class _State(Enum):
    NEW = auto()
    OPENING = auto()
    OPEN = auto()
    FAILED = auto()
    CLOSED = auto()


class MediaHost(ChainBuilder):
    """Makes media sendable, and stores them where they can be fetched.

    Made by `open_host`, whose arguments these are. Two more are for tests: `clock` and `resolver` (host names of
    downloads).
    """

    def __init__(
        self,
        driver: str | Sequence[str] | None = None,
        /,
        *,
        policy: HostPolicy | None = None,
        check: bool = True,
        platform_on_loopback: bool = False,
        http: aiohttp.ClientSession | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        plugins: Iterable[object] = (),
        settings: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        resolver: guard.NameResolver | None = None,
    ) -> None:
        self._request: dict[str, Any] = {
            "driver": driver, "policy": policy, "check": check, "platform_on_loopback": platform_on_loopback,
            "http": http, "state_dir": state_dir, "plugins": tuple(plugins), "settings": dict(settings or {}),
            "clock": clock or SystemClock(), "resolver": resolver,
        }  # fmt: skip
        self._platform_on_loopback = platform_on_loopback
        self._state = _State.NEW
        self._entered = False
        self._unattended = False  # opening was begun by `start`: nobody waits for its outcome
        self._keeper: asyncio.Task[None] | None = None  # opens and closes everything; ended by `aclose`
        self._settled = asyncio.Event()  # no longer opening
        self._leave = asyncio.Event()
        self._failure: Exception | None = None
        self._parts: Parts | None = None
        self._told_private = False

    # --- life

    async def __aenter__(self) -> Self:
        """Open, and return when everything is checked and ready.

        Raises:
            QQMediaError: It cannot be opened, is closed, or was entered before.
        """
        if self._entered and self._state in (_State.OPENING, _State.OPEN):
            raise QQMediaError("this media host is open already; enter it once, and share the object")
        self._entered = True
        try:
            await self._open()
        except asyncio.CancelledError:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close, unless `aclose` did."""
        if self._state is not _State.CLOSED:
            await self.aclose()

    def start(self) -> None:
        """Begin to open on the running event loop; a failure is logged, and raised at first use.

        Harmless when it is open or opening already: several bots may share one host.
        """
        if self._state is _State.CLOSED:
            raise _closed()
        if self._state is _State.NEW:
            self._unattended = True
            self._begin()

    async def aclose(self) -> None:
        """End puts that are under way, and close driver and sessions. Objects in a storage stay there.

        Raises:
            QQMediaError: It was closed before.
        """
        if self._state is _State.CLOSED:
            raise QQMediaError("this media host was closed before; close it once")
        await self._end()
        if self._failure is not None and self._parts is not None:  # it opened, and failed while it closed
            raise self._failure

    @property
    def _ready(self) -> Parts | None:
        """What it works with while it is open: nearly always, and asked for with every medium."""
        return self._parts if self._state is _State.OPEN else None

    async def _open(self) -> Parts:
        if self._state is _State.NEW:
            self._begin()
        await self._settled.wait()
        if self._state is _State.CLOSED:
            raise _closed()
        if self._parts is None:
            raise self._failure or _closed()
        return self._parts

    def _begin(self) -> None:
        self._state = _State.OPENING
        self._keeper = asyncio.create_task(self._keep(), name="qqmedia host")

    async def _keep(self) -> None:
        """Open, wait, close: in one task, because context managers may not be left in another one."""
        try:
            opening = await asyncio.to_thread(importlib.import_module, "qqmedia._opening")
            async with AsyncExitStack() as stack:
                self._parts = await opening.open_parts(opening.Request(**self._request), stack)
                self._state = _State.OPEN
                self._settled.set()
                await self._leave.wait()
                self._state = _State.CLOSED
        except Exception as error:  # noqa: BLE001 - kept for whoever uses or closes the host
            self._failure = error
            if self._unattended and self._parts is None:
                logger.error("the media host cannot be opened: %s", error)  # noqa: TRY400 - the use shows the traceback
        finally:
            self._state = _State.FAILED if self._parts is None and self._failure else _State.CLOSED
            self._settled.set()

    async def _end(self) -> None:
        keeper = self._keeper
        if keeper is not None:
            self._leave.set()
            if self._state is _State.OPENING:
                keeper.cancel()
            _, late = await asyncio.wait([keeper], timeout=_CLOSE_SECONDS)
            if late:
                logger.warning("the media host did not close within %g s; what is left is cancelled", _CLOSE_SECONDS)
                keeper.cancel()
        self._state = _State.CLOSED
        self._settled.set()

    # --- what it does

    @property
    def reach(self) -> Reach:
        """Who can fetch this host's URLs; `Reach.UNKNOWN` until it is open. Of several drivers, the best."""
        return self._parts.publisher.reach if self._parts else Reach.UNKNOWN

    @property
    def idle(self) -> bool:
        """Whether a driver hosts nothing for now (its port is taken, say), and has told why in the log."""
        return self._parts.publisher.idle if self._parts else False

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """What the URLs of drivers begin with that serve from this very machine; empty until it is open."""
        return self._parts.publisher.own_addresses if self._parts else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The drivers, in the order in which they are tried; empty until it is open."""
        return self._parts.names if self._parts else ()

    def prepare(
        self, kind: MediaKind, source: MediaSource, *, filename: str | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        """Make the source ready to be sent: read, sniffed, transformed, measured, hashed, named.

        The upload can be read until the block ends. A path must stay as it is for so long; a file object is read from
        where it stands to its end, and not closed; a URL is downloaded.

        Args:
            kind: What it is to be sent as.
            source: The medium.
            filename: What people see of a file card; by default the source's own name.

        Raises:
            MediaSourceError: It cannot be read.
            MediaFormatError: It is not of this kind.
            MediaTooLargeError: It is too large.
            TypeError: `kind` or `filename` is none.
        """
        if kind not in _KINDS:
            raise TypeError(f"kind is one of {', '.join(MediaKind)}; got {kind!r:.80}")
        if filename is not None and not isinstance(filename, str):
            raise TypeError(f"filename is a str; got {filename!r:.80}")
        return _Preparing(self._prepare, kind, source, filename)

    async def _prepare(
        self, kind: MediaKind, source: MediaSource, filename: str | None, workspace: Workspace
    ) -> Upload:
        parts = self._ready or await self._open()
        return await parts.preparer.prepare(MediaKind(kind), source, filename, workspace)

    async def publish(self, upload: Upload) -> HostedMedia:
        """Store the upload where it can be fetched; what is stored already is not stored again.

        Raises:
            StorageError: No driver could store it.
            TypeError: It is no upload.
        """
        _check_upload(upload)
        parts = self._ready or await self._open()
        return await parts.publisher.publish(upload)

    async def keep(self, upload: Upload) -> HostedMedia:
        """Store the upload for good, beside what `publish` stores for a while.

        The URL has no end (`expires_at` is `None`) where the driver can do that: `local` (in its folder, also after a
        restart), and stores with public URLs. Else it answers for a week, and a warning says so.

        Raises:
            StorageError: No driver could store it.
            TypeError: It is no upload.
        """
        _check_upload(upload)
        parts = self._ready or await self._open()
        return await parts.publisher.keep(upload)

    async def get_image(self, image: MediaSource) -> str | bytes:
        """Return a URL of the picture, or its bytes where nothing is hosted. A public URL is returned as it is."""
        return await self._prepared_and_published(MediaKind.IMAGE, image)

    async def get_voice(self, voice_file: MediaSource) -> str | bytes:
        """Return a URL of the voice as silk, or its bytes; else as `get_image`."""
        return await self._prepared_and_published(MediaKind.VOICE, voice_file)

    async def get_video(self, video_file: MediaSource) -> str | bytes:
        """Return a URL of the video, or its bytes; else as `get_image`."""
        return await self._prepared_and_published(MediaKind.VIDEO, video_file)

    async def _prepared_and_published(self, kind: MediaKind, source: MediaSource) -> str | bytes:
        if isinstance(source, str) and is_url(source):
            reach = reach_of(source, platform_on_loopback=self._platform_on_loopback)
            if reach is not Reach.PRIVATE:
                return source
        async with self.prepare(kind, source) as upload:
            hosted = await self.publish(upload)
            if hosted.url is not None:
                if hosted.reach is Reach.PRIVATE:
                    self._tell_private(hosted)
                return hosted.url
            content = hosted.upload.content
            if isinstance(content, bytes):
                return content
            parts = self._ready or await self._open()
            return await parts.resources.in_thread(hosted.upload.read)

    def _tell_private(self, hosted: HostedMedia) -> None:
        if not self._told_private:
            self._told_private = True
            logger.warning(
                "the platform cannot fetch the URLs of driver %r, as their address is private; set its public one"
                " (QQMEDIA_LOCAL_PUBLIC_URL), choose another driver (QQMEDIA_DRIVER), or upload the bytes",
                hosted.driver,
            )


class _Preparing(AbstractAsyncContextManager[Upload]):
    """The block of `MediaHost.prepare`. A class, because a generator would be a tenth of what a small picture costs."""

    def __init__(
        self,
        prepare: Callable[[MediaKind, MediaSource, str | None, Workspace], Awaitable[Upload]],
        kind: MediaKind,
        source: MediaSource,
        filename: str | None,
    ) -> None:
        self._prepare = prepare
        self._given = kind, source, filename
        self._workspace = Workspace()

    async def __aenter__(self) -> Upload:
        try:
            return await self._prepare(*self._given, self._workspace)
        except BaseException:
            await self._clean_up()
            raise

    async def __aexit__(self, *_error: object) -> None:
        await self._clean_up()

    async def _clean_up(self) -> None:
        if self._workspace.end():
            await asyncio.shield(asyncio.to_thread(self._workspace.close))


def _check_upload(upload: object) -> None:
    if not isinstance(upload, Upload):
        raise TypeError(
            f"what is published comes from prepare: async with host.prepare(kind, source) as upload; got {upload!r:.80}"
        )


def _closed() -> QQMediaError:
    return QQMediaError("this media host is closed; open another one with qqmedia.open_host")
