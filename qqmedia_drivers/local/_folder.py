"""The objects of one server on disk: written whole, found by name, gone when nobody claims them any more."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qqmedia import (
    MediaSourceError,
    StorageError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    Upload,
)
from qqmedia_drivers.local._box import Box, ServerOptions, boxes_of, expiry_of, joining, set_expiry

__all__ = ("Folder", "Found", "Stop", "StoredObject", "WriteStopped", "disk_errors")

_CHUNK_BYTES: Final = 1 << 18  # stays in the cache of a processor between reading and writing
# For how long closing waits for writes that are under way: they look at their stop flag once a chunk.
_CLOSE_SECONDS: Final = 2.0
# Windows would translate line ends without O_BINARY.
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_FULL: Final = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})  # Windows has no quota


class WriteStopped(Exception):  # noqa: N818 - not an error: whoever waited was cancelled
    """The write was given up; nothing of it is left."""


@dataclass(slots=True)
class Stop:
    """Asks a write to stop: a thread cannot be cancelled, so it looks at this.

    Attributes:
        asked: Whether it is to stop.
    """

    asked: bool = False


@dataclass(slots=True)
class _Claim:
    expires_at: float
    clock: Callable[[], float]


@dataclass(slots=True)
class StoredObject:
    """An object that this process put.

    Attributes:
        path: Where its bytes are.
        size: In bytes.
        content_type: As the upload had it.
    """

    path: Path
    size: int
    content_type: str
    claims: dict[object, _Claim] = field(default_factory=dict)

    def seconds_left(self) -> float:
        """Return for how long the longest claim on it lasts; not more than 0 when all are over."""
        return max((claim.expires_at - claim.clock() for claim in list(self.claims.values())), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that another process put."""

    path: Path
    size: int
    seconds_left: float


@contextmanager
def disk_errors(what: str, *, setting: str = "resource_path") -> Iterator[None]:
    """Translate what the disk says into a `StorageError`; `setting` chooses another place."""
    try:
        yield
    except OSError as error:
        raise _translated(error, what, setting) from error


def _translated(error: OSError, what: str, setting: str = "resource_path") -> StorageError:
    reason = error.strerror or str(error)
    kind: type[StorageError]
    if error.errno in _FULL:
        kind, reason, way_out = StorageQuotaError, f"the disk is full ({reason})", "free some space or"
    elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
        kind, way_out = StoragePermissionError, "let this user write there or"
    elif isinstance(error, FileNotFoundError):
        kind, way_out = StorageNotFoundError, "do not remove it while it is used, or"
    else:
        kind, way_out = StorageError, ""
    return kind(f"{what}: {reason}; {way_out} set another {setting}".replace("  ", " "))


class Folder:
    """The objects of one server. Reading `objects` is free; methods touch the disk: call them in a thread."""

    def __init__(self, options: ServerOptions, box: Box) -> None:
        self.objects: dict[str, StoredObject] = {}
        self._options = options
        self._box = box
        # Held for a rename, a change of times or an unlink, never while bytes are written.
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._writing = 0
        self._serial = 0
        self._closing = False
        self._undeleted: set[Path] = set()

    def put(self, owner: object, name: str, upload: Upload, clock: Callable[[], float], stop: Stop) -> None:
        """Store the upload under `name` for its `ttl` and claim it for `owner`; bytes that are there are kept.

        Few calls into the system: at each the interpreter is given to the event loop, and has to be waited for.

        Raises:
            StorageError: The disk refused.
            MediaSourceError: The upload cannot be read any more.
            WriteStopped: It was asked to, or the folder is being closed.
        """
        seconds = upload.ttl.total_seconds()
        if name in self.objects and self._extend(owner, name, _Claim(clock() + seconds, clock)):
            return
        file, temporary = self._begin()
        try:
            self._write(file, upload, stop)
            with self._lock:
                self._check(stop)
                claim = _Claim(clock() + seconds, clock)  # from now on, however long the bytes took
                stored = self.objects.get(name) or StoredObject(self._box.path / name, upload.size, upload.content_type)
                self._box.date(temporary, max(claim.expires_at, *(c.expires_at for c in stored.claims.values()), 0.0))
                _replace(temporary, stored.path)
                stored.claims[owner] = claim
                self.objects[name] = stored
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - to make a `Path` of it takes as long as a call into the system
            if isinstance(error, OSError):
                what = f"{upload.filename} cannot be stored in {self._options.resource_path}"
                raise _translated(error, what) from error
            raise
        finally:
            self._end()

    def release(self, owner: object, name: str) -> None:
        """Give up the owner's claim on `name`; the last one to do so takes the object down."""
        with self._lock:
            self._release(owner, name)
            self._retry_undeleted()

    def release_all(self, owner: object) -> None:
        """Give up every claim of `owner`."""
        with self._lock:
            names = [name for name, stored in self.objects.items() if owner in stored.claims]
        for name in names:
            self.release(owner, name)

    def find_elsewhere(self, name: str) -> Found | None:
        """Look for an object that another process put into this folder."""
        for box in boxes_of(self._options.resource_path):
            if box == self._box.path:
                continue
            try:
                status = (box / name).stat()
            except OSError:  # not there, or not ours to read
                continue
            if (left := expiry_of(status) - time.time()) > 0:
                return Found(path=box / name, size=status.st_size, seconds_left=left)
        return None

    def close(self) -> None:
        """Remove what this process put, when the writes that are under way have stopped."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        with self._idle:
            self._closing = True
            self.objects.clear()
            while self._writing and (left := deadline - time.monotonic()) > 0:
                self._idle.wait(left)
        self._box.close()

    def _extend(self, owner: object, name: str, claim: _Claim) -> bool:
        with self._lock:
            stored = self.objects.get(name)
            if stored is None:
                return False
            try:
                latest = max(claim.expires_at, *(other.expires_at for other in stored.claims.values()), 0.0)
                set_expiry(stored.path, latest)
            except OSError:  # somebody removed the file: it is written anew
                return False
            stored.claims[owner] = claim
            return True

    def _begin(self) -> tuple[int, str]:
        """Return a new file, open for writing, and its path."""
        with self._lock:
            if self._closing:
                raise WriteStopped
            try:
                begun = self._new_file()
            except FileNotFoundError:  # somebody emptied the folder while we serve it
                begun = self._begin_anew()
            except OSError as error:
                raise self._unwritable(error) from error
            self._writing += 1
            return begun

    def _new_file(self) -> tuple[int, str]:
        self._serial += 1
        path = f"{self._box.path}{os.sep}{self._serial}.part"
        return os.open(path, _NEW_FILE, 0o666), path

    def _begin_anew(self) -> tuple[int, str]:
        self.objects.clear()
        try:
            with joining(self._options.resource_path):
                emptied, self._box = self._box, Box.claim(self._options)
            emptied.close()
            return self._new_file()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StorageError:
        return _translated(error, f"{self._options.resource_path} cannot be written to")

    def _end(self) -> None:
        with self._idle:
            self._writing -= 1
            if self._closing:
                self._idle.notify_all()

    def _write(self, file: int, upload: Upload, stop: Stop) -> None:
        """Write all of the upload and close the file."""
        size = 0
        try:
            with upload.open() as source:
                while chunk := source.read(_CHUNK_BYTES):
                    self._check(stop)
                    _write_all(file, chunk)
                    size += len(chunk)
        except BaseException:
            with suppress(OSError):
                os.close(file)
            raise
        os.close(file)
        if size != upload.size:
            raise MediaSourceError(
                f"{upload.filename} changed while it was being stored: {size} bytes, not {upload.size}"
            )

    def _check(self, stop: Stop) -> None:
        if self._closing or stop.asked:
            raise WriteStopped

    def _release(self, owner: object, name: str) -> None:
        stored = self.objects.get(name)
        if stored is None:
            return
        stored.claims.pop(owner, None)
        if not stored.claims:
            del self.objects[name]
            self._unlink(stored.path)

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # Windows, in the middle of a download
            self._undeleted.add(path)
            with suppress(OSError):
                set_expiry(path, 0)  # so that no other process serves it meanwhile

    def _retry_undeleted(self) -> None:
        for path in list(self._undeleted):
            if path.name not in self.objects:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                    self._undeleted.discard(path)


def _write_all(file: int, chunk: bytes) -> None:
    written = os.write(file, chunk)
    while written < len(chunk):
        written += os.write(file, memoryview(chunk)[written:])


def _replace(part: str, path: Path) -> None:
    try:
        os.replace(part, path)  # noqa: PTH105 - as above
    except PermissionError:
        # Windows, while the same object is being downloaded: same name, same bytes.
        temporary = Path(part)
        status = temporary.stat()
        if not path.exists() or path.stat().st_size != status.st_size:
            raise
        path.touch()
        set_expiry(path, expiry_of(status))
        temporary.unlink()
