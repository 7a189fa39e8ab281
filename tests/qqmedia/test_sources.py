"""What comes in: every kind of source, and every way in which one can be wrong."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from qqmedia import (
    HostPolicy,
    MediaError,
    MediaFormatError,
    MediaHost,
    MediaKind,
    MediaSourceError,
    MediaTooLargeError,
    QQMediaError,
    Upload,
    open_host,
)
from qqmedia.testing import MemoryDriver, memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
MP3 = b"\xff\xfb\x90\x64" + b"\0" * 200
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 200


class Slow(io.BytesIO):
    """Gives a few bytes at a time, as a socket does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 50_000))


class Asynchronous:
    async def read(self, size: int = -1) -> bytes:
        return b""


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["bytes", "bytearray", "memoryview", "str", "path", "file"])
async def test_every_form_of_a_picture_gives_the_same_upload(form: str, cat: Path) -> None:
    sources: dict[str, Any] = {
        "bytes": PNG, "bytearray": bytearray(PNG), "memoryview": memoryview(PNG), "str": str(cat), "path": cat,
        "file": io.BytesIO(PNG),
    }  # fmt: skip
    async with memory_host() as host, host.prepare(MediaKind.IMAGE, sources[form]) as upload:
        assert upload.content_type == "image/png"
        assert (upload.size, upload.sha256) == (len(PNG), hashlib.sha256(PNG).hexdigest())
        assert upload.key.endswith(".png")
        assert upload.filename == ("cat.png" if form in ("str", "path") else "image.png")
        assert await asyncio.to_thread(_read_twice, upload) == (PNG, PNG)


def _read_twice(upload: Upload) -> tuple[bytes, bytes]:
    with upload.open() as first, upload.open() as second:
        return first.read(), second.read()


@pytest.mark.asyncio
async def test_a_path_stays_a_path_and_must_not_change(cat: Path) -> None:
    async with memory_host() as host, host.prepare(MediaKind.IMAGE, cat) as upload:
        assert upload.content == cat
        await asyncio.to_thread(cat.write_bytes, PNG + b"more")
        with pytest.raises(MediaSourceError, match="changed while it was being sent"):
            await asyncio.to_thread(upload.open)


@pytest.mark.asyncio
async def test_a_file_object_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"header" + PNG)
    file.seek(6)
    async with memory_host() as host, host.prepare(MediaKind.IMAGE, file) as upload:
        assert upload.read() == PNG
    assert not file.closed


@pytest.mark.asyncio
async def test_a_large_file_object_goes_to_the_disk_and_is_gone_afterwards() -> None:
    content = MP4 + os.urandom(3_000_000)
    async with memory_host() as host:
        async with host.prepare(MediaKind.VIDEO, Slow(content), filename="clip.mp4") as upload:
            spooled = upload.content
            assert isinstance(spooled, Path)
            assert upload.sha256 == hashlib.sha256(content).hexdigest()
            assert upload.filename == "clip.mp4"
            assert await asyncio.to_thread(upload.read) == content
        assert not await asyncio.to_thread(spooled.exists)


@pytest.mark.asyncio
async def test_any_content_is_a_file() -> None:
    async with memory_host() as host, host.prepare(MediaKind.FILE, b"just words", filename="../a\nb.txt") as upload:
        assert upload.content_type == "application/octet-stream"
        assert upload.filename == "ab.txt"
        assert upload.key.endswith(".bin")


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, tuple[MediaKind, Any, type[MediaError], str]]:
    (tmp_path / "empty.png").touch()
    (tmp_path / "letter.png").write_text("Dear cat,")
    (tmp_path / "cat.png").write_bytes(PNG)
    closed = io.BytesIO(PNG)
    closed.close()
    read = io.BytesIO(PNG)
    read.read()
    letter = io.BytesIO(b"Dear cat,")
    letter.name = "/home/ann/letter.png"
    image, video, voice = MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.VOICE
    source, form = MediaSourceError, MediaFormatError
    return {
        "missing": (image, tmp_path / "no.png", source, r"no\.png' does not exist .*expected bytes, a path"),
        "directory": (image, tmp_path, source, "is a directory; expected a file"),
        "empty file": (image, tmp_path / "empty.png", source, r"empty\.png' is empty \(0 bytes\)"),
        "empty bytes": (image, b"", source, "image was given as empty bytes"),
        "empty name": (image, "", source, "no path"),
        "nul": (image, "a\0b", source, "cannot be read"),
        "none": (voice, None, source, "voice was given as None; expected bytes, a path, an http"),
        "number": (image, 7, source, "an object of type int; expected bytes"),
        "ftp": (image, "ftp://example.org/cat.png", source, "only http and https"),
        "data url": (image, "data:image/png;base64,AAAA", source, "only http and https"),
        "text file object": (image, io.StringIO("x"), source, r"read\(\) of .*StringIO gave str; .*binary mode"),
        "async file object": (image, Asynchronous(), source, r"gave coroutine; .*not asynchronous"),
        "closed file object": (image, closed, source, "closed file"),
        "file object at its end": (image, read, source, "no bytes left"),
        "text called png": (image, tmp_path / "letter.png", form, r"letter\.png', given as image, is text, by its"),
        "open text called png": (image, letter, form, r"^'letter\.png', given as image, is text"),
        "mp3 as image": (image, MP3, form, "^a medium of 204 bytes, given as image, is audio/mpeg.*expected a picture"),
        "image as video": (video, PNG, form, "given as video, is image/png"),
        "image as voice": (voice, PNG, form, "given as voice, is image/png.*expected audio"),
        "unknown as image": (image, b"\0\1\2\3" * 9, form, "of an unknown format"),
        "long text as path": (image, "x" * 9000, source, r"'x{77}\.\.\.'"),
    }


@pytest.mark.asyncio
async def test_every_mistake_says_what_came_in_and_what_was_expected(
    wrong: dict[str, tuple[MediaKind, Any, type[MediaError], str]],
) -> None:
    driver = MemoryDriver()
    async with memory_host(driver) as host:
        for name, (kind, source, error, text) in wrong.items():
            with pytest.raises(error) as caught:
                async with host.prepare(kind, source):
                    raise AssertionError(name)
            message = str(caught.value)
            assert re.search(text, message, re.DOTALL), (name, message)
            assert len(message) < 400
            assert "\n" not in message
    assert driver.puts == []


@pytest.mark.asyncio
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    async with memory_host() as host:
        with pytest.raises(MediaSourceError, match="may not be read by this user"):
            await host.get_image(path)


@pytest.mark.asyncio
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
async def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    await asyncio.to_thread(os.mkfifo, tmp_path / "pipe")
    async with memory_host() as host:
        with pytest.raises(MediaSourceError, match="a device or a pipe"):
            await host.get_image(tmp_path / "pipe")


@pytest.mark.asyncio
async def test_too_large_names_both_figures_and_the_setting(tmp_path: Path) -> None:
    path, content = tmp_path / "cat.png", PNG + b"x" * 2_000_000
    await asyncio.to_thread(path.write_bytes, content)
    policy = HostPolicy(max_bytes=1_500_000)
    async with memory_host(policy=policy) as host:
        for source in (content, path):
            with pytest.raises(MediaTooLargeError, match=r"2000128 bytes, 1500000 are allowed.*QQMEDIA_HOST_MAX_BYTES"):
                await host.get_image(source)
        with pytest.raises(MediaTooLargeError, match="more than 1500000 bytes"):
            await host.get_image(io.BytesIO(content))


class FullDisk(io.BytesIO):
    """Stands for a disk that fills up while a file object is copied to it."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 1_500_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().read(size)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.asyncio
async def test_a_fault_in_the_middle_leaves_nothing_behind(temporary: Path) -> None:
    async with memory_host() as host:
        with pytest.raises(MediaSourceError, match=os.strerror(errno.ENOSPC)):
            await host.get_video(FullDisk(MP4 + b"\0" * 4_000_000))
    assert await asyncio.to_thread(os.listdir, temporary) == []


@pytest.fixture
def full_disk(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first temporary file of a workspace is called 1: let it stand on the device that is always full."""
    folder = temporary / "full"
    folder.mkdir()
    (folder / "1").symlink_to("/dev/full")
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_arguments: str(folder))


@pytest.mark.asyncio
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
async def test_a_full_disk_says_so(full_disk: None, tmp_path: Path) -> None:
    async with memory_host(state_dir=tmp_path / "state") as host:
        with pytest.raises(MediaSourceError, match=r"no space left on the disk of .*make room"):
            await host.get_video(io.BytesIO(MP4 + b"\0" * 4_000_000))


class Gated(io.RawIOBase):
    """Gives its bytes once the gate is open; `thread` is where somebody wants them."""

    def __init__(self, size: int) -> None:
        self.gate, self.asked = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        self.thread = threading.current_thread()
        self.asked.set()
        assert self.gate.wait(10)
        given = min(self._left, size)
        self._left -= given
        return b"-" * given


async def prepared(host: MediaHost, source: Any) -> str:
    async with host.prepare(MediaKind.FILE, source):
        return "prepared"


@pytest.mark.asyncio
async def test_who_is_cancelled_before_the_temporary_file_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = Gated(3_000_000)
    async with open_host("direct", state_dir=tmp_path / "state") as host:
        task = asyncio.create_task(prepared(host, source))
        await asyncio.to_thread(source.asked.wait, 10)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    source.gate.set()
    assert source.thread is not None
    await asyncio.to_thread(source.thread.join, 10)
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["state"]


@pytest.mark.asyncio
async def test_who_waits_for_a_thread_when_the_host_closes_hears_of_it_and_is_not_cancelled(tmp_path: Path) -> None:
    sources = [Gated(10) for _ in range(9)]  # more than there are threads
    async with open_host("direct", state_dir=tmp_path) as host:
        tasks = [asyncio.create_task(prepared(host, source)) for source in sources]
        await asyncio.to_thread(sources[0].asked.wait, 10)
    for source in sources:
        source.gate.set()
    refused = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if one != "prepared"]
    assert {(type(one), str(one)) for one in refused} == {
        (QQMediaError, "the media host was closed while a medium was on its way")
    }
