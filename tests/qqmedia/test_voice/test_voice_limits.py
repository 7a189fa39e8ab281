from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from voice_media import raw_wav, run_ffmpeg, speech, wav_file

from qqmedia.errors import ConfigurationError, MediaError, MediaFormatError, MediaSourceError, MediaTooLargeError
from qqmedia.voice import SilkEncoder, VoiceOptions
from tests.decoders import children
from tests.waiting import ends_at_once, until_in_thread

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def encoder_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("qqmedia-heavy")]


def no_encoder_threads() -> bool:
    return not encoder_threads()


@pytest.fixture(scope="session")
def long_flac(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour of a tone, as a small file."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    run_ffmpeg(ffmpeg, "-f", "lavfi", "-i", "sine=frequency=300:duration=1800:sample_rate=8000", str(path))
    return path


@pytest.mark.asyncio
@on_linux
async def test_cancelling_ends_the_child_at_once(with_ffmpeg: None, long_flac: Path, temp_folder: Path) -> None:
    content = await asyncio.to_thread(long_flac.read_bytes)
    async with SilkEncoder(VoiceOptions(max_seconds=3600)) as encoder:
        task = asyncio.create_task(encoder.encode(content), name="to be cancelled")
        await until_in_thread(children)
        assert await asyncio.to_thread(os.listdir, temp_folder)
        await ends_at_once(task)
        assert await asyncio.to_thread(children) == []
        assert await asyncio.to_thread(os.listdir, temp_folder) == []


@pytest.mark.asyncio
@on_linux
async def test_thirty_timeouts_leave_nothing(
    stand_in: Callable[[str], None], temp_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    monkeypatch.setitem(sys.modules, "av", None)
    files = await asyncio.to_thread(open_files)
    async with SilkEncoder(VoiceOptions(timeout=0.02)) as encoder:
        results = await asyncio.gather(
            *(encoder.encode(b"ID3\x00" + bytes([n])) for n in range(30)), return_exceptions=True
        )
        assert await asyncio.to_thread(children) == []
    assert {type(result) for result in results} == {MediaError}
    assert "within 0.02 s" in str(results[0])
    assert "QQMEDIA_SILK_TIMEOUT" in str(results[0])
    await until_in_thread(no_encoder_threads)
    assert await asyncio.to_thread(os.listdir, temp_folder) == []
    assert await asyncio.to_thread(open_files) <= files + 1  # the selector of a loop may have come meanwhile


@pytest.mark.asyncio
@on_linux
async def test_cancelling_pyav_ends_the_thread(with_pyav: None, long_flac: Path) -> None:
    async with SilkEncoder(VoiceOptions(max_seconds=3600)) as encoder:
        task = asyncio.create_task(encoder.encode(long_flac), name="to be cancelled")
        await until_in_thread(encoder_threads)
        await ends_at_once(task)
    await until_in_thread(no_encoder_threads)


@pytest.mark.asyncio
async def test_cancelling_ends_the_encoding_too() -> None:
    noise = await asyncio.to_thread(random.Random(1).randbytes, 24_000 * 2 * 600)
    async with SilkEncoder(VoiceOptions(max_seconds=600)) as encoder:
        task = asyncio.create_task(encoder.encode(raw_wav(1, 16, 24_000, 1, noise)), name="ten minutes of noise")
        await until_in_thread(encoder_threads)
        await asyncio.sleep(0.1)
        assert not task.done()
        await ends_at_once(task)
    await until_in_thread(no_encoder_threads)


@pytest.mark.asyncio
@on_linux
async def test_closing_ends_what_is_running(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    encoder = SilkEncoder()
    tasks = [asyncio.create_task(encoder.encode(b"ID3\x00" + bytes([n])), name=f"voice {n}") for n in range(5)]
    await until_in_thread(children)
    async with asyncio.timeout(5):
        await encoder.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, MediaError) and "closed meanwhile" in str(result) for result in results)
    assert await asyncio.to_thread(children) == []
    await until_in_thread(no_encoder_threads)
    await encoder.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await encoder.encode(b"x")


@pytest.mark.asyncio
async def test_all_encoders_share_threads_which_are_as_many_as_there_are_processors_or_encoders() -> None:
    sounds = [wav_file(speech(0.1 + n / 100)) for n in range(8)]
    async with SilkEncoder() as last:
        async with SilkEncoder() as first, SilkEncoder() as second:
            every = (first, second, last)
            await asyncio.gather(*(encoder.encode(sound) for sound in sounds for encoder in every))
            assert 1 <= len(encoder_threads()) <= max(os.cpu_count() or 1, len(every))
        assert encoder_threads()
        assert (await last.encode(wav_file(speech(0.3)))).data
    await until_in_thread(no_encoder_threads)


@pytest.mark.asyncio
@on_linux
async def test_an_encoder_that_is_closed_waits_for_its_own_work_alone(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    first, last = SilkEncoder(), SilkEncoder()
    tasks = [
        asyncio.create_task(one.encode(b"ID3\x00" + bytes([n])), name="voice") for n, one in enumerate((first, last))
    ]
    await until_in_thread(children)
    async with asyncio.timeout(5):
        await first.aclose()
        assert not tasks[1].done()
        await last.aclose()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {MediaError}
    await until_in_thread(no_encoder_threads)


@pytest.mark.asyncio
@on_linux
async def test_an_encoder_whose_voices_hang_keeps_no_other_from_its_work(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    sound, processors = wav_file(speech(0.1)), os.cpu_count() or 1
    async with SilkEncoder() as hung, SilkEncoder() as other, asyncio.timeout(10):
        busy = [asyncio.create_task(hung.encode(b"ID3\x00" + bytes([n])), name="busy") for n in range(processors + 1)]
        await until_in_thread(lambda: len(children()) == processors)
        voices = await asyncio.gather(*(other.encode(sound) for _ in range(3)))
        assert [voice.info.seconds for voice in voices] == [pytest.approx(0.1, abs=0.03)] * 3
        assert not any(task.done() for task in busy)
    await asyncio.wait(busy)


@pytest.mark.asyncio
@on_linux
async def test_who_waits_for_a_turn_loses_no_time_of_his_own(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    sound, processors = wav_file(speech(0.1)), os.cpu_count() or 1
    async with SilkEncoder() as hung, SilkEncoder(VoiceOptions(timeout=0.3)) as other, asyncio.timeout(10):
        busy = [asyncio.create_task(hung.encode(b"ID3\x00" + bytes([n])), name="busy") for n in range(processors)]
        await until_in_thread(lambda: len(children()) == processors)
        hangs, given_up, waits = (
            asyncio.create_task(other.encode(one), name="voice") for one in (b"ID3\x01", sound, sound)
        )
        await until_in_thread(lambda: len(children()) == processors + 1)
        given_up.cancel()
        await asyncio.wait([given_up], timeout=0.1)  # at once: there is nothing to be stopped
        assert given_up.cancelled()
        with pytest.raises(MediaError, match="within"):
            await hangs
        assert (await waits).data, "the time of the voice before it was counted as its own"
    await asyncio.wait(busy)


@pytest.mark.asyncio
@on_linux
async def test_encoder_threads_and_children_give_way_to_everything_else(
    stand_in: Callable[[str], None], tmp_path: Path
) -> None:
    await asyncio.to_thread(stand_in, f'cut -d" " -f19 /proc/self/stat > {tmp_path}/nice; exec sleep 30')
    async with SilkEncoder(VoiceOptions(timeout=2)) as encoder:  # for a busy machine to begin with it
        await encoder.encode(wav_file(speech(0.1)))
        nice = {os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) for thread in encoder_threads()}
        assert nice == {10}
        with pytest.raises(MediaError, match="within"):
            await encoder.encode(b"ID3\x04")
        assert (await asyncio.to_thread((tmp_path / "nice").read_text)).strip() == "10"
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0


@pytest.mark.asyncio
async def test_the_event_loop_stays_free_while_ten_voices_are_encoded(
    front_end: str, long_flac: Path, media: dict[str, Path]
) -> None:
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append(time.perf_counter() - began - 0.002)

    names = [
        "mono.mp3",
        "flac.flac",
        "adts.aac",
        "vorbis.ogg",
        "video.mp4",
        "f32.wav",
        "s16-mono16k.wav",
        "windows.wma",
    ]
    async with SilkEncoder(VoiceOptions(max_seconds=20, trim=True)) as encoder:
        watcher = asyncio.create_task(watch(), name="watcher")
        await asyncio.gather(*(encoder.encode(source) for source in (*(media[name] for name in names), long_flac)))
        watcher.cancel()
    assert len(lags) > 30
    assert sorted(lags)[len(lags) * 9 // 10] < 0.05


@pytest.mark.asyncio
async def test_the_event_loop_stays_free_while_wav_is_read_without_a_decoder(without_decoder: None) -> None:
    lags: list[float] = []
    sound = await asyncio.to_thread(lambda: array("f", [0.1] * 6 * 48_000 * 5).tobytes())
    async with SilkEncoder() as encoder:
        task = asyncio.create_task(encoder.encode(raw_wav(3, 32, 48_000, 6, sound)), name="much arithmetic")
        while not task.done():
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append(time.perf_counter() - began - 0.002)
        assert (await task).info.seconds == 5.0
    assert sorted(lags)[len(lags) * 9 // 10] < 0.05


@pytest.mark.asyncio
async def test_too_long_names_both_lengths_and_the_settings(front_end: str, media: dict[str, Path]) -> None:
    async with SilkEncoder(VoiceOptions(max_seconds=1)) as encoder:
        with pytest.raises(MediaTooLargeError, match=r"'flac\.flac' is 2\.0 s long, a voice may have 1 s") as caught:
            await encoder.encode(media["flac.flac"])
    assert "QQMEDIA_SILK_MAX_SECONDS" in str(caught.value)
    assert "QQMEDIA_SILK_TRIM" in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["flac.flac", "video.mp4", "mono.mp3"])
async def test_too_long_is_trimmed_when_asked(name: str, front_end: str, media: dict[str, Path]) -> None:
    async with SilkEncoder(VoiceOptions(max_seconds=1, trim=True)) as encoder:
        voice = await encoder.encode(media[name])
    assert voice.info.seconds == 1.0
    assert "cut to 1.0 s" in voice.note


@pytest.mark.asyncio
async def test_what_a_codec_pads_does_not_make_a_voice_too_long(front_end: str, media: dict[str, Path]) -> None:
    async with SilkEncoder(VoiceOptions(max_seconds=2)) as encoder:
        assert (await encoder.encode(media["adts.aac"])).info.seconds == 2.0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "keep"),
    [("s16-44k.wav", 0.5), ("mulaw8k.wav", 0.5), ("flac.flac", 0.5), ("aac.m4a", 0.6), ("aiff.aiff", 0.3)],
)
async def test_a_file_that_was_cut_short_says_so(
    name: str, keep: float, front_end: str, media: dict[str, Path]
) -> None:
    content = await asyncio.to_thread(media[name].read_bytes)
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=r"cut short or damaged|beginning is damaged"):
            await encoder.encode(content[: int(len(content) * keep)])


@pytest.mark.asyncio
async def test_a_video_may_have_less_sound_than_pictures(front_end: str, ffmpeg: Path, tmp_path: Path) -> None:
    path = tmp_path / "short-sound.mkv"
    source = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=4", "-f", "lavfi", "-i", "sine=duration=1")
    await asyncio.to_thread(run_ffmpeg, ffmpeg, *source, "-c:v", "mpeg4", str(path))
    async with SilkEncoder() as encoder:
        assert (await encoder.encode(path)).info.seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.asyncio
async def test_a_video_without_sound_says_so(front_end: str, ffmpeg: Path, tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1")
    await asyncio.to_thread(run_ffmpeg, ffmpeg, *source, "-c:v", "mpeg4", str(path))
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=r"'silent\.mp4' has no sound"):
            await encoder.encode(path)


@pytest.mark.asyncio
async def test_no_samples_are_zero_seconds(front_end: str) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=r"0 seconds|damaged"):
            await encoder.encode(raw_wav(1, 16, 44_100, 2, b"", promised=0))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (b"", "empty"),
        (None, "got NoneType"),
        ("x.mp3", "got str"),
        (Path("missing.mp3"), "No such file"),
        (Path(), "folder"),
    ],
)
async def test_what_cannot_be_read_is_named(audio: bytes, said: str) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaSourceError, match=said):
            await encoder.encode(audio)


@pytest.mark.asyncio
@on_linux
async def test_a_device_is_no_file() -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaSourceError, match="not a regular file"):
            await encoder.encode(Path("/dev/zero"))


@pytest.mark.asyncio
@on_linux
async def test_a_child_that_fills_its_standard_error_does_not_hang(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(
        stand_in, "head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo the last line >&2; exit 3"
    )
    async with SilkEncoder(VoiceOptions(timeout=5)) as encoder:
        with pytest.raises(MediaFormatError, match="not an audio or video file"):
            await encoder.encode(b"ID3\x04")
    await asyncio.to_thread(
        stand_in, "echo \"Input #0, mp3, from 'x':\" >&2; head -c 99000 /dev/zero; echo the last line >&2; exit 3"
    )
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match="ffmpeg says: the last line"):
            await encoder.encode(b"ID3\x04")


@pytest.mark.asyncio
@on_linux
async def test_ctrl_c_is_kept_from_the_child(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    await asyncio.to_thread(stand_in, f"ps -o pgid= -p $$ > {tmp_path}/group; exit 3")
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError):
            await encoder.encode(b"ID3\x04")
    group = int(await asyncio.to_thread((tmp_path / "group").read_text))
    assert group != os.getpgrp(), "a terminal sends Ctrl-C to the whole group of the bot"


# In a process of its own, because the limit would hold for the files of pytest as well.
ALMOST_FULL_DISK = """
import asyncio, os, resource, sys, tempfile
from qqmedia.errors import MediaError
from qqmedia.voice import SilkEncoder

async def main():
    async with SilkEncoder() as encoder:
        try:
            await encoder.encode(b"ID3" + bytes(5000))
        except MediaError as error:
            print(type(error).__name__, error, os.listdir(tempfile.gettempdir()))

tempfile.tempdir = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # no file may grow beyond a kilobyte
asyncio.run(main())
"""


@on_linux
def test_a_full_disk_says_so_and_leaves_nothing(with_ffmpeg: None, temp_folder: Path) -> None:
    command = [sys.executable, "-B", "-c", ALMOST_FULL_DISK, str(temp_folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.startswith("MediaError a voice of 5003 bytes could not be put into a temporary file: File too large")
    assert "TMPDIR" in said
    assert said.endswith("[]\n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoder": "pilk"},
        {"bitrate": 4_999},
        {"bitrate": 100_001},
        {"bitrate": 24_000.5},
        {"bitrate": "24000"},
        {"max_seconds": 0},
        {"max_seconds": 3601},
        {"max_seconds": float("nan")},
        {"trim": "yes"},
        {"convert": "auto"},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": True},
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=f"silk {next(iter(wrong))} must be"):
        VoiceOptions(**wrong)


@pytest.mark.asyncio
async def test_graiax_that_is_not_there_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graiax.silkcoder", None)
    async with SilkEncoder(VoiceOptions(encoder="graiax")) as encoder:
        with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[graiax\]"'):
            await encoder.encode(wav_file(array("h", [0] * 480)))


@pytest.mark.asyncio
async def test_another_package_under_the_name_of_silk_python_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = type(sys)("pysilk")
    other.__file__ = "/site-packages/pysilk/__init__.py"
    other.encode = lambda pcm, data_rate=24_000: pcm
    monkeypatch.setitem(sys.modules, "pysilk", other)
    async with SilkEncoder() as encoder:
        with pytest.raises(ConfigurationError, match=r"pysilk/__init__\.py.*pysilk-mod"):
            await encoder.encode(wav_file(array("h", [0] * 480)))
