"""The settings of voice messages, environment names ``QQMEDIA_SILK_*``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from qqmedia.errors import ConfigurationError

__all__ = ("EncoderName", "VoiceOptions")

EncoderName = Literal["silk-python", "graiax"]

# What the silk encoder itself takes; it would silently use the nearest of these for anything beyond.
_BITRATES: Final = (5_000, 100_000)
# An hour of decoded speech is 170 MB in memory; nobody sends more than a minute as a voice.
_LONGEST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceOptions:
    """How voices are made; refuses what makes no sense when it is built.

    Attributes:
        encoder: ``silk-python``, or ``graiax`` (graiax-silkcoder, extra ``graiax``, Python < 3.12). Both give the same
            bytes.
        bitrate: Bits per second, 5000 to 100000. iOS clients are reported to need less than 25000.
        max_seconds: Longest voice, at most 3600.
        trim: Cut what is longer than `max_seconds`, where it would otherwise be an error.
        timeout: Seconds that one voice may take to be read and encoded, waiting for a free thread not counted.
        convert: Make silk of every voice that a media host sends; where false, each goes as it is, and none of the
            above counts.

    Raises:
        ConfigurationError: A value is of the wrong type or out of its range.
    """

    encoder: EncoderName = "silk-python"
    bitrate: int = 24_000
    max_seconds: float = 60.0
    trim: bool = False
    timeout: float = 30.0
    convert: bool = True

    def __post_init__(self) -> None:
        if self.encoder not in get_args(EncoderName):
            raise ConfigurationError(f'silk encoder must be "silk-python" or "graiax", got {self.encoder!r}')
        for name in ("trim", "convert"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"silk {name} must be true or false, got {getattr(self, name)!r}")
        low, high = _BITRATES
        if not _is_number(self.bitrate) or not low <= self.bitrate <= high or self.bitrate != int(self.bitrate):
            raise ConfigurationError(f"silk bitrate must be a whole number of {low} to {high}, got {self.bitrate!r}")
        if not _is_number(self.max_seconds) or not 0.0 < self.max_seconds <= _LONGEST_SECONDS:
            raise ConfigurationError(
                f"silk max_seconds must be more than 0 and at most {_LONGEST_SECONDS:g}, got {self.max_seconds!r}"
            )
        if not _is_number(self.timeout) or not 0.0 < self.timeout < float("inf"):
            raise ConfigurationError(f"silk timeout must be a number of seconds above 0, got {self.timeout!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
