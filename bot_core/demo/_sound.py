"""Two sounds that are computed, not recorded: at any sample rate the same sound, so that what arrives has a measure.

The demo writes them as mp3 and wav at one rate and compares the silk that arrived with the sound at silk's rate; no
decoder of the product is trusted with the source.
"""

from __future__ import annotations

import io
import math
import operator
import wave
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

__all__ = ("Likeness", "Sound", "compare", "melody", "speech")

_FULL_SCALE: Final = 32767
_LOUDNESS: Final = 0.35  # of full scale, at the peak: headroom for what encoders overshoot

# The first line of "Frère Jacques" (traditional): hertz of each note, all of one length.
_NOTES: Final = (261.63, 293.66, 329.63, 261.63, 261.63, 293.66, 329.63, 261.63)
_NOTE_SECONDS: Final = 0.45

_SYLLABLE_SECONDS: Final = 0.25
# Strength of the harmonics of the voice, a row a vowel: nobody's voice, but shaped and paced like one.
_VOWELS: Final = (
    (0.4, 0.5, 0.6, 0.8, 1.0, 0.9, 0.7, 0.8, 0.9, 0.5),
    (0.5, 0.7, 1.0, 0.6, 0.3, 0.2, 0.2, 0.3, 0.4, 0.5),
    (0.8, 1.0, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3),
    (0.5, 0.8, 1.0, 0.9, 0.6, 0.5, 0.3, 0.2, 0.1, 0.1),
)
_PITCH_HERTZ: Final = 125.0
_PITCH_SWING_HERTZ: Final = 25.0
_SWINGS_A_SECOND: Final = 0.6

# Comparing runs at this rate: it keeps every fundamental of both sounds, and takes a tenth of a second.
_COMPARE_RATE: Final = 3000
# mp3 and silk each move a sound by a few milliseconds.
_LARGEST_SHIFT_SECONDS: Final = 0.06


@dataclass(frozen=True, slots=True)
class Sound:
    """A mono sound, 16 bits a sample.

    Attributes:
        rate: Samples a second.
        samples: An array of type code ``h``.
    """

    rate: int
    samples: array[int]

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return len(self.samples) / self.rate

    @property
    def loudness(self) -> float:
        """Root of the mean square, in sample units."""
        return math.sqrt(sum(map(operator.mul, self.samples, self.samples)) / max(1, len(self.samples)))

    def as_wav(self, channels: int = 1) -> bytes:
        """Return it as a WAV file, with the same in every channel."""
        frames = array("h", (sample for sample in self.samples for _ in range(channels)))
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(channels)
            out.setsampwidth(2)
            out.setframerate(self.rate)
            out.writeframes(frames.tobytes())
        return file.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How near one sound is to another.

    Attributes:
        seconds: Length of the first minus length of the second.
        loudness: Loudness of the first divided by that of the second.
        correlation: 1 for the same wave form, 0 for nothing in common; the best over a small shift.
    """

    seconds: float
    loudness: float
    correlation: float


def melody(rate: int) -> Sound:
    """Return a plucked melody of 3.6 s."""
    return _render(_melody_at, len(_NOTES) * _NOTE_SECONDS, rate)


def speech(rate: int) -> Sound:
    """Return 3 s of babble: vowels at the pitch and pace of a voice."""
    return _render(_speech_at, 12 * _SYLLABLE_SECONDS, rate)


def compare(heard: Sound, meant: Sound) -> Likeness:
    """Compare two sounds of one rate."""
    return Likeness(
        seconds=heard.seconds - meant.seconds,
        loudness=heard.loudness / max(1.0, meant.loudness),
        correlation=_best_correlation(_thinned(heard), _thinned(meant)),
    )


def _render(wave_at: Callable[[float], float], seconds: float, rate: int) -> Sound:
    scale = _LOUDNESS * _FULL_SCALE
    return Sound(rate, array("h", (round(scale * wave_at(index / rate)) for index in range(round(seconds * rate)))))


def _melody_at(second: float) -> float:
    number, since = divmod(second, _NOTE_SECONDS)
    turn = 2 * math.pi * _NOTES[int(number) % len(_NOTES)] * since
    envelope = min(1.0, since * 100) * min(1.0, (_NOTE_SECONDS - since) * 40) * math.exp(-2.5 * since)
    return envelope * (math.sin(turn) + 0.3 * math.sin(2 * turn) + 0.1 * math.sin(3 * turn)) / 1.4


def _speech_at(second: float) -> float:
    number, since = divmod(second, _SYLLABLE_SECONDS)
    swing = 2 * math.pi * _SWINGS_A_SECOND
    # The integral of a pitch that swings around its middle.
    turn = 2 * math.pi * (_PITCH_HERTZ * second - _PITCH_SWING_HERTZ / swing * math.cos(swing * second))
    vowel = _VOWELS[int(number) % len(_VOWELS)]
    tone = sum(strength * math.sin(index * turn) for index, strength in enumerate(vowel, 1))
    return math.sin(math.pi * since / _SYLLABLE_SECONDS) ** 2 * tone / sum(vowel)


def _thinned(sound: Sound) -> list[float]:
    step = max(1, sound.rate // _COMPARE_RATE)
    samples = sound.samples
    return [sum(samples[start : start + step]) / step for start in range(0, len(samples) - step + 1, step)]


def _best_correlation(heard: Sequence[float], meant: Sequence[float]) -> float:
    reach = round(_LARGEST_SHIFT_SECONDS * _COMPARE_RATE)
    norm = math.sqrt(_product(heard, heard, 0) * _product(meant, meant, 0))
    if not norm:
        return 0.0
    late = (_product(heard, meant, shift) for shift in range(reach + 1))
    early = (_product(meant, heard, shift) for shift in range(reach + 1))
    return max(*late, *early) / norm


def _product(late: Sequence[float], meant: Sequence[float], shift: int) -> float:
    return float(sum(map(operator.mul, islice(late, shift, None), meant)))
