"""What came in: looked at before any decoder sees it, and put on the disk where a decoder needs a file."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qqmedia.errors import MediaError, MediaFormatError, MediaSourceError

__all__ = ("Input", "on_disk", "refuse_text")

_HEAD_BYTES: Final = 4096

# Text that only names sound. No decoder may follow it: it could name a local file or a server inside the network.
_PLAYLISTS: Final = (
    ("#extm3u", "m3u8"),
    ("ffconcat", "ffconcat"),
    ("[playlist]", "pls"),
    ("v=0", "SDP"),
    ("<?xml", "an XML manifest"),
    ("<mpd", "DASH"),
    ("<smil", "SMIL"),
    ("<asx", "ASX"),
    ("[reference]", "ASX"),
    ("rtsptext", "RTSP"),
)
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\v\f\r")


@dataclass(frozen=True, slots=True)
class Input:
    """A sound as it was given: bytes, or the path of a file that is read in place."""

    content: bytes | Path = field(repr=False)
    size: int
    head: bytes = field(repr=False)

    @classmethod
    def of(cls, audio: bytes | Path) -> Input:
        """Look at what was given.

        Raises:
            MediaSourceError: It is empty, of the wrong type, not a file, or cannot be read.
        """
        if isinstance(audio, bytes):
            if not audio:
                raise MediaSourceError("the voice is empty (0 bytes); give the bytes or the path of an audio file")
            return cls(audio, len(audio), audio[:_HEAD_BYTES])
        if not isinstance(audio, Path):
            raise MediaSourceError(f"a voice is given as bytes or a pathlib.Path, got {type(audio).__name__}")
        try:
            status = audio.stat()
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise MediaSourceError(f"the voice {str(audio)!r} is {kind}; give the path of an audio file")
            with audio.open("rb") as file:
                head = file.read(_HEAD_BYTES)
        except (OSError, ValueError) as error:
            if isinstance(error, MediaSourceError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise MediaSourceError(f"the voice {str(audio)!r} cannot be read: {reason}") from error
        if not head:
            raise MediaSourceError(f"the voice {str(audio)!r} is empty (0 bytes)")
        return cls(audio, status.st_size, head)

    @property
    def name(self) -> str:
        """What to call it in an error."""
        return (
            f"the voice {self.content.name!r}" if isinstance(self.content, Path) else f"the voice ({self.size} bytes)"
        )

    def read(self) -> bytes:
        """Return all of it."""
        if isinstance(self.content, bytes):
            return self.content
        try:
            return self.content.read_bytes()
        except OSError as error:
            raise MediaSourceError(f"{self.name} cannot be read: {error.strerror or error}") from error


def refuse_text(given: Input) -> None:
    """Refuse playlists and any other text.

    Raises:
        MediaFormatError: It is one; the text says which.
    """
    text = _as_text(given.head)
    if text is None:
        return
    start = text.lower()
    for mark, name in _PLAYLISTS:
        if start.startswith(mark):
            raise MediaFormatError(
                f"{given.name} is a playlist or manifest ({name}), not sound: it only names where sound could be, "
                "and nothing that a file names is ever opened; send the sound itself"
            )
    if _has_no_binary(given.head):
        raise MediaFormatError(f"{given.name} is text, not sound: it begins with {text[:40]!r}")


@contextmanager
def on_disk(given: Input) -> Iterator[Path]:
    """Give the path of a file with this content: the file itself, or a private copy that is gone afterwards.

    Raises:
        MediaError: There is no room for the copy, or no right to make one.
    """
    if isinstance(given.content, Path):
        yield given.content
        return
    path = _write_private(given.content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_private(content: bytes) -> Path:
    path: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix="qqmedia-voice-")
        path = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        if path is not None:
            path.unlink(missing_ok=True)
        raise MediaError(
            f"a voice of {len(content)} bytes could not be put into a temporary file: {error.strerror or error}; "
            "make room there, or set TMPDIR (TEMP on Windows) to another folder"
        ) from error
    return path


def _as_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) > 2:  # noqa: PLR2004 - more than the mark itself
        # An MPEG audio frame may begin with these two bytes as well; text has a zero in every second place.
        if 0 not in head[2:4]:
            return None
        text = head.decode("utf-16", errors="ignore")
    else:
        text = head.decode("utf-8-sig", errors="ignore")
    return text.lstrip()


def _has_no_binary(head: bytes) -> bool:
    if not _CONTROL.isdisjoint(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character may be cut where the head ends.
        return len(head) == _HEAD_BYTES and error.start >= len(head) - 3
    return True
