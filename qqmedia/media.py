"""Values that travel through the host: what comes in, what will be sent, where it can be fetched.

A `MediaSource` becomes an `Upload` (`MediaHost.prepare`: sniffed, transformed, measured, hashed), and an `Upload`
becomes a `HostedMedia` (`MediaHost.publish`: stored by a driver). None of these does network I/O.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from qqmedia.errors import MediaSourceError

__all__ = ("LASTING", "FileStamp", "HostedMedia", "MediaKind", "MediaSource", "Reach", "Upload", "Workspace")

LASTING: Final = timedelta(days=24_855)
"""The `ttl` of what is stored for good: 68 years, the most that fits where seconds have 31 bits."""


class MediaKind(StrEnum):
    """What a medium is to the platform (its `file_type` 1 to 4)."""

    IMAGE = "image"
    VIDEO = "video"
    VOICE = "voice"
    FILE = "file"


MediaSource: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""Bytes, a path, an ``http(s)`` URL (a `str` that begins so), or a binary file object (read from where it stands)."""


class Reach(StrEnum):
    """Who can fetch a host's URLs."""

    PUBLIC = "public"
    PRIVATE = "private"  # plainly not the platform: loopback, a private address, or nothing is hosted at all
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Tells whether a file on disk is still the one that was hashed."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Take the stamp from what `os.stat` or `os.fstat` said."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Workspace:
    """A temporary folder that exists only once it is needed, and is gone when `close` returns.

    `file` and `close` touch the disk: call them outside the event loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._files = 0
        self._ended = False

    def file(self, suffix: str = "") -> Path:
        """Return a path for a new file, in a folder that only this user can read.

        Raises:
            MediaSourceError: It was ended, as nobody waits for the medium any more.
        """
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="qqmedia-"))
            self._files += 1
            path = self._folder / f"{self._files}{suffix}"
        if self._ended:  # looked at last: a folder that `end` did not see is ours to remove
            self.close()
            raise MediaSourceError("nobody waits for this medium any more")
        return path

    def end(self) -> bool:
        """Let no more files be made; return whether there is anything that `close` must remove.

        A thread cannot be cancelled: what still works for somebody who was would make them anew behind his back.
        """
        self._ended = True
        return self._folder is not None

    def close(self) -> None:
        """Remove the folder and what is in it."""
        self._ended = True
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What will be sent, exactly; readable until the `prepare` block that gave it ends.

    Attributes:
        kind: What it is to the platform.
        content_type: MIME type by the magic bytes, never by the name.
        size: In bytes; at least 1.
        sha256: Of the content, 64 lower-case hexadecimal digits.
        key: Name of the object in a storage: unguessable, the same for the same content, only ``[0-9a-z.]`` by
            default, with the extension that fits `content_type`. Same key, same bytes.
        filename: What people may see (a file card). Never used to find anything.
        ttl: For how long a URL of this upload must answer.
        notes: What the transforms did, for people.
        content: The bytes, or the path of a file that holds them. Read through `open`.
        stamp: Of the file, when `content` is a path.
        workspace: Where transforms and plugins may make files that are gone when the `prepare` block ends.
    """

    kind: MediaKind
    content_type: str
    size: int
    sha256: str
    key: str
    filename: str
    ttl: timedelta
    notes: tuple[str, ...] = ()
    content: bytes | Path = field(repr=False)
    stamp: FileStamp | None = field(default=None, repr=False)
    workspace: Workspace = field(default_factory=Workspace, repr=False, compare=False)

    @property
    def lasts(self) -> bool:
        """Whether it is to be stored for good; asked for only of a driver that `SupportsKeep`."""
        return self.ttl >= LASTING

    def open(self) -> BinaryIO:
        """Return a new binary file object at the start of the content; the caller closes it.

        It may be called any number of times, from any thread. For large media it reads a file, so call it and read
        from it outside the event loop.

        Raises:
            MediaSourceError: The file was changed or removed since it was prepared.
        """
        if isinstance(self.content, bytes):
            return io.BytesIO(self.content)
        try:
            file = self.content.open("rb")
        except OSError as error:
            raise MediaSourceError(f"{self.content} cannot be read any more: {error.strerror or error}") from error
        if self.stamp is not None and FileStamp.of(os.fstat(file.fileno())) != self.stamp:
            file.close()
            raise MediaSourceError(f"{self.content} changed while it was being sent; send a copy that stays as it is")
        return file

    def read(self) -> bytes:
        """Return the whole content. Only for small media: a video belongs in a stream."""
        if isinstance(self.content, bytes):
            return self.content
        with self.open() as file:
            return file.read()

    def with_content(
        self, content: bytes | Path, *, content_type: str, note: str, filename: str | None = None
    ) -> Upload:
        """Return this upload with other content, for a transform: not yet hashed, with `note` added.

        A path must come from ``workspace.file()``. It is looked at on the disk: call this outside the event loop then.
        """
        stamp = None if isinstance(content, bytes) else FileStamp.of(content.stat())
        return replace(
            self,
            content=content,
            stamp=stamp,
            size=len(content) if isinstance(content, bytes) else content.stat().st_size,
            content_type=content_type,
            filename=filename or self.filename,
            notes=(*self.notes, note),
            sha256="",
            key="",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedMedia:
    """Where an upload can be fetched.

    Attributes:
        url: Absolute ``http(s)`` URL, or `None` when this host stores nothing.
        upload: What was published.
        reach: Who can fetch `url`.
        expires_at: Until when `url` answers at least (UTC), or `None` for no limit.
        driver: Name of the driver (or plugin) that gave the URL.
    """

    url: str | None
    upload: Upload
    reach: Reach
    expires_at: datetime | None
    driver: str
