"""Files that name a server or another file: nothing is ever opened, whatever decoder reads them."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from qqmedia.errors import MediaError, MediaFormatError
from qqmedia.voice import SilkEncoder, VoiceOptions


@dataclass
class Listener:
    port: int = 0
    calls: list[str] = field(default_factory=list)


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    """A server that nobody may call, on TCP and UDP."""
    heard = Listener()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.calls.append("connection")
        heard.calls.append((await reader.readline()).decode(errors="replace"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    heard.port = server.sockets[0].getsockname()[1]
    yield heard
    server.close()
    await server.wait_closed()


@pytest.fixture
def beside(tmp_path: Path, media: dict[str, Path]) -> Path:
    """A sound in the same folder: playlists are most easily led there."""
    return Path(shutil.copy(media["audio.webm"], tmp_path / "beside.webm"))


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile {url}\n",
    "ffconcat with option": "ffconcat version 1.0\nfile {url}\noption protocol_whitelist all\n",
    "DASH": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" '
    'type="static" mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="a" '
    'bandwidth="1000"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
}

# Lists that only players follow; ffmpeg knows none of them.
OTHER_LISTS = {
    "pls": "[playlist]\nFile1=http://127.0.0.1/x.mp3\nNumberOfEntries=1\nVersion=2\n",
    "ASX": '<asx version="3.0"><entry><ref href="http://127.0.0.1/x.mp3"/></entry></asx>',
    "SMIL": '<smil><body><audio src="http://127.0.0.1/x.mp3"/></body></smil>',
    "RTSP": "RTSPtext\nrtsp://127.0.0.1/x\n",
}

# In front of a playlist, so that it is no longer plain text: some demuxers look further in, or skip a tag.
DISGUISES = {
    "plain": b"",
    "byte order mark": b"\xef\xbb\xbf",
    "binary line": b"\x01\x02\x00\n",
    "ID3 tag": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10),
    "blank lines": b"\n\n \t",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("kind", PLAYLISTS)
async def test_nothing_that_a_file_names_is_opened(
    kind: str, disguise: str, front_end: str, listener: Listener, beside: Path
) -> None:
    """A server, a file beside it, a file elsewhere: by bytes and by path."""
    playlist = beside.with_name("playlist")
    for named in (f"http://127.0.0.1:{listener.port}/secret.webm", beside.name, str(beside)):
        content = DISGUISES[disguise] + PLAYLISTS[kind].format(url=named, port=listener.port).encode()
        await asyncio.to_thread(playlist.write_bytes, content)
        async with SilkEncoder(VoiceOptions(timeout=5)) as encoder:
            for given in (content, playlist):
                with pytest.raises(MediaFormatError) as caught:
                    await encoder.encode(given)
                assert listener.calls == []
                if disguise == "plain":
                    assert "playlist" in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", OTHER_LISTS)
async def test_other_lists_are_named_for_what_they_are(kind: str) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=rf"playlist or manifest \({kind}\)"):
            await encoder.encode(OTHER_LISTS[kind].encode())


@pytest.mark.asyncio
@pytest.mark.parametrize("text", [b"hello", b"<!DOCTYPE html><p>404", "你好".encode() * 2000, "你好".encode("utf-16")])
async def test_text_says_that_it_is_text(text: bytes, front_end: str) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=r"is text, not sound|not an audio or video file"):
            await encoder.encode(text)


@pytest.mark.asyncio
async def test_a_picture_is_no_voice(front_end: str) -> None:
    async with SilkEncoder() as encoder:
        with pytest.raises(MediaFormatError, match=r"the voice \(408 bytes\) is not an audio or video file"):
            await encoder.encode(b"\x89PNG\r\n\x1a\n" + bytes(400))


@pytest.mark.asyncio
async def test_damaged_files_are_errors_or_sound_and_never_anything_else(
    front_end: str, media: dict[str, Path]
) -> None:
    chance = random.Random(4)
    names = ["mono.mp3", "aac.m4a", "vorbis.ogg", "audio.webm", "windows.wma", "video.avi", "narrow.amr", "flac.flac"]
    async with SilkEncoder(VoiceOptions(timeout=10)) as encoder:
        for name in names:
            damaged = bytearray(await asyncio.to_thread(media[name].read_bytes))
            for _ in range(max(20, len(damaged) // 200)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                voice = await encoder.encode(bytes(damaged))
            except MediaError as error:
                assert "the voice" in str(error)  # noqa: PT017 - either outcome is right
            else:
                assert voice.info.packets > 0
