"""The settings of videos, environment names ``QQMEDIA_VIDEO_*``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from qqmedia.errors import ConfigurationError

__all__ = ("VideoOptions",)

Convert = Literal["auto", "off"]
Otherwise = Literal["as_is", "card"]

_MIB: Final = 1024 * 1024
_LEAST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """What videos may be; refuses what makes no sense when it is built.

    Attributes:
        convert: ``auto``: make anew what phones cannot play, where that can be done here; ``off``: send every video as
            it is.
        max_bytes: Largest file; what has more is encoded anew, smaller. From here on the platform delivers videos as
            file cards.
        timeout: Seconds that one video may take, waiting for the one before it not counted.
        otherwise: What becomes of one that would have to be made anew, and cannot be here: sent as it is (``as_is``),
            or as a file card, which people save and open in a player of their own (``card``).

    Raises:
        ConfigurationError: A value is of the wrong type or out of its range.
    """

    convert: Convert = "auto"
    max_bytes: int = 30 * _MIB
    timeout: float = 300.0
    otherwise: Otherwise = "as_is"

    def __post_init__(self) -> None:
        if self.convert not in get_args(Convert):
            raise ConfigurationError(f'video convert must be "auto" or "off", got {self.convert!r}')
        if self.otherwise not in get_args(Otherwise):
            raise ConfigurationError(f'video otherwise must be "as_is" or "card", got {self.otherwise!r}')
        size, seconds = _number(self.max_bytes), _number(self.timeout)
        if size is None or size != int(size) or size < _LEAST_BYTES:
            raise ConfigurationError(
                f"video max_bytes must be a whole number from {_LEAST_BYTES}, got {self.max_bytes!r}"
            )
        if seconds is None or seconds <= 0:
            raise ConfigurationError(f"video timeout must be a number of seconds above 0, got {self.timeout!r}")


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return value
