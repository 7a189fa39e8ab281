"""The hashes of a file that chunked upload compares, in one pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot_core.sandbox._media import HEAD_BYTES

__all__ = ("MD5_10M_BYTES", "Digests", "FoundFile", "digest_file")

# How much of a file `md5_10m` covers (PLATFORM 2.5).
MD5_10M_BYTES: Final = 10_002_432

_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Digests:
    """Hashes in lower-case hex."""

    md5: str
    sha1: str
    md5_10m: str


@dataclass(frozen=True, slots=True)
class FoundFile:
    """What a file on disk is."""

    digests: Digests
    sha256: str
    head: bytes


def digest_file(path: Path) -> FoundFile:
    """Read a file once. Blocks: call it in a thread."""
    md5 = hashlib.md5(usedforsecurity=False)
    beginning = hashlib.md5(usedforsecurity=False)
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    head, left = b"", MD5_10M_BYTES
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            if len(head) < HEAD_BYTES:
                head = (head + piece[:HEAD_BYTES])[:HEAD_BYTES]
            for digest in (md5, sha1, sha256):
                digest.update(piece)
            beginning.update(piece[:left])
            left = max(0, left - len(piece))
    return FoundFile(Digests(md5.hexdigest(), sha1.hexdigest(), beginning.hexdigest()), sha256.hexdigest(), head)
