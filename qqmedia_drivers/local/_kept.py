"""What is stored for good: beside the boxes of the processes, so that it outlives them all.

It lies under ``resource/.qqmedia/kept/`` until somebody deletes it by hand.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from qqmedia import MediaSourceError, Upload
from qqmedia_drivers.local._box import home_of
from qqmedia_drivers.local._folder import Found, Stop, WriteStopped, disk_errors

__all__ = ("find_kept", "keep")

_FOLDER: Final = "kept"
_CHUNK_BYTES: Final = 1 << 18
# What its answers claim to be good for; caches take it for ever.
_SECONDS: Final = 365 * 24 * 3600.0


def keep(resource_path: str, name: str, upload: Upload, stop: Stop) -> None:
    """Store the upload for good, unless it is there already; on any failure nothing of it is left.

    Raises:
        StorageError: The disk refused.
        MediaSourceError: The upload changed meanwhile.
        WriteStopped: It was asked to.
    """
    folder = home_of(resource_path) / _FOLDER
    if (known := find_kept(resource_path, name)) is not None and known.size == upload.size:
        return
    temporary = folder / f"{uuid.uuid4().hex}.part"
    try:
        with disk_errors(f"{upload.filename} cannot be kept in {resource_path}"):
            folder.mkdir(parents=True, exist_ok=True)
            _write(temporary, upload, stop)
            temporary.replace(folder / name)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def find_kept(resource_path: str, name: str) -> Found | None:
    """Look for an object that was stored for good, by whichever process."""
    path = home_of(resource_path) / _FOLDER / name
    try:
        return Found(path=path, size=path.stat().st_size, seconds_left=_SECONDS)
    except OSError:  # not there, or not ours to read
        return None


def _write(path: Path, upload: Upload, stop: Stop) -> None:
    with upload.open() as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            if stop.asked:
                raise WriteStopped
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())  # it is to outlive the machine's next crash too
        size = target.tell()
    if size != upload.size:
        raise MediaSourceError(f"{upload.filename} changed while it was being kept: {size} bytes, not {upload.size}")
