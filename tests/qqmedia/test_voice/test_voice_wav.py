from __future__ import annotations

import asyncio
import importlib.util
import struct
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from voice_media import likeness, loudness, raw_wav, reference, samples_of, speech

from qqmedia.errors import MediaFormatError
from qqmedia.voice import SilkEncoder, VoiceOptions, decode_silk

SOUND = speech(1.0, 16_000)


def u8(samples: array[int]) -> bytes:
    return bytes((sample >> 8) + 128 for sample in samples)


def wide(bytes_each: int) -> Callable[[array[int]], bytes]:
    return lambda samples: b"".join(bytes(bytes_each - 2) + struct.pack("<h", sample) for sample in samples)


def floats(letter: str) -> Callable[[array[int]], bytes]:
    return lambda samples: struct.pack(f"<{len(samples)}{letter}", *(sample / 32768 for sample in samples))


KINDS = {
    "u8": (1, 8, u8),
    "s16": (1, 16, wide(2)),
    "s24": (1, 24, wide(3)),
    "s32": (1, 32, wide(4)),
    "f32": (3, 32, floats("f")),
    "f64": (3, 64, floats("d")),
}


def spread(samples: array[int], loud: tuple[float, ...]) -> array[int]:
    """Give every channel its own loudness."""
    return array("h", [int(sample * part) for sample in samples for part in loud])


@pytest.mark.asyncio
@pytest.mark.parametrize("loud", [(1.0,), (1.0, 0.5), (0.2, 0.2, 1.0, 0.9, 0.1, 0.1)], ids=["mono", "stereo", "5.1"])
@pytest.mark.parametrize("kind", KINDS)
async def test_plain_wav_needs_no_decoder(
    kind: str, loud: tuple[float, ...], without_decoder: None, ffmpeg: Path, tmp_path: Path
) -> None:
    coding, bits, write = KINDS[kind]
    path = tmp_path / "x.wav"
    wav = raw_wav(coding, bits, 16_000, len(loud), write(spread(SOUND, loud)))
    await asyncio.to_thread(path.write_bytes, wav)
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(path)
    sound = samples_of(await decode_silk(voice.data))
    original = await asyncio.to_thread(reference, ffmpeg, path)
    assert voice.info.seconds == 1.0
    assert loudness(sound) / loudness(original) == pytest.approx(1.0, abs=0.08)
    assert likeness(original, sound) > 0.9
    assert "built-in" in voice.note


@pytest.mark.asyncio
@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 32_000, 48_000])
async def test_plain_wav_at_every_rate_of_the_encoder(rate: int, without_decoder: None) -> None:
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(raw_wav(1, 16, rate, 1, speech(1.0, rate).tobytes()))
    sound = samples_of(await decode_silk(voice.data))
    assert voice.info.seconds == 1.0
    assert loudness(sound) / loudness(speech(1.0)) == pytest.approx(1.0, abs=0.06)
    assert likeness(speech(1.0), sound) > 0.9


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wav", "said"),
    [
        (raw_wav(1, 16, 44_100, 1, bytes(88_200)), "a WAV at 44100 Hz"),
        (raw_wav(7, 8, 8_000, 1, bytes(8_000)), "of a kind that needs a decoder"),
        (b"ID3\x04" + bytes(400), "of a kind that needs a decoder"),
    ],
    ids=["44.1 kHz", "mu-law", "mp3"],
)
async def test_without_a_decoder_both_ways_out_are_named(wav: bytes, said: str, without_decoder: None) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=said) as caught:
            await encoder.encode(wav)
    assert "install ffmpeg" in str(caught.value)
    assert 'pip install "qqmedia[voice]"' in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.skipif(importlib.util.find_spec("graiax") is None, reason="graiax-silkcoder is not installed")
async def test_graiax_takes_plain_wav_only_at_its_own_rate(without_decoder: None) -> None:
    async with SilkEncoder(VoiceOptions(encoder="graiax")) as encoder:
        with pytest.raises(MediaFormatError, match="only plain PCM WAV at 24 kHz"):
            await encoder.encode(raw_wav(1, 16, 16_000, 1, SOUND.tobytes()))


@pytest.mark.asyncio
@pytest.mark.parametrize("unknown", [0, 0xFFFFFFFF, 0x7FFFFFFF])
async def test_wav_written_to_a_pipe_has_no_length(unknown: int, without_decoder: None) -> None:
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(raw_wav(1, 16, 16_000, 1, SOUND.tobytes(), promised=unknown))
    assert voice.info.seconds == 1.0


@pytest.mark.asyncio
async def test_other_chunks_of_a_wav_are_passed_over(without_decoder: None) -> None:
    plain = raw_wav(1, 16, 16_000, 1, SOUND.tobytes())
    noisy = (
        plain[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + plain[12:] + b"id3 " + struct.pack("<I", 4) + b"tail"
    )
    async with SilkEncoder() as encoder:
        assert (await encoder.encode(noisy)).data == (await encoder.encode(plain)).data


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wav", "said"),
    [
        (raw_wav(1, 16, 16_000, 1, b"", promised=0), "0 seconds"),
        (raw_wav(1, 16, 16_000, 1, SOUND.tobytes()[:16_000], promised=32_000), r"says it is 1\.0 s long, only 0\.5 s"),
        (raw_wav(3, 32, 16_000, 1, struct.pack("<4f", 0.1, float("nan"), 0.2, 0.3)), "not numbers"),
    ],
    ids=["empty", "cut", "NaN"],
)
async def test_damaged_plain_wav_says_so(wav: bytes, said: str, without_decoder: None) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=said):
            await encoder.encode(wav)


@pytest.mark.asyncio
async def test_wav_that_names_its_loudspeakers_is_mixed_as_by_ffmpeg(
    without_decoder: None, media: dict[str, Path], heard: Callable[[str], array[int]]
) -> None:
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(media["s24-51.wav"])
    original = await asyncio.to_thread(heard, "s24-51.wav")
    assert "built-in" in voice.note
    assert loudness(samples_of(await decode_silk(voice.data))) / loudness(original) == pytest.approx(1.0, abs=0.08)
