"""Takes what a bot's author gave, and finds out whether it can be read at all.

Everything here may touch the disk, and belongs in a thread. A path is never read whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, cast

from qqmedia._digests import Digests
from qqmedia.errors import MediaSourceError, MediaTooLargeError
from qqmedia.media import FileStamp, MediaKind, Workspace
from qqmedia.sniff import HEAD_BYTES

__all__ = ("INLINE_BYTES", "Limits", "Loaded", "disk_errors", "load", "load_file", "shown", "too_large")

INLINE_BYTES: Final = 256 * 1024  # hashing this takes 0.2 ms, about what a trip to a thread costs the loop
_IN_MEMORY_BYTES: Final = 1024 * 1024  # of a file object; the rest of a larger one goes to the disk
_CHUNK_BYTES: Final = 1024 * 1024
_SHOWN_CHARACTERS: Final = 80
_NO_SPACE: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_EXPECTED: Final = "expected bytes, a path, an http(s) URL or a binary file object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is asked for.

    Attributes:
        kind: For errors.
        max_bytes: Largest content.
        hashed: Whether to hash at once, because nothing will change the content.
        digests: Of files that were read before.
    """

    kind: MediaKind
    max_bytes: int
    hashed: bool
    digests: Digests = field(default_factory=Digests, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Content that can be read, with its first bytes; `sha256` is empty when it was not hashed."""

    content: bytes | Path
    size: int
    head: bytes
    sha256: str = ""
    stamp: FileStamp | None = None
    filename: str | None = None


def load(source: object, limits: Limits, workspace: Workspace) -> Loaded:
    """Take anything but a URL.

    Raises:
        MediaSourceError: It cannot be read, is empty, or is of a type that is no source.
        MediaTooLargeError: It is larger than ``limits.max_bytes``.
    """
    match source:
        case bytes():
            return _from_bytes(source, limits)
        case bytearray() | memoryview():
            return _from_bytes(bytes(source), limits)
        case str() | os.PathLike():
            return _from_path(source, limits)
        case _ if callable(getattr(source, "read", None)):
            return _from_file_object(source, limits, workspace)
        case _:
            raise MediaSourceError(f"{limits.kind} was given as {shown(source)}; {_EXPECTED}")


def shown(source: object) -> str:
    """Return a short text for an error: what came in, never how it looks inside."""
    match source:
        case None:
            return "None"
        case bytes() | bytearray() | memoryview():
            return f"{len(source)} bytes"
        case str():
            return repr(source if len(source) <= _SHOWN_CHARACTERS else source[: _SHOWN_CHARACTERS - 3] + "...")
        case os.PathLike():
            return shown(_text_of(source))
        case _:
            return f"an object of type {type(source).__qualname__}"


def too_large(what: str, size: int, limit: int, *, at_least: bool = False) -> MediaTooLargeError:
    """Build the error with both figures and the setting."""
    more = "more than " if at_least else ""
    return MediaTooLargeError(
        f"{what} has {more}{size} bytes, {limit} are allowed; send a smaller one, or raise max_bytes"
        " (QQMEDIA_HOST_MAX_BYTES)"
    )


def _from_bytes(content: bytes, limits: Limits) -> Loaded:
    size = len(content)
    if not content:
        raise MediaSourceError(f"{limits.kind} was given as empty bytes; {_EXPECTED}")
    if size > limits.max_bytes:
        raise too_large(f"the {limits.kind}", size, limits.max_bytes)
    digest = limits.digests.of_bytes(content) if limits.hashed else ""
    return Loaded(content=content, size=size, head=content[:HEAD_BYTES], sha256=digest)


def _from_path(source: str | os.PathLike[Any], limits: Limits) -> Loaded:
    text = _text_of(source)
    if not isinstance(text, str) or not text:
        raise MediaSourceError(f"{limits.kind} was given as {text!r:.80}, which is no path; {_EXPECTED}")
    if "://" in text[:16] or text.startswith("data:"):
        raise MediaSourceError(f"{limits.kind} was given as {shown(text)}: only http and https addresses can be read")
    path = Path(text)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        _refuse(path, limits.kind, error)
    if stat.S_ISDIR(status.st_mode):
        raise MediaSourceError(f"{limits.kind} {shown(path)} is a directory; expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise MediaSourceError(f"{limits.kind} {shown(path)} is a device or a pipe; expected a file")
    return load_file(path, limits, what=f"{limits.kind} {shown(path)}")


def load_file(path: Path, limits: Limits, *, what: str, filename: str | None = None) -> Loaded:
    """Take a regular file; `what` names it in errors."""
    try:
        file = path.open("rb")
    except OSError as error:
        _refuse(path, limits.kind, error)
    with file:
        status = os.fstat(file.fileno())
        if not status.st_size:
            raise MediaSourceError(f"{what} is empty (0 bytes)")
        if status.st_size > limits.max_bytes:
            raise too_large(what, status.st_size, limits.max_bytes)
        try:
            head = file.read(HEAD_BYTES)
            stamp = FileStamp.of(status)
            digest = _digest(path, file, stamp, limits.digests) if limits.hashed else ""
        except OSError as error:
            _refuse(path, limits.kind, error)
    return Loaded(
        content=path, size=status.st_size, head=head, sha256=digest, stamp=stamp, filename=filename or path.name
    )  # fmt: skip


def _digest(path: Path, file: BinaryIO, stamp: FileStamp, digests: Digests) -> str:
    path = path.absolute()
    digest = digests.get(path, stamp)
    if digest is None:
        file.seek(0)
        digest = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
        digests.put(path, stamp, digest)
    return digest


def _from_file_object(source: Any, limits: Limits, workspace: Workspace) -> Loaded:
    start = _read(source, limits, _IN_MEMORY_BYTES + 1)
    name = getattr(source, "name", None)
    filename = Path(name).name if isinstance(name, str) else None
    if not start:
        raise MediaSourceError(f"{limits.kind} was given as {shown(source)} that is at its end: no bytes left to read")
    if len(start) <= _IN_MEMORY_BYTES:
        loaded = _from_bytes(start, limits)
        return Loaded(
            content=start, size=loaded.size, head=loaded.head, sha256=loaded.sha256, filename=filename
        )  # fmt: skip
    path, size, chunk = workspace.file(), 0, start
    with disk_errors(), path.open("wb") as spool:
        while chunk:
            size += len(chunk)
            if size > limits.max_bytes:
                raise too_large(f"the {limits.kind}", limits.max_bytes, limits.max_bytes, at_least=True)
            spool.write(chunk)
            chunk = _read(source, limits, _CHUNK_BYTES)
    return load_file(path, limits, what=f"the {limits.kind}", filename=filename)


def _read(source: Any, limits: Limits, size: int) -> bytes:
    """Read up to `size` bytes; less only at the end."""
    parts: list[bytes] = []
    while size > 0:
        try:
            part = source.read(size)
        except (OSError, ValueError) as error:  # ValueError: closed
            raise MediaSourceError(f"{limits.kind}: {shown(source)} cannot be read: {error}") from error
        if not isinstance(part, bytes | bytearray | memoryview):
            if callable(close := getattr(part, "close", None)):
                close()  # a coroutine, which would complain that nobody awaited it
            raise MediaSourceError(
                f"{limits.kind}: read() of {shown(source)} gave {type(part).__name__}; expected a file object that is"
                " opened in binary mode and not asynchronous"
            )
        if not part:
            break
        parts.append(bytes(part))
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate what can go wrong while a temporary file is written."""
    try:
        yield
    except OSError as error:
        folder = tempfile.gettempdir()
        if error.errno in _NO_SPACE:
            raise MediaSourceError(f"no space left on the disk of {folder}; make room, or set TMPDIR") from error
        raise MediaSourceError(f"a temporary file in {folder} cannot be written: {error.strerror or error}") from error


def _refuse(path: Path, kind: MediaKind, error: Exception) -> NoReturn:
    match error:
        case FileNotFoundError():
            why = f"does not exist (looked from {Path.cwd()})"
        case PermissionError():
            why = "may not be read by this user"
        case _:
            why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise MediaSourceError(f"{kind} {shown(path)} {why}; {_EXPECTED}") from error


def _text_of(source: str | os.PathLike[Any]) -> object:
    return os.fspath(source)
