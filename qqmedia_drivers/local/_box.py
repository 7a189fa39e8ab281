"""Which processes share a folder: each has a box of its own in it, and a lock that says it is alive.

::

    resource/                   of the user, who may keep files of his own here
        .qqmedia/
            start.lock          held for the milliseconds in which somebody joins
            <id>.lock           held as long as the owner of the box lives
            <id>.json           what it serves: port, host, TLS
            <id>/               its objects
            kept/               what was stored for good (`_kept`)

A box whose lock can be taken belongs to nobody any more and is removed. Nothing else is ever removed.

The date of an object tells the other processes how long it is good: an hour from then. That is the usual life of one,
so that the system dates most of them right by itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from qqmedia_drivers.local._locks import FileLock, exclusively

__all__ = ("Box", "ServerOptions", "boxes_of", "expiry_of", "home_of", "joining", "living", "set_expiry", "sweep")

_HOME: Final = ".qqmedia"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_USUAL_SECONDS: Final = 3600.0
# Some file systems keep their dates in steps of 2 s.
_INACCURACY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What must be the same for everybody who shares a port; paths are resolved.

    Attributes:
        port: Port to listen on; 0 is any free one.
        host: Address to listen on.
        resource_path: The folder.
        ssl_certfile: Certificate chain, or `None` for plain HTTP.
        ssl_keyfile: Its key, if that is not in `ssl_certfile`.
    """

    port: int
    host: str
    resource_path: str
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    def differences(self, other: ServerOptions) -> str:
        """Say in which options the two differ, ours first; empty when they agree."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(f"{key}={mine[key]!r} here, {theirs[key]!r} there" for key in mine if mine[key] != theirs[key])


class Box:
    """The place of one server in a folder, from `claim` to `close`.

    Attributes:
        path: Where its objects are.
        dates_right: The file system goes by the clock of this machine; that of a network drive may be hours off.
    """

    def __init__(self, path: Path, lock: FileLock, *, dates_right: bool = False) -> None:
        self.path = path
        self.dates_right = dates_right
        self._lock = lock

    @classmethod
    def claim(cls, options: ServerOptions) -> Self:
        """Make a new box in the folder of `options`, held by this process; call it within `joining`."""
        home = home_of(options.resource_path)
        path = home / uuid.uuid4().hex
        lock = FileLock(path.with_suffix(".lock"))
        if not lock.acquire(create=True):
            return cls.claim(options)  # somebody took the new lock for a dead one's, in the blink before it was held
        try:
            path.mkdir()
            path.with_suffix(".json").write_text(json.dumps(asdict(options)), "utf-8")
            difference = path.with_suffix(".json").stat().st_mtime - time.time()
        except OSError:
            cls(path, lock).close()
            raise
        return cls(path, lock, dates_right=abs(difference) < _INACCURACY_SECONDS)

    def date(self, part: str, expires_at: float) -> None:
        """Date a file that was just written, unless its date is right as it is."""
        if not self.dates_right or abs(expires_at - _USUAL_SECONDS - time.time()) > _INACCURACY_SECONDS:
            set_expiry(part, expires_at)

    def close(self) -> None:
        """Remove the box with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.with_suffix(".json").unlink(missing_ok=True)
        self._lock.release()
        with suppress(OSError):  # somebody else is still in there
            self.path.parent.rmdir()


@contextmanager
def joining(resource_path: str) -> Iterator[None]:
    """Keep others from starting on this folder during the block."""
    home = home_of(resource_path)
    try:
        with exclusively(home / "start.lock"):
            yield
    finally:
        with suppress(OSError):  # as a rule somebody is in there
            home.rmdir()


def living(resource_path: str) -> list[ServerOptions]:
    """Return what living servers (of this process too) serve from this folder."""
    return [options for box in boxes_of(resource_path) if _is_alive(box) and (options := _read_options(box))]


def boxes_of(resource_path: str) -> list[Path]:
    """Return the boxes in this folder, of the living and of the dead."""
    try:
        return [path for path in home_of(resource_path).iterdir() if _ID.fullmatch(path.name)]
    except OSError:  # not there; of one that cannot be read nothing is known
        return []


def sweep(resource_path: str) -> None:
    """Remove what dead processes left in this folder."""
    for path in boxes_of(resource_path):
        lock = FileLock(path.with_suffix(".lock"))
        with suppress(PermissionError):  # of another user: not ours to judge
            if lock.acquire(create=True):
                Box(path, lock).close()
    for path in _orphans(resource_path):
        path.unlink(missing_ok=True)


def expiry_of(status: os.stat_result) -> float:
    """Return when this object expires, in seconds since the epoch."""
    return status.st_mtime + _USUAL_SECONDS


def set_expiry(path: Path | str, expires_at: float) -> None:
    """Write down when the object expires."""
    nanoseconds = max(0, int((expires_at - _USUAL_SECONDS) * 1e9))
    os.utime(path, ns=(nanoseconds, nanoseconds))


def home_of(resource_path: str) -> Path:
    """Return where everything of ours is in this folder."""
    return Path(resource_path) / _HOME


def _is_alive(box: Path) -> bool:
    lock = FileLock(box.with_suffix(".lock"))
    try:
        if not lock.acquire(create=False):
            return True
    except FileNotFoundError:
        return False
    except PermissionError:  # of another user, who will clear it himself
        return True
    lock.release()
    return False


def _orphans(resource_path: str) -> Iterator[Path]:
    """Find locks and notes whose box is gone: their owner died while it made or removed it."""
    for path in home_of(resource_path).iterdir():
        if path.suffix in (".lock", ".json") and _ID.fullmatch(path.stem) and not path.with_suffix("").exists():
            lock = FileLock(path.with_suffix(".lock"))
            with suppress(PermissionError):
                if lock.acquire(create=True):
                    lock.release()
                    yield path


def _read_options(box: Path) -> ServerOptions | None:
    try:
        raw: Any = json.loads(box.with_suffix(".json").read_text("utf-8"))
        return ServerOptions(**raw)
    except (OSError, ValueError, TypeError):  # being made or removed at this moment, or of another version
        return None
