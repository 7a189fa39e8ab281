"""All the digests that the platform wants of a file, in one pass over it (PLATFORM 2.5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO, Final

__all__ = ("Digests", "digests_of")

# The platform's own figure, which is not 10 MiB.
_BEGINNING_BYTES: Final = 10_002_432
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Of one file; hexadecimal, in lower case.

    Attributes:
        size: Its bytes.
        md5: Of all of it.
        sha1: Of all of it.
        sha256: Of all of it.
        md5_10m: Of its first 10 002 432 bytes; of all of it where it has no more.
    """

    size: int
    md5: str
    sha1: str
    sha256: str
    md5_10m: str


def digests_of(file: BinaryIO) -> Digests:
    """Read the file to its end, piece by piece. It blocks: call it in a thread."""
    md5 = hashlib.md5(usedforsecurity=False)
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha256 = hashlib.sha256()
    size, beginning = 0, ""
    # The pieces are cut so that one ends where the beginning does.
    while piece := file.read(min(_PIECE_BYTES, _BEGINNING_BYTES - size) if size < _BEGINNING_BYTES else _PIECE_BYTES):
        size += len(piece)
        for digest in (md5, sha1, sha256):
            digest.update(piece)
        if size == _BEGINNING_BYTES:
            beginning = md5.hexdigest()
    return Digests(
        size=size,
        md5=md5.hexdigest(),
        sha1=sha1.hexdigest(),
        sha256=sha256.hexdigest(),
        md5_10m=beginning or md5.hexdigest(),
    )
