"""What came with a message: where it is, and how to have it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.reading import InThread, content_of
from qqmedia import (
    MediaFormatError,
    MediaHost,
    MediaKind,
    MediaSourceError,
    MediaTooLargeError,
    StorageMisconfiguredError,
    SupportsPublish,
    Upload,
)
from qqmedia.fetch import FetchLimits
from qqmedia.voice import SilkEncoder, VoiceOptions, decode_silk_sync, is_silk

if TYPE_CHECKING:
    from bot_core.qq_group.builders import Builder
    from bot_core.qq_group.downloads import Downloads

__all__ = ("Attachment", "HostDesk", "MediaDesk", "Shelf", "safe_name")

_MAX_BYTES: Final = 50 * 1024 * 1024
# A minute of voice is 3 MB as WAV; silk of this size would be hours.
_MAX_VOICE_BYTES: Final = 8 * 1024 * 1024
_LONGEST_VOICE_SECONDS: Final = 600.0
_TIMEOUT_SECONDS: Final = 60.0
_RAISE_BYTES: Final = "raise max_bytes"
# Without its extension; file systems take 255 bytes, and a Chinese character is three.
_LONGEST_NAME: Final = 60
_LONGEST_SUFFIX: Final = 16

# Characters that some system gives a meaning, control characters, and those that turn the reading direction.
_BAD: Final = re.compile('[\x00-\x1f\x7f<>:"/\\\\|?*\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]')
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
_SUFFIXES: Final = {"image": ".png", "voice": ".wav", "video": ".mp4", "file": ".bin"}


class MediaDesk(Protocol):
    """Fetches and stores for attachments; an adapter's, while it is open."""

    @property
    def in_thread(self) -> InThread:
        """Where files of its account are read and written, and voices decoded."""
        ...

    def fetch(self, url: str, *, filename: str, max_bytes: int, timeout: float) -> AbstractAsyncContextManager[Upload]:
        """Download it, judged as any link; it can be read until the block ends."""
        ...

    async def keep(self, upload: Upload) -> str:
        """Store it for good, and return its URL."""
        ...


class Shelf(Protocol):
    """Where a `MediaDesk` is to be had."""

    async def desk(self) -> MediaDesk:
        """Return it; raise `BotError` when nothing is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A medium that came with a message.

    Attributes:
        kind: What it is.
        url: Where the platform serves it, for a while; a voice as WAV where the platform has it so.
        name: As the sender named it; never use it as a path.
        size: In bytes, as the platform says; 0 where it does not.
        content_type: As the platform says.
        width: Of a picture, as the platform says; 0 where it does not.
        height: Of a picture, as the platform says; 0 where it does not.
        transcript: What is said in a voice, as the platform heard it; empty where it does not tell.
    """

    kind: MediaKind
    url: str
    name: str = ""
    size: int = 0
    content_type: str = ""
    width: int = 0
    height: int = 0
    transcript: str = ""
    _shelf: Shelf | None = field(default=None, repr=False, compare=False)

    @property
    def safe_name(self) -> str:
        """`name` as it can stand in a folder on any system, made up where there is none."""
        return safe_name(self.name, self.kind)

    async def download(self, *, max_bytes: int = _MAX_BYTES, timeout: float = _TIMEOUT_SECONDS) -> bytes:
        """Return its bytes. The platform's links expire: do it soon.

        Args:
            max_bytes: How large it may be.
            timeout: Seconds for all of it.

        Raises:
            MediaSourceError: It cannot be fetched, or not in time, or the link leads to a private network.
            MediaTooLargeError: It is larger.
        """
        desk = await self._desk()
        async with self._fetched(desk, max_bytes, timeout) as upload:
            return await content_of(upload, desk.in_thread)

    async def save(
        self, path: str | os.PathLike[str], *, max_bytes: int = _MAX_BYTES, timeout: float = _TIMEOUT_SECONDS
    ) -> Path:
        """Write it to a file, which is there whole or not at all; return its path.

        Args:
            path: The file, or a folder that exists: then the file is called `safe_name`, with a number where there is
                such a file already.
            max_bytes: How large it may be.
            timeout: Seconds for the download.

        Raises:
            MediaSourceError: As `download`.
            MediaTooLargeError: It is larger.
            OSError: The file cannot be written; `FileNotFoundError` without a download, where its folder is not there.
        """
        desk = await self._desk()
        target = await desk.in_thread(_target, path)
        async with self._fetched(desk, max_bytes, timeout) as upload:
            return await desk.in_thread(_write, upload, target, self.safe_name)

    async def read_wav(self, *, max_bytes: int = _MAX_VOICE_BYTES, timeout: float = _TIMEOUT_SECONDS) -> bytes:
        """Return a voice as WAV: the platform's own, else its silk decoded here, else what ffmpeg or PyAV make of it.

        Raises:
            MediaFormatError: It is no voice, or cannot be decoded here; the text says what to install.
            MediaSourceError: As `download`.
            MediaTooLargeError: It is larger.
        """
        if self.kind is not MediaKind.VOICE:
            raise MediaFormatError(f"read_wav is for voices, and this is a {self.kind} ({self.content_type or 'file'})")
        desk = await self._desk()
        content = await self.download(max_bytes=max_bytes, timeout=timeout)
        if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
            return content
        if not is_silk(content):  # AMR, or an audio file: by way of silk, which is good enough for speech
            async with SilkEncoder(VoiceOptions(max_seconds=_LONGEST_VOICE_SECONDS)) as encoder:
                content = (await encoder.encode(content)).data
        return await desk.in_thread(decode_silk_sync, content)

    async def keep(self, *, max_bytes: int = _MAX_BYTES, timeout: float = _TIMEOUT_SECONDS) -> str:
        """Store it for good through the adapter's media host, and return its URL there.

        The driver `local` keeps it in its folder, also after a restart, and stores with public URLs (``url=public``)
        keep it in the bucket: until somebody deletes it by hand. Presigned URLs end after a week, which the log says
        once. A chain builder of one's own is asked for a URL as for a picture. The URL can be sent again, also where
        only this machine can fetch it.

        Raises:
            StorageError: It could not be stored, or this host stores nothing.
            MediaSourceError: As `download`.
            MediaTooLargeError: It is larger.
        """
        desk = await self._desk()
        async with self._fetched(desk, max_bytes, timeout) as upload:
            return await desk.keep(upload)

    @asynccontextmanager
    async def _fetched(self, desk: MediaDesk, max_bytes: int, timeout: float) -> AsyncIterator[Upload]:
        if self.size > max_bytes:
            raise MediaTooLargeError(f"the {self.kind} has {self.size} bytes, {max_bytes} are allowed; {_RAISE_BYTES}")
        async with desk.fetch(self.url, filename=self.safe_name, max_bytes=max_bytes, timeout=timeout) as upload:
            yield upload

    async def _desk(self) -> MediaDesk:
        if self._shelf is None:
            raise MediaSourceError("this attachment did not come through a running bot; fetch its url yourself")
        return await self._shelf.desk()


class HostDesk:
    """A `MediaDesk` over the adapter's media host.

    Args:
        builder: The adapter's builder.
        host: Prepares; the builder itself where it has the wide face.
        downloads: Fetches.
        in_thread: Where files of the account are read and written.
    """

    def __init__(self, builder: Builder, host: SupportsPublish, downloads: Downloads, in_thread: InThread) -> None:
        self.in_thread = in_thread
        self._builder = builder
        self._host = host
        self._downloads = downloads

    @asynccontextmanager
    async def fetch(self, url: str, *, filename: str, max_bytes: int, timeout: float) -> AsyncIterator[Upload]:
        """Download it as a file: nothing is converted."""
        limits = FetchLimits(
            max_bytes=max_bytes, seconds=timeout, larger=_RAISE_BYTES, longer="give it a longer timeout",
            refused="the platform's links expire, so fetch soon what you want to have",
        )  # fmt: skip
        async with AsyncExitStack() as stack:
            content = await self._downloads.fetch(url, stack, limits)
            yield await stack.enter_async_context(self._host.prepare(MediaKind.FILE, content, filename=filename))

    async def keep(self, upload: Upload) -> str:
        """Store it; a stranger's builder is asked as it is for a picture."""
        url: str | None
        if isinstance(self._builder, MediaHost):
            url = (await self._builder.keep(upload)).url
        elif isinstance(self._builder, QQGroupChainBuilder):
            url = await self._builder.keep(upload)
        elif isinstance(self._builder, SupportsPublish):
            url = (await self._builder.publish(upload)).url
        else:
            answer = self._builder.get_image(await content_of(upload, self.in_thread))
            answer = await answer if hasattr(type(answer), "__await__") else answer
            url = answer if isinstance(answer, str) and answer.startswith(("http://", "https://")) else None
        if url is None:
            raise StorageMisconfiguredError(
                f"this media host stores nothing, so nothing can be kept; {self._way_out()}"
            )
        return url

    def _way_out(self) -> str:
        builder = self._builder
        if isinstance(builder, QQGroupChainBuilder) or (isinstance(builder, MediaHost) and builder.idle):
            return "a warning at the start says why (another program has the port, say: set QQMEDIA_LOCAL_PORT)"
        return "choose a driver that does (QQMEDIA_DRIVER)"


def safe_name(name: str, kind: MediaKind = MediaKind.FILE) -> str:
    """Return a file name that is harmless on any system: no folders, no devices, no hidden files, not too long."""
    name = _BAD.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > _LONGEST_SUFFIX:
        stem, suffix = name, _SUFFIXES[kind.value].lstrip(".") if not name else ""
    stem = (stem or kind.value)[:_LONGEST_NAME].rstrip(" .") or kind.value
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return f"{stem}.{suffix}" if suffix else stem


def _target(path: str | os.PathLike[str]) -> Path:
    """Return where it goes; raise where there is no such folder. With a slash at its end, a path means a folder."""
    target = Path(path)
    folder = target if os.fspath(path).endswith(("/", os.sep)) else target.parent
    if not (target.is_dir() or folder.is_dir()):
        raise FileNotFoundError(f"cannot save {os.fspath(path)!r}: no folder {str(folder)!r}; make it first")
    return target


def _write(upload: Upload, path: Path, name: str) -> Path:
    claimed = path.is_dir()
    if claimed:
        path = _claim(path / name)
    partial = path.with_name(f".{uuid4().hex}.part")
    try:
        with upload.open() as source, partial.open("xb") as out:
            shutil.copyfileobj(source, out)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        if claimed:
            path.unlink(missing_ok=True)
        raise
    return path


def _claim(path: Path) -> Path:
    """Make an empty file of this name, or of the next one that nobody has."""
    for number in count(1):
        free = path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
        try:
            free.touch(exist_ok=False)
        except FileExistsError:
            continue
        return free
    raise AssertionError("unreachable")
