"""What a silk file says about itself, without decoding it.

A silk file is a header, then packets of 20 ms: a little-endian 16-bit length, then so many bytes. The header is
``#!SILK_V3``; Tencent's begins with one byte ``02`` more. Silk's own tools end a file with the length -1 (``ff ff``),
Tencent's has no such mark, and QQ refuses a file with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qqmedia.errors import MediaFormatError
from qqmedia.sniff import HEAD_BYTES, looks_like_text, sniff

__all__ = ("MAGIC", "SilkInfo", "cut_silk", "inspect_silk", "is_silk", "repair_silk")

MAGIC: Final = b"\x02#!SILK_V3"
_PLAIN_MAGIC: Final = MAGIC[1:]
_END_MARK: Final = b"\xff\xff"
_PACKET_SECONDS: Final = 0.02
_LONGEST_PACKET: Final = 1024  # bytes; no decoder takes more
_LENGTH_BYTES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SilkInfo:
    """What was found in a whole and valid silk file.

    Attributes:
        seconds: Length: 0.02 for each packet.
        packets: Number of packets, at least 1.
        size: Of the file, in bytes.
        tencent: Whether it has the header that QQ wants; `repair_silk` gives it one.
    """

    seconds: float
    packets: int
    size: int
    tencent: bool

    @property
    def bitrate(self) -> int:
        """Bits per second, on average."""
        return round(self.size * 8 / self.seconds)


def is_silk(data: bytes) -> bool:
    """Whether the bytes begin as silk, Tencent's or any other; only the first ten count."""
    return data.startswith((MAGIC, _PLAIN_MAGIC))


def inspect_silk(data: bytes) -> SilkInfo:
    """Look at a silk file, packet by packet; a minute takes well under a millisecond.

    Raises:
        MediaFormatError: It is not silk, or it is damaged; the text says where.
    """
    start = _header_length(data)
    end, packets = _walk(data, start)
    rest = len(data) - end
    if not packets:
        raise MediaFormatError(f"the silk file holds no whole packet in its {len(data)} bytes: it is empty or damaged")
    if rest:
        raise MediaFormatError(f"the silk file {_fault(data, end, packets)}")
    return _info(data, packets)


def repair_silk(data: bytes) -> bytes:
    """Return the file as QQ takes it: with Tencent's header and nothing behind the last whole packet.

    A valid file is returned as it is. What can be cut is an end mark with whatever follows it, or less than one packet.

    Raises:
        MediaFormatError: It is not silk, holds no whole packet, or is damaged in the middle.
    """
    start = _header_length(data)
    end, packets = _walk(data, start)
    rest = len(data) - end
    if not packets:
        raise MediaFormatError(f"the silk file holds no whole packet in its {len(data)} bytes: it is empty or damaged")
    ended = data.startswith(_END_MARK, end)
    if rest > _LENGTH_BYTES + _LONGEST_PACKET and not ended:
        raise MediaFormatError(f"the silk file is damaged and cannot be repaired: it {_fault(data, end, packets)}")
    if not rest and start == len(MAGIC):
        return data
    return MAGIC + data[start:end]


def cut_silk(data: bytes, seconds: float) -> bytes:
    """Return the first seconds (at least one packet) of a valid silk file."""
    position = _header_length(data)
    for _ in range(max(1, round(seconds / _PACKET_SECONDS))):
        if position >= len(data):
            break
        position += _LENGTH_BYTES + int.from_bytes(data[position : position + _LENGTH_BYTES], "little")
    return data[:position]


def _info(data: bytes, packets: int) -> SilkInfo:
    seconds = round(packets * _PACKET_SECONDS, 2)
    return SilkInfo(seconds=seconds, packets=packets, size=len(data), tencent=data.startswith(MAGIC))


def _header_length(data: bytes) -> int:
    for magic in (MAGIC, _PLAIN_MAGIC):
        if data.startswith(magic):
            return len(magic)
    raise MediaFormatError(f"not a silk file: it is {_kind(data[:HEAD_BYTES])}")


def _kind(head: bytes) -> str:
    if not head:
        return "empty"
    found = sniff(head)
    if found.extension != "bin":
        return f"{found.content_type}, by its first bytes"
    return "text, by its first bytes" if looks_like_text(head) else "of an unknown format"


def _walk(data: bytes, position: int) -> tuple[int, int]:
    """Return the end of the last whole packet, and how many there are."""
    packets, size = 0, len(data)
    while position + _LENGTH_BYTES <= size:
        length = data[position] | data[position + 1] << 8
        if not 1 <= length <= _LONGEST_PACKET or position + _LENGTH_BYTES + length > size:
            break
        position += _LENGTH_BYTES + length
        packets += 1
    return position, packets


def _fault(data: bytes, end: int, packets: int) -> str:
    rest = len(data) - end
    where = f"after packet {packets} ({packets * _PACKET_SECONDS:.2f} s)"
    if data.startswith(_END_MARK, end):
        return f"has an end mark (ff ff) and {rest - 2} bytes behind it {where}; QQ wants none, repair_silk() cuts it"
    if rest < _LENGTH_BYTES:
        return f"has a stray byte {where}"
    length = int.from_bytes(data[end : end + _LENGTH_BYTES], "little", signed=True)
    if 1 <= length <= _LONGEST_PACKET:
        return f"is cut short {where}: the next packet has {rest - _LENGTH_BYTES} of its {length} bytes"
    return f"names an impossible packet of {length} bytes {where}; {rest} bytes cannot be read"
