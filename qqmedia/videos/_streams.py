"""What is in a video file, as a decoder sees it: which of it can be kept as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ("Streams",)

_PIXELS_OF_PHONES: Final = frozenset({"yuv420p", "yuvj420p"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The first moving picture and the first sound of a file.

    Attributes:
        video: Name of the codec, or `None` when there is no picture that moves.
        pixels: Name of the pixel format.
        audio: Name of the codec, or `None`.
        seconds: Length, or `None` where the file does not say.
    """

    video: str | None
    pixels: str
    audio: str | None
    seconds: float | None

    @property
    def keeps_video(self) -> bool:
        """Whether phones play the pictures as they are."""
        return self.video == "h264" and self.pixels in _PIXELS_OF_PHONES

    @property
    def keeps_audio(self) -> bool:
        """Whether phones play the sound as it is, or there is none."""
        return self.audio in (None, "aac")

    def __str__(self) -> str:
        """Return the codecs, for people."""
        return ", ".join(filter(None, (self.video, self.audio))) or "nothing that moves"
