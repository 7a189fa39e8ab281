"""A file that is sent again is not read again, unless it changed."""

from __future__ import annotations

import hashlib
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from qqmedia import MediaKind
from qqmedia._digests import Digests
from qqmedia.media import FileStamp
from qqmedia.testing import memory_host

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
LONG_AGO = time.time() - 3600


def settled(path: Path, content: bytes, at: float = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


@pytest.mark.asyncio
@pytest.mark.blocking  # writes a small file
async def test_a_file_that_changed_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    async with memory_host() as host:
        for content in (MP4 + b"one", MP4 + b"two"):
            settled(path, content, LONG_AGO + content[-1])
            async with host.prepare(MediaKind.VIDEO, path) as upload:
                assert upload.sha256 == hashlib.sha256(content).hexdigest()
                assert upload.read() == content


@pytest.mark.asyncio
@pytest.mark.blocking  # writes a small file
async def test_a_file_that_was_written_just_now_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    async with memory_host() as host:
        for content in (MP4 + b"one", MP4 + b"two"):
            path.write_bytes(content)
            async with host.prepare(MediaKind.VIDEO, path) as upload:
                assert upload.sha256 == hashlib.sha256(content).hexdigest()


def test_what_is_known_is_told_for_the_same_stamp_only(tmp_path: Path) -> None:
    digests = Digests()
    stamp = FileStamp.of(settled(tmp_path / "a", b"a").stat())
    digests.put(tmp_path / "a", stamp, "digest")
    assert digests.get(tmp_path / "a", stamp) == "digest"
    assert digests.get(tmp_path / "a", FileStamp(stamp.inode, stamp.size, stamp.mtime_ns + 1)) is None
    assert digests.get(tmp_path / "b", stamp) is None


def test_a_fresh_stamp_is_not_trusted(tmp_path: Path) -> None:
    digests = Digests()
    stamp = FileStamp.of(settled(tmp_path / "a", b"a", time.time()).stat())
    digests.put(tmp_path / "a", stamp, "digest")
    assert digests.get(tmp_path / "a", stamp) is None


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    digests = Digests()
    for number in range(2000):
        digests.put(tmp_path / str(number), FileStamp(number, 1, 0), "digest")
    assert digests.get(tmp_path / "0", FileStamp(0, 1, 0)) is None
    assert digests.get(tmp_path / "1999", FileStamp(1999, 1, 0)) == "digest"


@pytest.mark.parametrize("size", [10, 16 * 1024, 100_000, 1024 * 1024, 2_000_000])
def test_bytes_have_their_own_digest_however_alike_they_are(size: int) -> None:
    """Those that differ in one place only share everything by which they are found again."""
    digests = Digests()
    first, second = bytes(size), b"\x01" + bytes(size - 1)
    for content in (first, second, bytes(bytearray(second)), first, second):
        assert digests.of_bytes(content) == hashlib.sha256(content).hexdigest()


def test_of_the_bytes_that_came_last_no_more_is_kept_than_fits() -> None:
    digests = Digests()
    tracemalloc.start()
    try:
        for number in range(100):
            digests.of_bytes(bytes([number]) * 300_000)
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
