"""Uploads without a host: as a driver gets them, and ones that can be watched while it reads them."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from qqmedia.media import FileStamp, MediaKind, Upload
from qqmedia.sniff import HEAD_BYTES, Sniffed, sniff

__all__ = ("ReadHook", "WatchedUpload", "make_content", "make_upload", "watched")

# What a content is taken for that says nothing itself.
_BY_KIND: Final = {
    MediaKind.IMAGE: Sniffed("image/png", "png", MediaKind.IMAGE),
    MediaKind.VOICE: Sniffed("audio/silk", "silk", MediaKind.VOICE),
    MediaKind.VIDEO: Sniffed("video/mp4", "mp4", MediaKind.VIDEO),
}
_HEADS: Final = {
    MediaKind.IMAGE: b"\x89PNG\r\n\x1a\n",
    MediaKind.VOICE: b"\x02#!SILK_V3",
    MediaKind.VIDEO: b"\0\0\0\x18ftypisom\0\0\0\0isommp41",
    MediaKind.FILE: b"",
}

# Of a silk file, its length in front included; the most that keeps many bytes short in seconds.
_PACKET_BYTES: Final = 1002
_LEAST_PACKET_BYTES: Final = 3

ReadHook = Callable[[int], None]
"""Called before each read of a watched upload, in the thread that reads, with the bytes that were read so far."""


def make_content(size: int, *, kind: MediaKind = MediaKind.IMAGE, seed: str = "") -> bytes:
    """Return `size` bytes that are of this kind by their first bytes; the same for the same seed.

    A voice is silk of whole packets, which a host takes as it is. Where `size` is too small for any of that, it is only
    noise.
    """
    head = _HEADS[kind] if size >= len(_HEADS[kind]) else b""
    noise = hashlib.shake_128(f"{seed}:{size}".encode()).digest(size - len(head))
    return head + (_in_packets(noise) if kind is MediaKind.VOICE and head else noise)


def _in_packets(noise: bytes) -> bytes:
    """Write the length of a packet over its first two bytes, packet after packet, to the very end."""
    content, start = bytearray(noise), 0
    while len(content) - start >= _LEAST_PACKET_BYTES:
        left = len(content) - start
        packet = left if left < _PACKET_BYTES + _LEAST_PACKET_BYTES else _PACKET_BYTES
        content[start : start + 2] = (packet - 2).to_bytes(2, "little")
        start += packet
    return bytes(content)


def make_upload(
    content: bytes | Path | None = None,
    *,
    kind: MediaKind = MediaKind.IMAGE,
    key: str | None = None,
    content_type: str | None = None,
    filename: str | None = None,
    ttl: timedelta = timedelta(hours=1),
) -> Upload:
    """Return an upload as a host would hand it to a driver, without a host.

    Args:
        content: The bytes, or a file that holds them; it is read, so call this outside the event loop then. A small
            medium of the kind by default.
        kind: What it is to the platform.
        key: Name of the object; the digest with a fitting extension by default.
        content_type: MIME type; by default what the first bytes say, and that of the kind where they say nothing.
        filename: What people see; by default the kind with the extension.
        ttl: For how long a URL must answer.
    """
    content = make_content(100, kind=kind) if content is None else content
    head, digest, size, stamp = _looked_at(content)
    found = sniff(head)
    if found.kind is not kind and kind is not MediaKind.FILE:
        found = _BY_KIND[kind]
    return Upload(
        kind=kind, content_type=content_type or found.content_type, size=size, sha256=digest, ttl=ttl, stamp=stamp,
        key=f"{digest}.{found.extension}" if key is None else key,
        filename=filename or f"{kind.value}.{found.extension}", content=content,
    )  # fmt: skip


def _looked_at(content: bytes | Path) -> tuple[bytes, str, int, FileStamp | None]:
    if isinstance(content, bytes):
        return content[:HEAD_BYTES], hashlib.sha256(content).hexdigest(), len(content), None
    status = content.stat()
    with content.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
    return head, digest, status.st_size, FileStamp.of(status)


def watched(upload: Upload, before_read: ReadHook) -> WatchedUpload:
    """Return the upload with a hook that is called before each read, and may take its time there."""
    values = {one.name: getattr(upload, one.name) for one in fields(upload)}
    return WatchedUpload(**values, before_read=before_read)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedUpload(Upload):
    """An upload that can be watched while a driver reads it.

    Attributes:
        before_read: Called before each read.
        opened: What `open` has returned so far.
    """

    before_read: ReadHook = field(repr=False, compare=False)
    opened: list[BinaryIO] = field(default_factory=list, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """As `Upload.open`."""
        file = cast("BinaryIO", _WatchedFile(Upload.open(self), self.before_read))
        self.opened.append(file)
        return file


class _WatchedFile(io.RawIOBase):
    """Reads no more than what is asked for, so that the hook knows where a driver stands."""

    def __init__(self, file: BinaryIO, before_read: ReadHook) -> None:
        self._file = file
        self._before_read = before_read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        self._before_read(self._file.tell())
        return self._file.read(-1 if size is None else size)

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")  # nobody may read past the hook

    def close(self) -> None:
        self._file.close()
        super().close()


class Gate:
    """Holds whoever reads a watched upload at one place, until it is opened.

    Not in the thread that made it: a driver that reads on the event loop would hold up whoever is to open it.
    """

    _LONGEST_SECONDS: Final = 10.0

    def __init__(self, at: int) -> None:
        self._at = at
        self._maker = threading.get_ident()
        self._reached = threading.Event()
        self._opened = threading.Event()

    @property
    def reached(self) -> bool:
        """Whether somebody stands there."""
        return self._reached.is_set()

    def open(self) -> None:
        """Let them go on."""
        self._opened.set()

    def before_read(self, position: int) -> None:
        """Wait, if this is the place."""
        if position >= self._at and not self._opened.is_set():
            self._reached.set()
            if threading.get_ident() != self._maker:
                self._opened.wait(self._LONGEST_SECONDS)
