"""Small files in the state folder that several processes of one user share; blocks, so that it is called in threads."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


__all__ = ("clear_parts", "file_name", "forget", "gateway_folder", "locked", "read_whole", "write_whole")

T = TypeVar("T")

# A lock is held for a read and a write of some hundred bytes; whoever holds it longer was stopped in the middle.
_LOCK_SECONDS: Final = 5.0
_LOOK_AGAIN_SECONDS: Final = 0.01

# A file is read, or replaced, within a millisecond; a virus scanner takes its time.
_IN_USE_TRIES: Final = 20

# How systems say that somebody else has the lock; anything else means that there are no locks here (NFS without lockd).
_BUSY: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})

# Descriptors of the locks that this process holds.
_held: Final[set[int]] = set()


def _let_go() -> None:
    """Leave the locks to the parent: a worker that outlives it would hold them on, and nobody could be told why."""
    while _held:
        os.close(_held.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)


def gateway_folder(state: Path | None = None) -> Path:
    """Return the folder for what gateways keep; make it, readable by this user only.

    Raises:
        OSError: It cannot be made.
    """
    import platformdirs  # noqa: PLC0415 - only when a bot starts

    root = state or Path(os.environ.get("QQMEDIA_STATE") or platformdirs.user_state_path("qqmedia"))
    folder = root / "gateway"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def file_name(*parts: object) -> str:
    """Return a name for a file about these: readable, and different for different parts on every file system."""
    text = "\0".join(str(part) for part in parts)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", str(parts[0]))[:40]
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@contextmanager
def locked(path: Path, *, timeout: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file while the block runs. It goes with its process, however that ends, and whatever it forked.

    Raises:
        TimeoutError: Another process holds it and does not let go.
        OSError: The file cannot be made, or the folder knows no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    _held.add(descriptor)
    try:
        give_up_at = time.monotonic() + timeout
        while True:
            try:
                _try_lock(descriptor)
                break
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
                if time.monotonic() >= give_up_at:
                    raise TimeoutError(f"{path} is locked by another process") from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        yield
    finally:
        if descriptor in _held:  # not in a child, where it is closed already
            _held.discard(descriptor)
            os.close(descriptor)


def write_whole(path: Path, content: str) -> None:
    """Write a file so that a reader, and the next start, see the old content or the new, never a part.

    Raises:
        OSError: It cannot be written; the old content is still there.
    """
    handle, made = tempfile.mkstemp(prefix=_part_prefix(path), dir=path.parent)  # mode 0600
    name = Path(made)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        _unless_in_use(lambda: name.replace(path))
    except BaseException:
        with suppress(OSError):
            name.unlink()
        raise


def read_whole(path: Path) -> bytes:
    """Return the content of a file that another process may be writing.

    Raises:
        OSError: It cannot be read.
    """
    return _unless_in_use(path.read_bytes)


def forget(path: Path) -> None:
    """Delete the file, if it is there.

    Raises:
        OSError: It cannot be deleted.
    """
    _unless_in_use(lambda: path.unlink(missing_ok=True))


def _unless_in_use(act: Callable[[], T]) -> T:
    """Try again for a moment: Windows lets nobody replace a file that is being read, nor read one being replaced."""
    for _ in range(_IN_USE_TRIES - 1):
        try:
            return act()
        except PermissionError:
            time.sleep(_LOOK_AGAIN_SECONDS)
    return act()


def clear_parts(path: Path) -> None:
    """Delete what a process left that was killed while it wrote this file; nobody may be writing it.

    Raises:
        OSError: It cannot be deleted.
    """
    prefix = _part_prefix(path)
    for left in path.parent.iterdir():
        if left.name.startswith(prefix):
            left.unlink(missing_ok=True)


def _part_prefix(path: Path) -> str:
    return f".{path.name}-"
