"""The settings of pictures, environment names ``QQMEDIA_IMAGE_*``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from qqmedia.errors import ConfigurationError

__all__ = ("ImageOptions",)

_MIB: Final = 1024 * 1024
_LEAST_BYTES: Final = 16 * 1024  # less holds no picture worth looking at
_SIDES: Final = (64, 65_500)  # no JPEG has a longer one
# Twice its `MAX_IMAGE_PIXELS`: there Pillow itself refuses, whatever is set here.
_MOST_PIXELS: Final = 178_956_970


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """What pictures may be; refuses what makes no sense when it is built.

    Attributes:
        convert: Make what is not acceptable anew; where false, every picture is sent as it is.
        max_bytes: Largest file; what has more is made smaller.
        max_side: Longest side in pixels; what is longer is made smaller.
        max_pixels: Most pixels that are ever decoded, at four bytes each; a picture of more is refused. All frames of
            an animation together may have four times as many.
        timeout: Seconds that one picture may take, waiting for its turn not counted.

    Raises:
        ConfigurationError: A value is of the wrong type or out of its range.
    """

    convert: bool = True
    max_bytes: int = 10 * _MIB
    max_side: int = 4096
    max_pixels: int = 64_000_000
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if not isinstance(self.convert, bool):
            raise ConfigurationError(f"image convert must be true or false, got {self.convert!r}")
        self._check("max_bytes", _LEAST_BYTES, None)
        self._check("max_side", *_SIDES)
        self._check("max_pixels", 1, _MOST_PIXELS)
        seconds: object = self.timeout
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
            raise ConfigurationError(f"image timeout must be a number of seconds above 0, got {seconds!r}")

    def _check(self, name: str, low: int, high: int | None) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            upto = f" to {high}" if high is not None else ""
            raise ConfigurationError(f"image {name} must be a whole number from {low}{upto}, got {value!r}")
