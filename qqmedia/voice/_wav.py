"""Reads and writes plain WAV files, without any help."""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import Collector, Pcm, check_whole

__all__ = ("ENCODER_RATES", "Wav", "parse_wav", "read_wav", "write_wav")

ENCODER_RATES: Final = frozenset({8_000, 12_000, 16_000, 24_000, 32_000, 48_000})

_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS: Final = {_INTEGER: (8, 16, 24, 32), _FLOAT: (32, 64)}
_BLOCK_SECONDS: Final = 0.5
_FORMAT_BYTES: Final = 16
_EXTENSIBLE_BYTES: Final = 40
# Where a program could not know the length when it began to write.
_UNKNOWN_LENGTHS: Final = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF})

# How loud each loudspeaker is in the mix, by its bit in the channel mask: as ffmpeg has it, so that all sound alike.
_FRONT, _CENTRE, _SURROUND, _SILENT = math.sqrt(0.5), 1.0, 0.5, 0.0
_SPEAKERS: Final = (
    _FRONT, _FRONT, _CENTRE, _SILENT, _SURROUND, _SURROUND, _FRONT, _FRONT, _SURROUND, _SURROUND, _SURROUND,
)  # fmt: skip
_USUAL_MASKS: Final = {1: 0b100, 2: 0b11, 6: 0b111111, 8: 0b11000111111}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav:
    """The head of a WAV file whose samples can be read here.

    Attributes:
        rate: Frames a second.
        channels: Samples in a frame.
        bits: Of one sample.
        floating: Whether samples are floating point.
        mask: Which loudspeaker each channel is for, or 0.
        start: Where the samples begin.
        size: Bytes of samples that are there.
    """

    rate: int
    channels: int
    bits: int
    floating: bool
    mask: int
    start: int
    size: int

    @property
    def frame_bytes(self) -> int:
        """Size of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def cheap(self) -> bool:
        """Whether reading it costs next to nothing: less than starting a decoder."""
        return self.channels == 1 and not self.floating


def parse_wav(data: bytes, what: str = "the WAV file") -> Wav | None:
    """Read the head; `None` where this is no WAV file, or one of a coding that is not read here.

    Raises:
        MediaFormatError: Less sound is there than the head says, whatever its coding.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    position, form = 12, b""
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if name == b"fmt ":
            form = data[position : position + size]
        elif name == b"data":
            return _head(form, position, _whole(form, size, len(data) - position, what)) if form else None
        position += size + size % 2
    return None


def _whole(form: bytes, promised: int, available: int, what: str) -> int:
    """Return how many bytes of samples there are."""
    if promised in _UNKNOWN_LENGTHS:
        return available
    a_second = struct.unpack_from("<I", form, 8)[0] if len(form) >= _FORMAT_BYTES else 0
    if a_second:
        check_whole(what, min(promised, available) / a_second, promised / a_second)
    return min(promised, available)


def _head(form: bytes, start: int, size: int) -> Wav | None:
    if len(form) < _FORMAT_BYTES:
        return None
    coding, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", form)
    mask = 0
    if coding == _EXTENSIBLE and len(form) >= _EXTENSIBLE_BYTES:
        mask, coding = struct.unpack_from("<IH", form, 20)
    if bits not in _WIDTHS.get(coding, ()) or not channels or not rate or frame_bytes != channels * bits // 8:
        return None
    floating = coding == _FLOAT
    return Wav(rate=rate, channels=channels, bits=bits, floating=floating, mask=mask, start=start, size=size)


def read_wav(wav: Wav, data: bytes, options: VoiceOptions, stop: Stop, what: str) -> Pcm:
    """Convert to mono 16-bit at the file's own rate.

    Raises:
        MediaFormatError: It has no samples, or samples that are not numbers.
        MediaTooLargeError: It is too long.
        Abandoned: `stop` was asked.
    """
    collector = Collector(options, stop, what, wav.rate)
    try:
        for block in _blocks(wav, data):
            if not collector.add(_mono(wav, block)):
                break
    except ValueError as error:
        raise MediaFormatError(f"{what} is damaged: it holds samples that are not numbers") from error
    return collector.finish("the built-in WAV reader")


def write_wav(pcm: bytes, rate: int) -> bytes:
    """Return mono 16-bit samples as a WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", _FORMAT_BYTES, _INTEGER, 1, rate, rate * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + form + struct.pack("<4sI", b"data", len(pcm)) + pcm


def _blocks(wav: Wav, data: bytes) -> Iterator[bytes]:
    end = wav.start + wav.size // wav.frame_bytes * wav.frame_bytes
    step = max(1, int(wav.rate * _BLOCK_SECONDS)) * wav.frame_bytes
    for start in range(wav.start, end, step):
        yield data[start : min(start + step, end)]


def _mono(wav: Wav, block: bytes) -> bytes:
    samples = _floats(wav, block) if wav.floating else _integers(wav, block)
    if wav.channels > 1:
        samples = _mix(samples, _weights(wav))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _integers(wav: Wav, block: bytes) -> array[int]:
    """Keep the upper 16 bits of every sample, in the byte order of this machine."""
    width = wav.bits // 8
    if width == 2:  # noqa: PLR2004 - bytes of a 16-bit sample
        little: bytes | bytearray = block
    else:
        little = bytearray(len(block) // width * 2)
        if width == 1:  # unsigned, the middle is 128
            little[1::2] = block.translate(_UNSIGNED_TO_SIGNED)
        else:
            little[0::2] = block[width - 2 :: width]
            little[1::2] = block[width - 1 :: width]
    samples = array("h", bytes(little))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _floats(wav: Wav, block: bytes) -> array[int]:
    values = array("f" if wav.bits == 32 else "d", block)  # noqa: PLR2004 - single or double precision
    if sys.byteorder == "big":
        values.byteswap()
    if any(map(math.isnan, values)):
        raise ValueError("not a number")
    return array("h", [int(max(-1.0, min(1.0, value)) * 32767) for value in values])


def _weights(wav: Wav) -> list[float]:
    mask = wav.mask or _USUAL_MASKS.get(wav.channels, 0)
    weights = [weight for bit, weight in enumerate(_SPEAKERS) if mask >> bit & 1]
    total = sum(weights)
    if len(weights) != wav.channels or not total:
        return [1 / wav.channels] * wav.channels
    return [weight / total for weight in weights]


def _mix(samples: array[int], weights: list[float]) -> array[int]:
    channels = len(weights)
    if channels == 2:  # noqa: PLR2004 - by far the most common case, and three times as fast this way
        return array("h", [(left + right) // 2 for left, right in zip(samples[0::2], samples[1::2], strict=True)])
    heard = [(weight, samples[index::channels]) for index, weight in enumerate(weights) if weight]
    mixed = [0.0] * (len(samples) // channels)
    for weight, channel in heard:
        mixed = [value + weight * sample for value, sample in zip(mixed, channel, strict=True)]
    return array("h", [int(value) for value in mixed])


_UNSIGNED_TO_SIGNED: Final = bytes(value ^ 0x80 for value in range(256))
