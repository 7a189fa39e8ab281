"""Decoded sound on its way from a decoder to the encoder: collected, counted, and stopped in time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError, MediaTooLargeError
from qqmedia.voice._options import VoiceOptions

__all__ = ("FRAME_SECONDS", "RATE", "SAMPLE_BYTES", "Collector", "Pcm", "check_whole")

RATE: Final = 24_000  # Hz; what QQ plays
SAMPLE_BYTES: Final = 2
FRAME_SECONDS: Final = 0.02

# A file of exactly the longest length decodes to a few milliseconds more: codecs pad. That much is cut without a word.
_PADDING_SECONDS: Final = 0.1
# For how long a voice that is too long is read on, only to say how long it is.
_COUNTING_SECONDS: Final = 2.0
# A header that promises this much more than can be decoded belongs to a file that was cut short.
_MISSING_SHARE: Final = 0.1
_MISSING_SECONDS: Final = 0.25
# Programs that write to a pipe put the largest number where the length belongs; that is no promise.
_LONGEST_PROMISE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pcm:
    """Mono sound, 16-bit little-endian.

    Attributes:
        data: The samples.
        rate: Samples a second.
        decoder: What read it, for people.
        trimmed: Whether there was more than is here.
    """

    data: bytes = field(repr=False)
    rate: int
    decoder: str
    trimmed: bool = False

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.data) / SAMPLE_BYTES / self.rate


class Collector:
    """Takes what a decoder gives, up to the longest allowed length; beyond that it only counts.

    Args:
        options: Length and whether to trim.
        stop: Asked on every call.
        what: The source, for errors.
        rate: Of the samples that will come.
    """

    def __init__(self, options: VoiceOptions, stop: Stop, what: str, rate: int = RATE) -> None:
        self._options = options
        self._stop = stop
        self._what = what
        self._rate = rate
        self._limit = round(options.max_seconds * rate) * SAMPLE_BYTES
        self._padding = round(_PADDING_SECONDS * rate) * SAMPLE_BYTES
        self._data = bytearray()
        self._total = 0
        self._counting_until = 0.0
        self._gave_up = False

    def add(self, samples: bytes | memoryview) -> bool:
        """Take more samples; `False` means that no more are wanted."""
        self._stop.check()
        self._total += len(samples)
        room = self._limit + self._padding - len(self._data)
        self._data += samples[: max(0, room)]
        if self._total <= self._limit + self._padding:
            return True
        if self._options.trim:
            return False
        now = time.monotonic()
        self._counting_until = self._counting_until or now + _COUNTING_SECONDS
        self._gave_up = now > self._counting_until
        return not self._gave_up

    @property
    def full(self) -> bool:
        """Whether there was more than the longest allowed length."""
        return self._total > self._limit + self._padding

    def finish(self, decoder: str, promised_seconds: float | None = None) -> Pcm:
        """Return what was collected.

        Args:
            decoder: What gave it, for people.
            promised_seconds: How long the file's header says it is, where a header says that reliably.

        Raises:
            MediaFormatError: Nothing was decoded, or much less than promised.
            MediaTooLargeError: It is too long.
        """
        seconds = self._total / SAMPLE_BYTES / self._rate
        if self.full and not self._options.trim:
            raise MediaTooLargeError(self._too_long(seconds))
        if self._total < SAMPLE_BYTES:
            raise MediaFormatError(f"{self._what} holds 0 seconds of sound")
        if not self.full and promised_seconds is not None:
            check_whole(self._what, seconds, promised_seconds)
        usable = min(self._limit, len(self._data)) // SAMPLE_BYTES * SAMPLE_BYTES
        return Pcm(data=bytes(self._data[:usable]), rate=self._rate, decoder=decoder, trimmed=self.full)

    def _too_long(self, seconds: float) -> str:
        length = f"more than {seconds:.0f} s" if self._gave_up else f"{seconds:.1f} s"
        return (
            f"{self._what} is {length} long, a voice may have {self._options.max_seconds:g} s; send less, "
            "raise max_seconds (QQMEDIA_SILK_MAX_SECONDS), or have it cut with trim (QQMEDIA_SILK_TRIM=true)"
        )


def check_whole(what: str, seconds: float, promised: float) -> None:
    """Compare what can be read with what a header promises.

    Raises:
        MediaFormatError: Much less is there.
    """
    if promised <= _LONGEST_PROMISE_SECONDS and promised - seconds > promised * _MISSING_SHARE + _MISSING_SECONDS:
        raise MediaFormatError(
            f"{what} is cut short or damaged: it says it is {promised:.1f} s long, only {seconds:.1f} s can be read"
        )
