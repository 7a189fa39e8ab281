"""What an MP4 file says about its codecs: read from its table of contents, a few bytes here and there.

An MP4 is boxes within boxes, each with a length and a name (ISO 14496-12). Only their heads are read, and the
descriptions of the tracks; the pictures themselves are stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

__all__ = ("Tracks", "read_tracks")

_MOST_BOXES: Final = 10_000  # at one level; a file in fragments may have thousands
_DESCRIPTION_BYTES: Final = 4096
_LARGE: Final = 1  # the length stands behind the name, with 8 bytes
_TO_THE_END: Final = 0
_H264: Final = frozenset({b"avc1", b"avc3"})
_MP4A: Final = b"mp4a"
# What MPEG-4 calls AAC, and its older names from MPEG-2; an `mp4a` may hold MP3 as well (mp4ra.org, object types).
_AAC: Final = frozenset({None, 0x40, 0x66, 0x67, 0x68})  # `None`: it does not say
_ES: Final = 3  # tags of descriptors (ISO 14496-1)
_DECODER: Final = 4
# High 10, 4:2:2, 4:4:4 and the intra profiles: decoders in phones have none of them.
_PROFILES_OF_PHONES: Final = frozenset({66, 77, 88, 100})


@dataclass(frozen=True, slots=True)
class Tracks:
    """What kinds of tracks there are, by the names of their codecs."""

    video: tuple[str, ...]
    audio: tuple[str, ...]
    plays: bool  # on any phone


def read_tracks(file: BinaryIO, size: int) -> Tracks | None:
    """Return the tracks of an MP4 or QuickTime file; `None` where there is no table of contents that can be read."""
    for name, start, end in _boxes(file, 0, size):
        if name == b"moov":
            return _tracks(file, start, end)
    return None


def _tracks(file: BinaryIO, start: int, end: int) -> Tracks | None:
    video: list[str] = []
    audio: list[str] = []
    plays = True
    for kind, codec, description in _descriptions(file, start, end):
        if kind == b"vide":
            video.append(_text(codec))
            plays = plays and codec in _H264 and _profile(description) in _PROFILES_OF_PHONES
        elif kind == b"soun":
            audio.append(_text(codec))
            plays = plays and codec == _MP4A and _object_type(description) in _AAC
    return Tracks(tuple(video), tuple(audio), plays and bool(video)) if video or audio else None


def _descriptions(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the kind of each track, the name of its codec and the description that goes with it."""
    for name, inner, inner_end in _boxes(file, start, end):
        if name != b"trak":
            continue
        media = _find(file, (inner, inner_end), b"mdia")
        handler = media and _find(file, media, b"hdlr")
        table = media and _find(file, media, b"minf", b"stbl", b"stsd")
        if not handler or not table:
            continue
        file.seek(handler[0] + 8)
        kind = file.read(4)
        file.seek(table[0] + 8)
        description = file.read(min(_DESCRIPTION_BYTES, table[1] - table[0] - 8))
        yield kind, description[4:8], description


def _find(file: BinaryIO, within: tuple[int, int], *path: bytes) -> tuple[int, int] | None:
    found = within
    for wanted in path:
        for name, start, end in _boxes(file, *found):
            if name == wanted:
                found = (start, end)
                break
        else:
            return None
    return found


def _boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box; ends where they make no sense any more."""
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if position + 8 > end or len(head) < 8:  # noqa: PLR2004 - length and name
            return
        length, header = int.from_bytes(head[:4], "big"), 8
        if length == _LARGE:
            length, header = int.from_bytes(head[8:16], "big"), 16
        elif length == _TO_THE_END:
            length = end - position
        if length < header or position + length > end:
            return
        yield head[4:8], position + header, position + length
        position += length


def _profile(description: bytes) -> int:
    at = description.find(b"avcC")
    return description[at + 5] if 0 < at < len(description) - 5 else 0


def _object_type(description: bytes) -> int | None:
    """Return what kind of sound an `mp4a` holds, or `None` where that cannot be read."""
    at = description.find(b"esds")
    if at < 0:
        return None
    try:
        start = _in_descriptor(description, at + 8, _ES)
        flags = description[start + 2]
        start += 3 + 2 * bool(flags & 0x80) + 2 * bool(flags & 0x20)
        start += 1 + description[start] if flags & 0x40 else 0
        return description[_in_descriptor(description, start, _DECODER)]
    except (IndexError, ValueError):
        return None


def _in_descriptor(data: bytes, at: int, tag: int) -> int:
    """Return where the content begins, behind the tag and a length of up to four bytes."""
    if data[at] != tag:
        raise ValueError(tag)
    at += 1
    while data[at] & 0x80:
        at += 1
    return at + 1


def _text(codec: bytes) -> str:
    return "".join(chr(one) if 32 <= one < 127 else "?" for one in codec)  # noqa: PLR2004 - printable ASCII
