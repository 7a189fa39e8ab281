from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voice_media import loudness, samples_of, speech, wav_file

from qqmedia.errors import MediaFormatError, MediaTooLargeError
from qqmedia.voice import (
    SilkEncoder,
    VoiceOptions,
    decode_silk,
    decode_silk_sync,
    inspect_silk,
    is_silk,
    repair_silk,
)

TENCENT, PLAIN = b"\x02#!SILK_V3", b"#!SILK_V3"
packets = st.lists(st.binary(min_size=1, max_size=1024), min_size=1, max_size=20)


def body(contents: list[bytes]) -> bytes:
    return b"".join(len(content).to_bytes(2, "little") + content for content in contents)


async def voice_of(seconds: float = 1.0) -> bytes:
    async with SilkEncoder() as encoder:
        return (await encoder.encode(wav_file(speech(seconds)))).data


@given(packets)
def test_a_valid_file_says_its_length_and_needs_no_repair(contents: list[bytes]) -> None:
    data = TENCENT + body(contents)
    info = inspect_silk(data)
    assert (info.packets, info.size, info.tencent) == (len(contents), len(data), True)
    assert info.seconds == pytest.approx(len(contents) * 0.02)
    assert repair_silk(data) is data


@given(packets, st.sampled_from([b"", b"\xff\xff", b"\xff\xff and then some", b"\x05", b"\x00\x00", b"\x10\x00cut"]))
def test_a_stray_end_and_a_plain_header_are_repaired(contents: list[bytes], tail: bytes) -> None:
    for header in (TENCENT, PLAIN):
        assert repair_silk(header + body(contents) + tail) == TENCENT + body(contents)


@given(packets, st.binary(min_size=1, max_size=400))
def test_what_follows_the_last_packet_is_an_error_until_repaired(contents: list[bytes], tail: bytes) -> None:
    data = TENCENT + body(contents) + b"\xff\xff" + tail
    with pytest.raises(MediaFormatError, match="end mark"):
        inspect_silk(data)
    assert inspect_silk(repair_silk(data)).packets == len(contents)


@given(st.binary(max_size=3000), st.sampled_from([TENCENT, PLAIN, b""]))
def test_anything_is_either_repaired_or_refused(junk: bytes, header: bytes) -> None:
    data = header + junk
    try:
        repaired = repair_silk(data)
    except MediaFormatError:
        with pytest.raises(MediaFormatError):
            inspect_silk(data)
        return
    assert is_silk(data)
    assert inspect_silk(repaired).tencent
    assert repair_silk(repaired) is repaired


@given(packets, st.integers(0, 3000), st.integers(1, 255))
def test_a_damaged_file_never_crashes_the_decoder(contents: list[bytes], place: int, change: int) -> None:
    damaged = bytearray(TENCENT + body(contents))
    damaged[place % len(damaged)] ^= change
    try:
        wav = decode_silk_sync(bytes(damaged))
    except MediaFormatError:
        return
    assert len(samples_of(wav)) % 480 == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a silk file: it is empty"),
        (b"RIFFxxxxWAVE", "not a silk file: it is audio/wav, by its first bytes"),
        (b"Dear cat,", "not a silk file: it is text, by its first bytes"),
        (b"\x7fELF\x02\x01\0\0", "not a silk file: it is of an unknown format"),
        (TENCENT, "no whole packet"),
        (TENCENT + b"\xff\xff", "no whole packet"),
        (TENCENT + b"\x00\x00" + body([b"x"]), "no whole packet"),
        (TENCENT + body([b"abc"]) + b"\x01\x04" + bytes(1025), r"impossible packet of 1025 bytes after packet 1"),
        (TENCENT + body([b"abc"]) + b"\x09\x00four", r"cut short after packet 1 \(0.02 s\).* 4 of its 9 bytes"),
        (TENCENT + body([b"abc"]) + b"\x09", "stray byte"),
    ],
)
def test_inspection_says_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(MediaFormatError, match=said):
        inspect_silk(data)


def test_damage_in_the_middle_is_not_repaired() -> None:
    with pytest.raises(MediaFormatError, match=r"cannot be repaired.* after packet 1"):
        repair_silk(TENCENT + body([b"abc"]) + b"\x00\x00" + body([bytes(100)] * 20))


@pytest.mark.asyncio
async def test_silk_passes_through_as_it_is() -> None:
    silk = await voice_of()
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(silk)
    assert voice.data is silk
    assert voice.note == "silk, as it was given"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "spoil",
    [lambda silk: silk[1:], lambda silk: silk + b"\xff\xff", lambda silk: silk + b"\x40\x00x"],
    ids=["plain header", "end mark", "cut packet"],
)
async def test_silk_that_qq_refuses_is_repaired(spoil: Callable[[bytes], bytes]) -> None:
    silk = await voice_of()
    async with SilkEncoder() as encoder:
        voice = await encoder.encode(spoil(silk))
    assert voice.data == silk
    assert "repaired" in voice.note


@pytest.mark.asyncio
async def test_long_silk_is_refused_or_trimmed() -> None:
    silk = await voice_of(2.0)
    async with SilkEncoder(VoiceOptions(max_seconds=1.5)) as encoder:
        with pytest.raises(
            MediaTooLargeError, match=r"is 2\.0 s long, a voice may have 1\.5 s.*QQMEDIA_SILK_MAX_SECONDS"
        ):
            await encoder.encode(silk)
    async with SilkEncoder(VoiceOptions(max_seconds=1.5, trim=True)) as encoder:
        voice = await encoder.encode(silk)
    assert voice.info.seconds == 1.5
    assert silk.startswith(voice.data)
    assert len(samples_of(await decode_silk(voice.data))) == 36_000


@pytest.mark.asyncio
async def test_decoding_gives_the_sound_back() -> None:
    wav = await decode_silk(await voice_of())
    assert wav == await asyncio.to_thread(decode_silk_sync, await voice_of())
    assert loudness(samples_of(wav)) / loudness(speech(1.0)) == pytest.approx(1.0, abs=0.08)


@pytest.mark.asyncio
async def test_silk_damaged_in_a_packet_is_an_error_or_sound_never_a_crash() -> None:
    with pytest.raises(MediaFormatError, match="damaged"):
        await decode_silk(TENCENT + body([bytes([255]) * 1000] * 3))
