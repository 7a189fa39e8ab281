"""What a picture's first bytes say about its size, without any library and without decoding.

This runs for every picture, so it looks at a few bytes only; what it does not understand it leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ("Head", "read_head")

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST_SEGMENTS: Final = 1000  # of a JPEG before its size, or chunks of a PNG before its pixels
# Start of frame, where the size of a JPEG stands; C4, C8 and CC in between mean other things.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Head:
    """Size in pixels; and whether it moves, as far as that can be seen at once (PNG and WebP)."""

    width: int
    height: int
    animated: bool = False


def read_head(start: bytes) -> Head | None:
    """Return what the first bytes say; `None` where they are too few, damaged, or of another format."""
    for magic, reader in _READERS:
        if start.startswith(magic):
            return reader(start)
    return None


def _png(start: bytes) -> Head | None:
    if start[12:16] != b"IHDR" or len(start) < 33:  # noqa: PLR2004 - signature and the first chunk
        return None
    width, height = _big(start, 16, 4), _big(start, 20, 4)
    position = 33
    for _ in range(_MOST_SEGMENTS):
        name = start[position + 4 : position + 8]
        if name == b"IDAT":
            return Head(width, height)
        if name == b"acTL":
            return Head(width, height, animated=True)
        position += 12 + _big(start, position, 4)
        if position + 8 > len(start):
            break
    return None


def _jpeg(start: bytes) -> Head | None:
    position = 2
    for _ in range(_MOST_SEGMENTS):
        if position + 9 > len(start) or start[position] != 0xFF:  # noqa: PLR2004 - every marker begins so
            return None
        marker = start[position + 1]
        if marker in _FRAMES:
            return Head(_big(start, position + 7, 2), _big(start, position + 5, 2))
        if marker == 0xFF:  # noqa: PLR2004 - filling
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + max(2, _big(start, position + 2, 2))
    return None


def _gif(start: bytes) -> Head | None:
    return Head(_little(start, 6, 2), _little(start, 8, 2)) if len(start) >= 10 else None  # noqa: PLR2004


def _webp(start: bytes) -> Head | None:
    if start[8:12] != b"WEBP" or len(start) < 30:  # noqa: PLR2004 - up to the size, in each of its three kinds
        return None
    match start[12:16]:
        case b"VP8X":
            return Head(_little(start, 24, 3) + 1, _little(start, 27, 3) + 1, animated=bool(start[20] & 0b10))
        case b"VP8 ":
            return Head(_little(start, 26, 2) & 0x3FFF, _little(start, 28, 2) & 0x3FFF)
        case b"VP8L":
            bits = _little(start, 21, 4)
            return Head((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case _:
            return None


def _bmp(start: bytes) -> Head | None:
    if len(start) < 26:  # noqa: PLR2004 - up to the size
        return None
    if _little(start, 14, 4) == 12:  # noqa: PLR2004 - the header of OS/2
        return Head(_little(start, 18, 2), _little(start, 20, 2))
    return Head(_little(start, 18, 4), abs(int.from_bytes(start[22:26], "little", signed=True)))


def _big(data: bytes, position: int, width: int) -> int:
    return int.from_bytes(data[position : position + width], "big")


def _little(data: bytes, position: int, width: int) -> int:
    return int.from_bytes(data[position : position + width], "little")


_READERS: Final[tuple[tuple[bytes, Callable[[bytes], Head | None]], ...]] = (
    (_PNG, _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
    (b"BM", _bmp),
)
