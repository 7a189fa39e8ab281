"""The pictures within a file that says one size at its beginning and may hold another: GIF and ICO.

A decoder makes room for the larger one as soon as it gets there, so it is looked for before a decoder is let near. Only
heads are read; what is damaged ends the look, as it ends the decoder's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

from qqmedia.pictures._head import read_head

__all__ = ("size_inside",)

Size = tuple[int, int]

_DIB_OF_OS2: Final = 12  # bytes of its header, with shorter fields
_TABLE: Final = 0x80  # a flag: a table of colours follows


def size_inside(file: BinaryIO, content_type: str) -> Size:
    """Return the most pixels that any picture in the file asks for, as width and height; (0, 0) of other types."""
    reader = _READERS.get(content_type)
    return (0, 0) if reader is None else reader(file)


def _gif(file: BinaryIO) -> Size:
    """Return how far the frames reach: they may lie beyond the screen that the file announces, which grows then."""
    head = file.read(13)
    if len(head) < 13:  # noqa: PLR2004 - up to the table of colours
        return 0, 0
    width, height = 0, 0
    _skip_table(file, head[10])
    while (tag := file.read(1)) and tag != b";":
        if tag == b"!":
            file.seek(1, 1)
            _skip_blocks(file)
        elif tag == b",":
            place = file.read(9)
            if len(place) < 9:  # noqa: PLR2004 - all of it
                break
            left, top, wide, high = (int.from_bytes(place[at : at + 2], "little") for at in range(0, 8, 2))
            width, height = max(width, left + wide), max(height, top + high)
            _skip_table(file, place[8])
            file.seek(1, 1)
            _skip_blocks(file)
    return width, height


def _skip_table(file: BinaryIO, flags: int) -> None:
    if flags & _TABLE:
        file.seek(3 << (flags & 7) + 1, 1)


def _skip_blocks(file: BinaryIO) -> None:
    while (length := file.read(1)) not in (b"", b"\0"):
        file.seek(length[0], 1)


def _icon(file: BinaryIO) -> Size:
    """Return the largest picture; the table at the beginning has a byte for a side, and may lie."""
    head = file.read(6)
    table = file.read(16 * int.from_bytes(head[4:6], "little"))
    sizes: list[Size] = [(0, 0)]
    for at in range(0, len(table) - 15, 16):
        file.seek(int.from_bytes(table[at + 12 : at + 16], "little"))
        sizes.append(_in_icon(file.read(64)))
    return max(sizes, key=lambda size: size[0] * size[1])


def _in_icon(start: bytes) -> Size:
    if head := read_head(start):
        return head.width, head.height
    if start.startswith(b"\x89PNG"):  # of which the size is read before what follows it
        return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    step = 2 if int.from_bytes(start[:4], "little") == _DIB_OF_OS2 else 4
    width, height = (int.from_bytes(start[at : at + step], "little", signed=step == 4) for at in (4, 4 + step))  # noqa: PLR2004
    return abs(width), abs(height) // 2  # with its mask, the picture is twice as high


_READERS: Final[dict[str, Callable[[BinaryIO], Size]]] = {"image/gif": _gif, "image/x-icon": _icon}
