from __future__ import annotations

import asyncio
import importlib.util
import shutil
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
import voice_media
from voice_media import FORMATS, SECONDS, likeness, loudness, samples_of, speech, wav_file

from qqmedia.voice import SilkEncoder, SilkVoice, VoiceOptions, decode_silk, inspect_silk
from qqmedia.voice._cache import Cache

# AMR and low bit rates change the sound itself, and silk changes it once more.
LOUDNESS = pytest.approx(1.0, abs=0.08)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_becomes_the_same_voice(
    name: str, front_end: str, media: dict[str, Path], heard: Callable[[str], array[int]]
) -> None:
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(media[name])
    sound = samples_of(await decode_silk(voice.data))
    original = await asyncio.to_thread(heard, name)

    assert voice.info == inspect_silk(voice.data)
    assert voice.info.tencent
    # Two packets, and what the codec adds at the beginning and the end of a file.
    assert voice.info.seconds == pytest.approx(len(original) / voice_media.RATE, abs=0.11)
    assert voice.info.seconds == pytest.approx(SECONDS, abs=0.2)
    assert loudness(original) > 300
    assert loudness(sound) / loudness(original) == LOUDNESS
    assert likeness(original, sound) > 0.9  # the codec shifts the sound by some milliseconds
    if name != "s16-mono16k.wav":
        assert {"ffmpeg": "ffmpeg", "pyav": "PyAV"}[front_end] in voice.note


@pytest.mark.asyncio
async def test_bytes_give_the_same_voice_as_the_file(front_end: str, media: dict[str, Path]) -> None:
    path = media["aac.m4a"]
    content = await asyncio.to_thread(path.read_bytes)
    async with SilkEncoder() as one, SilkEncoder() as other:
        assert (await one.encode(path)).data == (await other.encode(content)).data


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["-i.mp3", "a b %d 语音.mp3", "http:x.mp3", "concat:a|b.mp3"])
async def test_no_name_of_a_file_is_taken_for_anything_else(
    name: str, front_end: str, media: dict[str, Path], tmp_path: Path
) -> None:
    if sys.platform == "win32" and set(name) & set(':|"'):
        pytest.skip("Windows has no such names")
    path = Path(name)  # the test runs in tmp_path, so that the name stays as it is
    await asyncio.to_thread(shutil.copy, media["mono.mp3"], path)
    async with SilkEncoder() as encoder:
        assert (await encoder.encode(path)).info.seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.asyncio
async def test_the_bit_rate_is_a_setting(with_ffmpeg: None, media: dict[str, Path]) -> None:
    sizes = []
    for bitrate in (6_000, 12_000, 24_000):
        async with SilkEncoder(VoiceOptions(bitrate=bitrate)) as encoder:
            sizes.append((await encoder.encode(media["flac.flac"])).info.bitrate)
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.6 * sizes[2]
    assert sizes[2] < 25_000


@pytest.mark.asyncio
async def test_graiax_gives_the_same_bytes(with_ffmpeg: None, media: dict[str, Path]) -> None:
    if importlib.util.find_spec("graiax") is None:
        pytest.skip("graiax-silkcoder is not installed")
    async with SilkEncoder() as one, SilkEncoder(VoiceOptions(encoder="graiax")) as other:
        assert (await one.encode(media["mono.mp3"])).data == (await other.encode(media["mono.mp3"])).data


@pytest.mark.asyncio
async def test_a_lone_sample_is_a_whole_packet() -> None:
    async with SilkEncoder() as encoder:
        assert (await encoder.encode(wav_file(array("h", [1000])))).info.packets == 1
        assert (await encoder.encode(wav_file(speech(0.021)))).info.packets == 2


@pytest.mark.asyncio
async def test_the_same_sound_is_encoded_once(media: dict[str, Path], with_ffmpeg: None) -> None:
    content = await asyncio.to_thread(media["mono.mp3"].read_bytes)
    async with SilkEncoder() as encoder:
        first = await encoder.encode(media["mono.mp3"])
        assert await encoder.encode(content) is first
        assert await encoder.encode(media["flac.flac"]) is not first


@pytest.mark.asyncio
async def test_pyav_stands_in_for_an_ffmpeg_that_cannot_be_run(
    broken_ffmpeg: Path, media: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async with SilkEncoder() as encoder:
        assert "PyAV" in (await encoder.encode(media["mono.mp3"])).note
    assert str(broken_ffmpeg) in caplog.text


@pytest.mark.asyncio
async def test_a_file_that_changes_its_kind_in_the_middle_is_heard_to_its_end(
    front_end: str, media: dict[str, Path]
) -> None:
    parts = [await asyncio.to_thread(media[name].read_bytes) for name in ("low8.mp3", "mono.mp3", "vbr44.mp3")]
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(b"".join(parts))
    assert voice.info.seconds == pytest.approx(3 * SECONDS, abs=0.3)
    sound = samples_of(await decode_silk(voice.data))
    third = len(sound) // 3
    shares = [loudness(sound[start : start + third]) / loudness(sound) for start in (0, third, 2 * third)]
    assert shares == pytest.approx([1, 1, 1], abs=0.1)


@pytest.mark.asyncio
async def test_only_the_last_voices_are_remembered() -> None:
    sounds = [wav_file(speech(0.02 * n)) for n in range(1, 9)]
    cache: Cache[SilkVoice] = Cache(most_bytes=1000)
    async with SilkEncoder() as encoder:
        voices = [await encoder.encode(sound) for sound in sounds]
    for number, voice in enumerate(voices):
        cache.put(bytes([number]), voice)
        cache.put(bytes([number]), voice)
        cache.get(b"\0")  # the first is used all the time
    kept = [number for number in range(len(voices)) if cache.get(bytes([number])) is not None]
    assert kept[0] == 0
    assert kept[1:] == list(range(len(voices) - len(kept) + 1, len(voices)))
    assert sum(len(voices[number].data) for number in kept) <= 1000
