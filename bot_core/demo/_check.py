"""Compares what arrived with what was meant."""

from __future__ import annotations

import hashlib
import io
import wave
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops, ImageStat

from bot_core.demo import _sound
from bot_core.demo._media import SILK_RATE, DemoMedia
from bot_core.demo._scenes import Expected
from bot_core.demo._sound import Sound
from qqmedia import MediaError
from qqmedia.voice import decode_silk_sync

__all__ = ("Medium", "Received", "Verdict", "check", "hear")

_KIND_OF_SUFFIX: Final = {
    ".png": "image", ".jpg": "image", ".webp": "image", ".mp4": "video", ".mp3": "voice", ".wav": "voice"
}  # fmt: skip
_CONVERTED: Final = ".webp"
_SHOWN_EVERYWHERE: Final = ("image/png", "image/jpeg", "image/gif")

# Of 255, on average; JPEG at quality 90 takes less than 2, and two pictures that show different things are above 20.
_MOST_DIFFERENCE: Final = 5
_SECONDS_OFF: Final = 0.1  # the last packet is filled up, and mp3 pads
_LOUDNESS_OFF: Final = 0.1  # as a share; silk takes a few per cent
# Silk at 24 kbit/s keeps 0.8 to 0.9 of these sounds; two different ones have 0.03 in common.
_LEAST_CORRELATION: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A medium as it arrived.

    Attributes:
        kind: What the platform took it for: `image`, `video`, `voice` or `file`.
        way: How it travelled: `url`, `bytes`, `chunks` or `cache`.
        url: What the platform fetched, if anything.
        content_type: By the magic bytes.
        seconds: Length of a voice that can be played, else `None`.
        content: The bytes.
    """

    kind: str
    way: str
    url: str | None
    content_type: str
    seconds: float | None = None
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as it arrived.

    Attributes:
        text: What people read.
        medium: What it carried, if anything.
        milliseconds: From the question to the arrival of the whole message.
    """

    text: str
    medium: Medium | None
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found.

    Attributes:
        right: Whether it arrived as it was meant.
        text: What is the same, or what is wrong: one line.
    """

    right: bool
    text: str


def hear(silk: bytes) -> Sound:
    """Decode a voice.

    Raises:
        MediaFormatError: It is not silk, or it is damaged.
    """
    with wave.open(io.BytesIO(decode_silk_sync(silk))) as sound:
        return Sound(sound.getframerate(), array("h", sound.readframes(sound.getnframes())))


def check(expected: Expected, received: Received, media: DemoMedia) -> Verdict:
    """Compare a message that arrived with what was meant.

    It reads a file and may decode a voice: call it outside the event loop.
    """
    if expected.text not in received.text:
        return _wrong(f"its text is {received.text!r}, where {expected.text!r} was expected")
    if expected.medium is None:
        if received.medium is not None:
            return _wrong(f"it carries a medium ({received.medium.kind}), none was expected")
        return Verdict(right=True, text="same text")
    if received.medium is None:
        return _wrong(f"it carries no medium, where {expected.medium} was expected")
    return _check_medium(expected.medium, expected.way, received.medium, media)


def _wrong(text: str) -> Verdict:
    return Verdict(right=False, text=text)


def _check_medium(name: str, way: str | None, medium: Medium, media: DemoMedia) -> Verdict:
    source = media.path(name)
    kind = _KIND_OF_SUFFIX[source.suffix]
    if medium.kind != kind:
        return _wrong(f"{name} arrived as {medium.kind}, not as {kind}")
    if way is not None and medium.way != way:
        return _wrong(f"{name} travelled by {medium.way}, where {way} was expected")
    if kind == "voice":
        return _check_voice(name, medium.content, media.sounds[name])
    if source.suffix == _CONVERTED:
        return _check_picture(name, medium, source)
    sent = source.read_bytes()
    if hashlib.sha256(sent).digest() != hashlib.sha256(medium.content).digest():
        return _wrong(f"{name} arrived with other bytes: {len(medium.content)} bytes, {len(sent)} were sent")
    return Verdict(right=True, text="same bytes")


def _check_picture(name: str, medium: Medium, source: Path) -> Verdict:
    """Compare what is seen, where the format had to change."""
    if medium.content_type not in _SHOWN_EVERYWHERE:
        return _wrong(f"{name} arrived as {medium.content_type}, which QQ may not show")
    with Image.open(source) as meant, Image.open(io.BytesIO(medium.content)) as seen:
        if meant.size != seen.size:
            return _wrong(
                f"{name} arrived with {seen.width} x {seen.height} pixels, not {meant.width} x {meant.height}"
            )
        off = max(ImageStat.Stat(ImageChops.difference(meant.convert("RGB"), seen.convert("RGB"))).mean)
    if off > _MOST_DIFFERENCE:
        return _wrong(f"{name} does not look like its source")
    return Verdict(right=True, text="same picture")


def _check_voice(name: str, silk: bytes, meant: Sound) -> Verdict:
    try:
        heard = hear(silk)
    except MediaError as error:
        return _wrong(f"{name} arrived as something that QQ cannot play: {error}")
    if heard.rate != SILK_RATE:
        return _wrong(f"{name} arrived with {heard.rate} samples a second, not {SILK_RATE}")
    likeness = _sound.compare(heard, meant)
    if abs(likeness.seconds) > _SECONDS_OFF:
        return _wrong(f"{name} plays for {heard.seconds:.2f} s, its source for {meant.seconds:.2f} s")
    if abs(likeness.loudness - 1) > _LOUDNESS_OFF:
        return _wrong(f"{name} plays at {likeness.loudness:.0%} of the loudness of its source")
    if likeness.correlation < _LEAST_CORRELATION:
        return _wrong(f"{name} does not sound like its source: correlation {likeness.correlation:.2f}")
    return Verdict(right=True, text=f"same sound, {likeness.loudness:.0%} as loud")
