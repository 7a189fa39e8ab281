"""Videos that phones play are not touched; others become such where ffmpeg is there, and go as they are where not."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from qqmedia import ConfigurationError, MediaKind, Upload
from qqmedia.host import MediaHost
from qqmedia.testing import memory_host
from qqmedia.videos import VideoOptions
from qqmedia.videos._boxes import read_tracks
from tests.decoders import children
from tests.lag import assert_loop_goes_on
from tests.waiting import ends_at_once, until_in_thread

VIDEO = MediaKind.VIDEO
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(params=["ffmpeg", "pyav"])
def converter(request: pytest.FixtureRequest) -> str:
    """Each of the two in turn."""
    request.getfixturevalue(f"with_{request.param}")
    return str(request.param)


def film(
    container: str = "mp4", video: str = "libx264", audio: str | None = "aac", *,
    frames: int = 25, size: tuple[int, int] = (64, 48), pixels: str = "yuv420p", bits: int = 0, **how: str,
) -> bytes:  # fmt: skip
    """A second of a grey that gets lighter, with silence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film")
        with av.open(str(path), "w", format=container, options=how) as made:
            add_tracks(made, video, audio, frames=frames, size=size, pixels=pixels, bits=bits)
        return path.read_bytes()


def add_tracks(
    made: Any, video: str, audio: str | None, *, frames: int, size: tuple[int, int], pixels: str, bits: int
) -> None:
    pictures: Any = made.add_stream(video, rate=25)
    pictures.width, pictures.height, pictures.pix_fmt = *size, pixels
    if bits:
        pictures.bit_rate = bits
    sound: Any = made.add_stream(audio, rate=48_000, layout="mono") if audio else None
    for number in range(frames):
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            fill = os.urandom(plane.buffer_size) if bits else bytes([number * 5 % 256]) * plane.buffer_size
            plane.update(fill)
        made.mux(pictures.encode(frame.reformat(format=pixels)))
    made.mux(pictures.encode(None))
    if sound is not None:
        for number in range(int(frames / 25 * 46)):
            silence = av.AudioFrame(format="flt" if audio == "libvorbis" else "fltp", layout="mono", samples=1024)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.sample_rate, silence.pts = 48_000, number * 1024
            made.mux(sound.encode(silence))
        made.mux(sound.encode(None))


MP4 = film()
MOV = film("mov")
MKV = film("matroska")
WEBM = film("webm", "libvpx", "libopus", pixels="yuv420p")
AVI = film("avi", "mpeg4", "mp3")


async def prepared(host: MediaHost, source: Any, filename: str | None = None) -> tuple[Upload, bytes]:
    async with host.prepare(VIDEO, source, filename=filename) as upload:
        return upload, await asyncio.to_thread(upload.read)


def codecs(content: bytes) -> tuple[str, ...]:
    with av.open(io.BytesIO(content)) as opened:
        assert opened.format.name.startswith("mov,mp4")
        for stream in opened.streams:
            assert list(opened.decode(stream)) if stream.type == "video" else True
        return tuple(stream.codec_context.name for stream in opened.streams)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


# --- what is left alone


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        MP4,
        film(audio=None),
        film(movflags="+faststart"),
        film(movflags="+frag_keyframe+empty_moov"),
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"not a table of contents",
        MP4[: len(MP4) // 2],
    ],
    ids=["mp4", "silent", "faststart", "fragments", "junk", "half"],
)
@pytest.mark.parametrize("by", ["bytes", "path"])
async def test_what_phones_play_passes_as_it_is(
    content: bytes, by: str, tmp_path: Path, with_ffmpeg: None, caplog: pytest.LogCaptureFixture
) -> None:
    source: bytes | Path = content
    if by == "path":
        source = tmp_path / "video"
        await asyncio.to_thread(source.write_bytes, content)
    async with memory_host() as host:
        upload, data = await prepared(host, source)
    assert (data, upload.notes, said(caplog)) == (content, (), [])
    assert len(upload.sha256) == 64


@pytest.mark.asyncio
async def test_the_sound_of_an_mp4_is_looked_at_too(with_ffmpeg: None) -> None:
    """MP3 goes by the name of AAC there."""
    content = await asyncio.to_thread(film, audio="libmp3lame")
    assert b"mp4a" in content
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    assert upload.notes == ("made video/mp4 of video/mp4 (h264, mp3) by ffmpeg, encoded anew",)
    tracks = read_tracks(io.BytesIO(data), len(data))
    assert tracks is not None
    assert tracks.plays


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_looking_reads_the_heads_only() -> None:
    content = film(frames=60, size=(320, 240), bits=2_000_000)
    file = Counting(content)
    tracks = read_tracks(file, len(content))
    assert tracks is not None
    assert (tracks.video, tracks.audio, tracks.plays) == (("avc1",), ("mp4a",), True)
    assert len(content) > 200_000
    assert file.read_bytes < 5000


@pytest.mark.parametrize("seed", range(0, len(MP4), 199))
def test_no_damage_troubles_the_look(seed: int) -> None:
    damaged = bytearray(MP4)
    at = max(0, len(MP4) - 1 - seed)
    damaged[at] ^= 0xFF
    read_tracks(io.BytesIO(bytes(damaged)), len(damaged))
    read_tracks(io.BytesIO(MP4[:at]), at)


@pytest.mark.asyncio
async def test_it_can_be_turned_off(
    with_ffmpeg: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QQMEDIA_VIDEO_CONVERT", "off")
    async with memory_host() as host:
        upload, data = await prepared(host, WEBM)
    assert (data, upload.notes, said(caplog)) == (WEBM, (), [])


@pytest.mark.parametrize(
    "wrong", [{"convert": "always"}, {"max_bytes": 10}, {"max_bytes": 1e6 + 0.5}, {"timeout": 0}, {"timeout": True},
              {"otherwise": "drop"}]
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"video {next(iter(wrong))} must be"):
        VideoOptions(**wrong)


# --- what is made anew


@pytest.mark.asyncio
@pytest.mark.parametrize(("content", "name"), [(MOV, "a.mov"), (MKV, "a.mkv")])
async def test_another_container_is_changed_and_nothing_encoded(
    content: bytes, name: str, converter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_host() as host:
        upload, data = await prepared(host, content, name)
    assert (upload.content_type, upload.filename, upload.key[-4:]) == ("video/mp4", "a.mp4", ".mp4")
    assert upload.notes[0].endswith("nothing encoded anew")
    assert "h264, aac" in upload.notes[0]
    monkeypatch.undo()
    assert codecs(data) == ("h264", "aac")
    tracks = read_tracks(io.BytesIO(data), len(data))
    assert tracks is not None
    assert tracks.plays
    assert data.index(b"moov") < data.index(b"mdat")  # playing may begin before all of it is there


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "type_"),
    [
        (WEBM, "video/webm"),
        (AVI, "video/x-msvideo"),
        (film("mp4", "mpeg4"), "video/mp4"),
        (film(pixels="yuv444p"), "video/mp4"),
    ],
    ids=["webm", "avi", "mpeg4", "444"],
)
async def test_other_codecs_are_encoded_anew(
    content: bytes, type_: str, with_ffmpeg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    monkeypatch.undo()
    assert codecs(data) == ("h264", "aac")
    assert f"made video/mp4 of {type_}" in upload.notes[0]
    assert upload.notes[0].endswith("encoded anew")
    tracks = read_tracks(io.BytesIO(data), len(data))
    assert tracks is not None
    assert tracks.plays


@pytest.mark.asyncio
async def test_what_is_too_large_becomes_smaller(with_ffmpeg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_VIDEO_MAX_BYTES", "300000")
    content = await asyncio.to_thread(film, frames=75, size=(160, 120), bits=3_000_000)
    assert len(content) > 500_000
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    monkeypatch.undo()
    assert codecs(data) == ("h264", "aac")
    assert len(data) <= 300_000
    assert upload.size == len(data)


# --- what goes as it is


@pytest.mark.asyncio
async def test_without_ffmpeg_it_goes_as_it_is_with_one_warning(
    without_decoder: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with memory_host() as host:
        for number in range(3):
            upload, data = await prepared(host, WEBM + bytes([number]), "clip.webm")
            assert data == WEBM + bytes([number])
            assert "there is none on PATH" in upload.notes[0]
            assert len(upload.sha256) == 64
    [line] = said(caplog)
    assert "'clip.webm' (video/webm" in line
    assert "install ffmpeg" in line
    assert "QQMEDIA_VIDEO_CONVERT=off" in line


@pytest.mark.asyncio
async def test_without_ffmpeg_it_goes_as_a_file_where_that_is_set(
    without_decoder: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_VIDEO_OTHERWISE", "card")
    async with memory_host() as host:
        upload, data = await prepared(host, WEBM, "clip.webm")
        assert (upload.kind, upload.filename, upload.content_type, data) == ("file", "clip.webm", "video/webm", WEBM)
        assert upload.notes[0].startswith("a file card: ")
        assert await host.get_video(WEBM)  # where only the URL counts, it is one as before
    [line] = said(caplog)
    assert "goes as a file card" in line


@pytest.mark.asyncio
async def test_pyav_alone_encodes_nothing(with_pyav: None, caplog: pytest.LogCaptureFixture) -> None:
    async with memory_host() as host:
        upload, data = await prepared(host, WEBM)
    assert data == WEBM
    assert "a video of vp8, opus takes ffmpeg" in upload.notes[0]
    assert len(said(caplog)) == 1


@pytest.mark.asyncio
async def test_what_ffmpeg_cannot_read_goes_as_it_is(with_ffmpeg: None, caplog: pytest.LogCaptureFixture) -> None:
    junk = WEBM[:60] + bytes(2000)
    async with memory_host() as host:
        upload, data = await prepared(host, junk)
    assert data == junk
    assert "ffmpeg cannot read it" in upload.notes[0]
    assert len(said(caplog)) == 1


@pytest.mark.asyncio
async def test_what_is_too_long_for_the_budget_goes_as_it_is(
    with_ffmpeg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_VIDEO_MAX_BYTES", "262144")
    content = await asyncio.to_thread(film, frames=400, audio=None) + b"\0\0\0\x08free" * 40_000
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    assert data == content
    assert "it is 16 s long, which does not fit into 262144 bytes" in upload.notes[0]


@pytest.mark.asyncio
async def test_a_playlist_in_disguise_opens_nothing(with_ffmpeg: None, tmp_path: Path) -> None:
    """What a file names is never opened: only the demuxers of the list may run, and only the protocol `file`."""
    secret = tmp_path / "secret.mp4"
    await asyncio.to_thread(secret.write_bytes, MP4)
    content = b"\x1aE\xdf\xa3webm\n#EXTM3U\n#EXTINF:1,\nfile:" + os.fsencode(secret) + b"\n"
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    assert data == content
    assert "ffmpeg cannot read it" in upload.notes[0]


# --- time, and nobody held up


@pytest.mark.asyncio
@on_linux
async def test_cancelling_ends_the_child_at_once(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    async with memory_host() as host:
        task = asyncio.create_task(prepared(host, WEBM), name="to be cancelled")
        await until_in_thread(children)
        await ends_at_once(task)
        assert await asyncio.to_thread(children) == []


@pytest.mark.asyncio
@on_linux
async def test_closing_the_host_ends_the_child(stand_in: Callable[[str], None]) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    async with memory_host() as host:
        task = asyncio.create_task(prepared(host, WEBM), name="left behind")
        await until_in_thread(children)
        await host.aclose()
        assert await asyncio.to_thread(children) == []
        with pytest.raises(Exception, match="the media host was closed"):
            await task


@pytest.mark.asyncio
async def test_what_takes_too_long_goes_as_it_is(
    stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(stand_in, "exec sleep 30")
    monkeypatch.setenv("QQMEDIA_VIDEO_TIMEOUT", "0.05")
    async with memory_host() as host:
        for _ in range(2):
            upload, data = await prepared(host, WEBM)
            assert data == WEBM
            assert "it took more than 0.05 s; raise timeout (QQMEDIA_VIDEO_TIMEOUT)" in upload.notes[0]
    assert len(said(caplog)) == 1


@pytest.mark.asyncio
async def test_an_ffmpeg_of_another_machine_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ("ffmpeg.exe" if sys.platform == "win32" else "ffmpeg")
    await asyncio.to_thread(program.write_bytes, b"\x7fELF, but for another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    async with memory_host() as host:
        upload, data = await prepared(host, WEBM)
    assert data == WEBM
    assert "ffmpeg cannot be run" in upload.notes[0]


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_a_video_is_made(with_ffmpeg: None) -> None:
    content = await asyncio.to_thread(film, "webm", "libvpx", "libopus", frames=50, size=(320, 240))
    async with memory_host() as host:
        await assert_loop_goes_on(lambda: prepared(host, content))
