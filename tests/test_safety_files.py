"""No file that somebody sends or gives makes a decoder open another: playlists, references, attachments."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio

from qqmedia import MediaFormatError, MediaKind
from qqmedia.testing import memory_host
from tests.safety_site import Site, each
from tests.safety_table import FILES, Try


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with Site.served() as site:
        yield site


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A film, and the same with a file attached."""
    beside = tmp_path_factory.mktemp("films") / "beside.mov"
    return {"film": _film(beside), "mkv with a file attached": _with_attachment(beside)}


@pytest.fixture(params=["ffmpeg", "PyAV"])
def decoder(
    request: pytest.FixtureRequest, films: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Each of the two in turn."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if request.param == "ffmpeg":
        program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
        name = "ffmpeg.exe" if sys.platform == "win32" else "ffmpeg"
        shutil.copy(program, folder / name) if sys.platform == "win32" else (folder / name).symlink_to(program)
        monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", str(folder))
    return str(request.param)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [MediaKind.VOICE, MediaKind.VIDEO, MediaKind.IMAGE])
@each(FILES)
@pytest.mark.usefixtures("decoder")
async def test_no_file_opens_another(
    tried: Try, kind: MediaKind, films: dict[str, bytes], site: Site, tmp_path: Path
) -> None:
    beside = tmp_path / "beside.mov"
    await asyncio.to_thread(beside.write_bytes, films["film"])
    content = _file(tried.what, site.url("127.0.0.1", "/a.mov"), beside, films)
    given: Any = content
    if tried.what == "a path that looks like a protocol":
        given = str(tmp_path / "concat:beside.mov|beside.mov")
        await asyncio.to_thread(Path(given).write_bytes, content)
    async with memory_host() as host:
        try:
            async with host.prepare(kind, given) as upload:
                got = await asyncio.to_thread(upload.read)
        except MediaFormatError:
            got = b""
    assert site.hosts == []
    if "refused: " in tried.got or kind is MediaKind.IMAGE:
        assert got == b""
    elif "dropped" in tried.got:
        assert got
        assert b"not to be seen" not in got
    elif "taken for" in tried.got:
        assert got
    elif "not followed" not in tried.got:  # what was opened would have a picture or a sound
        assert got in (b"", content)


def _film(path: Path) -> bytes:
    """A second of grey, in QuickTime: so it would be made anew."""
    with av.open(str(path), "w", format="mov") as made:
        pictures: Any = made.add_stream("libx264", rate=5)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound: Any = made.add_stream("aac", rate=48_000, layout="mono")
        for _ in range(5):
            made.mux(pictures.encode(av.VideoFrame(64, 48, "yuv420p")))
        made.mux(pictures.encode(None))
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        silence.sample_rate = 48_000
        silence.planes[0].update(bytes(silence.planes[0].buffer_size))
        for number in range(46):
            silence.pts = number * 1024
            made.mux(sound.encode(silence))
        made.mux(sound.encode(None))
    return path.read_bytes()


def _file(what: str, url: str, beside: Path, films: dict[str, bytes]) -> bytes:
    def m3u8(named: object) -> bytes:
        return f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{named}\n#EXT-X-ENDLIST\n".encode()

    files = {
        "m3u8": m3u8(url),
        "m3u8 with a local file": m3u8(beside),
        "ffconcat": f"ffconcat version 1.0\nfile {url}\n".encode(),
        "DASH": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
            f'<Representation id="a"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        ).encode(),
        "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        "m3u8 behind the head of an mkv": b"\x1aE\xdf\xa3webm\n" + m3u8(beside),
        "m3u8 behind an ID3 tag": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + m3u8(beside),
        "mov whose pictures are elsewhere": _elsewhere(films["film"], url),
        "SVG as a picture": (
            b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
            b'<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'
        ),
        "PostScript, PDF as a picture": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
        "a path that looks like a protocol": films["film"],
    }
    return (files | films)[what]


def _elsewhere(film: bytes, url: str) -> bytes:
    """Let the data references of a QuickTime file, which say "in this file", name an address."""
    entry = b"url \0\0\0\0" + url.encode() + b"\0"
    own = b"\0\0\0\x0curl \0\0\0\x01"
    new = (len(entry) + 4).to_bytes(4, "big") + entry
    while (at := film.find(own)) >= 0 or (at := film.find(own.replace(b"url ", b"alis"))) >= 0:
        film = film[:at] + new + film[at + len(own) :]
        for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
            head = film.rindex(name, 0, at) - 4
            length = int.from_bytes(film[head : head + 4], "big") + len(new) - len(own)
            film = film[:head] + length.to_bytes(4, "big") + film[head + 4 :]
    assert url.encode() in film
    return film


def _with_attachment(beside: Path) -> bytes:
    path = beside.with_suffix(".mkv")
    with av.open(str(beside)) as source, av.open(str(path), "w", format="matroska") as made:
        streams = {one.index: made.add_stream_from_template(one) for one in source.streams}
        made.add_attachment("x.ttf", "font/ttf", b"not to be seen" * 100)
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    content = path.read_bytes()
    assert b"not to be seen" in content
    return content
