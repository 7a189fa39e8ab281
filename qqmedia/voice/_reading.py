"""Chooses who decodes a sound."""

from __future__ import annotations

from typing import Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.voice._codec import encoder_takes
from qqmedia.voice._ffmpeg import read_with_ffmpeg
from qqmedia.voice._input import Input, refuse_text
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import Pcm
from qqmedia.voice._pyav import read_with_pyav
from qqmedia.voice._wav import ENCODER_RATES, Wav, parse_wav, read_wav

__all__ = ("read_sound",)

# Plain WAV is read as a whole; what is larger than this is longer than any voice, and a decoder reads it in pieces.
_MOST_WAV_BYTES: Final = 64 * 1024 * 1024


def read_sound(given: Input, options: VoiceOptions, stop: Stop) -> Pcm:
    """Decode with ffmpeg where there is one, else PyAV, else, for plain WAV, alone.

    WAV that needs no more than its samples copied (mono, whole numbers, a rate that the encoder takes) is read here in
    any case: that is quicker than starting a decoder.

    Raises:
        MediaFormatError: It is no sound, is damaged, or there is no decoder that could read it.
        MediaTooLargeError: It is too long.
        Abandoned: `stop` was asked.
    """
    refuse_text(given)
    data = (
        given.read()
        if given.head[:4] == b"RIFF" and given.head[8:12] == b"WAVE" and given.size <= _MOST_WAV_BYTES
        else b""
    )
    wav = parse_wav(data, given.name)
    plain = wav is not None and encoder_takes(wav.rate, options)
    if plain and wav is not None and wav.cheap:
        return read_wav(wav, data, options, stop, given.name)
    pcm = read_with_ffmpeg(given, options, stop) or read_with_pyav(given, options, stop)
    if pcm is not None:
        return pcm
    if plain and wav is not None:
        return read_wav(wav, data, options, stop, given.name)
    raise MediaFormatError(_no_decoder(given, wav, options))


def _no_decoder(given: Input, wav: Wav | None, options: VoiceOptions) -> str:
    rates = sorted(rate for rate in ENCODER_RATES if encoder_takes(rate, options))
    plain = f"plain PCM WAV at {', '.join(f'{rate // 1000}' for rate in rates)} kHz"
    what = f"a WAV at {wav.rate} Hz" if wav is not None else "of a kind that needs a decoder"
    return (
        f"{given.name} is {what}, and there is no decoder here: install ffmpeg so that it is on PATH, "
        f'or run: pip install "qqmedia[voice]"; without either, only {plain} can be sent'
    )
