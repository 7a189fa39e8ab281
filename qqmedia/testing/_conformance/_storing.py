"""Promises about bytes, types, keys and URLs."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from qqmedia.driver import Driver, SupportsCheck, SupportsDelete, SupportsFind, SupportsReach
from qqmedia.errors import MediaSourceError
from qqmedia.media import MediaKind, Reach, Upload
from qqmedia.testing._conformance._base import ConformanceBase, skip_unless
from qqmedia.testing._uploads import make_content, make_upload

__all__ = ("Abilities", "Storing")

_MIB: Final = 1024 * 1024
_AT_ONCE: Final = 50
_CLOCK_SLACK: Final = timedelta(seconds=2)  # signatures count whole seconds
_ODD_KEYS: Final = (
    "a",
    "A",
    "a.b",
    "-dash-first.png",
    "_.png",
    ".hidden",
    "dot.at.end.",
    "con.png",
    "UPPER.PNG",
    "upper.png",
    "deep/in/folders.png",
    "deep-in-folders.png",
    "k" * 200,
)
"""Every one is allowed by the hook `qqmedia_object_key`; some differ in a way that not every store can tell."""
_EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "audio/silk": "silk",
    "video/mp4": "mp4",
    "application/pdf": "pdf",
}
_RARELY_KNOWN: Final = {("audio/silk", "application/octet-stream")}  # QQ looks at the bytes


class Storing(ConformanceBase):
    """What `Driver.put` promises."""

    @pytest.mark.asyncio
    async def test_url_is_absolute_http(self, driver: Driver) -> None:
        """The platform can fetch nothing else."""
        url = await driver.put(make_upload())
        assert isinstance(url, str), f"put returned {url!r}; expected a URL"
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https"), url
        assert parts.hostname, url

    @pytest.mark.asyncio
    @pytest.mark.parametrize("size", [1, 64 * 1024 + 1, 5 * _MIB, 5 * _MIB + 1])
    async def test_bytes_come_back_exactly(self, driver: Driver, size: int) -> None:
        """By a plain GET, without credentials, and they are in the store under the upload's key."""
        upload = make_upload(make_content(size), kind=MediaKind.IMAGE)
        await self.assert_served(await driver.put(upload), upload)
        assert await self.assert_whole_or_nothing(upload) is not None, "the back door finds nothing under this key"

    @pytest.mark.asyncio
    async def test_bytes_of_a_file_come_back_exactly(self, driver: Driver, tmp_path: Path) -> None:
        """A medium may lie in a file in place of the memory."""
        upload = await asyncio.to_thread(_in_file, tmp_path / "video.mp4", 2 * _MIB + 7)
        await self.assert_served(await driver.put(upload), upload)

    @pytest.mark.asyncio
    async def test_64_mib_stream_with_bounded_memory(self, driver: Driver, tmp_path: Path) -> None:
        """A large body is never in memory as a whole."""
        if self.memory_limit_bytes is None:
            pytest.skip("memory_limit_bytes is None: the store keeps its objects in the memory of this process")
        upload = await asyncio.to_thread(_in_file, tmp_path / "long.mp4", 64 * _MIB)
        await driver.put(make_upload(kind=MediaKind.VIDEO))  # loads what is loaded once
        with _measured_memory() as grown_bytes:
            url = await driver.put(upload)
            grown = grown_bytes()
        await self.assert_served(url, upload)
        assert grown <= self.memory_limit_bytes, f"a put of 64 MiB took {grown / _MIB:.1f} MiB of memory"

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("kind", "content_type"),
        [
            (MediaKind.IMAGE, "image/png"),
            (MediaKind.IMAGE, "image/jpeg"),
            (MediaKind.VOICE, "audio/silk"),
            (MediaKind.VIDEO, "video/mp4"),
            (MediaKind.FILE, "application/pdf"),
        ],
    )
    async def test_content_type_is_the_uploads(self, driver: Driver, kind: MediaKind, content_type: str) -> None:
        """Whatever the key looks like; or as the extension says, where `types_by_extension` is set."""
        key = f"hint.{_EXTENSIONS[content_type]}" if self.types_by_extension else "no-hint"
        upload = make_upload(make_content(500, seed=content_type), kind=kind, content_type=content_type, key=key)
        answer = await self.get(await driver.put(upload))
        if self.types_by_extension and (content_type, answer.content_type) in _RARELY_KNOWN:
            pytest.skip(f"the store does not know {key}; where it can be taught, teach it {content_type}")
        hint = "a store that goes by the extension of names? Then set `types_by_extension = True`"
        assert answer.content_type == content_type, hint

    @pytest.mark.asyncio
    async def test_caches_may_keep_it(self, driver: Driver) -> None:
        """The platform and its caches may fetch an object once: its bytes never change under its URL."""
        answer = await self.get(await driver.put(make_upload()))
        forbids = {one.strip().lower() for one in answer.headers.get("Cache-Control", "").split(",")}
        assert not forbids & {"no-store", "no-cache", "private", "max-age=0"}, answer.headers["Cache-Control"]

    @pytest.mark.asyncio
    async def test_odd_keys_neither_fail_nor_collide(self, driver: Driver) -> None:
        """Any key that the host lets through names an object of its own."""
        uploads = [make_upload(make_content(300, seed=key), key=key) for key in _ODD_KEYS]
        urls = [await driver.put(upload) for upload in uploads]
        for url, upload in zip(urls, uploads, strict=True):
            await self.assert_served(url, upload)

    @pytest.mark.asyncio
    async def test_the_same_key_twice_is_harmless(self, driver: Driver) -> None:
        """One after the other, the first URL still answers."""
        upload = make_upload()
        first = await driver.put(upload)
        second = await driver.put(upload)
        await self.assert_served(first, upload)
        await self.assert_served(second, upload)

    @pytest.mark.asyncio
    async def test_the_same_key_at_once_is_harmless(self, driver: Driver) -> None:
        """Two processes of one bot may send the same picture."""
        upload = make_upload(make_content(300_000))
        async with asyncio.TaskGroup() as tasks:
            puts = [tasks.create_task(_put(driver, upload), name=f"put {number}") for number in range(8)]
        for put in puts:
            await self.assert_served(put.result(), upload)

    @pytest.mark.asyncio
    async def test_fifty_at_once_do_not_mix(self, driver: Driver) -> None:
        """Each URL answers with its own bytes."""
        uploads = [make_upload(make_content(1000 + 997 * number)) for number in range(_AT_ONCE)]
        async with asyncio.TaskGroup() as tasks:
            puts = [tasks.create_task(_put(driver, upload), name=f"put {upload.key}") for upload in uploads]
        for put, upload in zip(puts, uploads, strict=True):
            await self.assert_served(put.result(), upload)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("ttl", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)], ids=str)
    async def test_url_is_good_for_the_ttl(self, driver: Driver, ttl: timedelta) -> None:
        """A presigned URL says until when it is good; seven days is the most that a host asks for."""
        before = datetime.now(UTC)
        upload = make_upload(ttl=ttl)
        url = await driver.put(upload)
        await self.assert_served(url, upload)
        until = self.url_expires_at(url or "")
        if until is not None:
            assert until >= before + ttl - _CLOCK_SLACK, f"good for {until - before}, not for {ttl}"

    @pytest.mark.asyncio
    async def test_what_others_removed_is_stored_again(self, driver: Driver) -> None:
        """A driver must not take its own memory for the store."""
        upload = make_upload()
        await driver.put(upload)
        await self.remove(upload.key)
        await self.assert_served(await driver.put(upload), upload)

    @pytest.mark.asyncio
    async def test_a_source_that_is_gone_is_told_as_it_is(self, driver: Driver, tmp_path: Path) -> None:
        """`MediaSourceError` of ``upload.open()`` passes through, for nothing is wrong with the store."""
        path = tmp_path / "gone.mp4"
        upload = await asyncio.to_thread(_in_file, path, _MIB)
        await asyncio.to_thread(path.unlink)
        with pytest.raises(MediaSourceError):
            await driver.put(upload)
        assert await self.read(upload.key) is None


class Abilities(ConformanceBase):
    """What the small extra Protocols promise; skipped where the driver does not have them."""

    @pytest.mark.asyncio
    async def test_delete_takes_it_down_and_leaves_others(self, driver: Driver) -> None:
        """Neither the URL answers any more, nor is it in the store."""
        skip_unless(driver, SupportsDelete)
        assert isinstance(driver, SupportsDelete)
        upload, other = make_upload(make_content(200, seed="gone")), make_upload(make_content(200, seed="stays"))
        url, other_url = await driver.put(upload), await driver.put(other)
        await driver.delete(upload.key)
        assert await self.read(upload.key) is None
        status = (await self.get(url)).status
        assert 400 <= status < 500, f"{url} answered {status} after its object was deleted"
        await self.assert_served(other_url, other)

    @pytest.mark.asyncio
    async def test_deleting_again_is_silent(self, driver: Driver) -> None:
        """What is gone already needs no error."""
        skip_unless(driver, SupportsDelete)
        assert isinstance(driver, SupportsDelete)
        upload = make_upload()
        await driver.put(upload)
        await driver.delete(upload.key)
        await driver.delete(upload.key)

    @pytest.mark.asyncio
    async def test_deleting_what_others_removed_is_silent(self, driver: Driver) -> None:
        """A lifecycle rule of the bucket may have been faster; and a key may never have been there."""
        skip_unless(driver, SupportsDelete)
        assert isinstance(driver, SupportsDelete)
        upload = make_upload()
        await driver.put(upload)
        await self.remove(upload.key)
        await driver.delete(upload.key)
        await driver.delete(make_upload(make_content(99, seed="never there")).key)

    @pytest.mark.asyncio
    async def test_what_was_deleted_can_be_stored_again(self, driver: Driver) -> None:
        """The same picture is sent again the day after."""
        skip_unless(driver, SupportsDelete)
        assert isinstance(driver, SupportsDelete)
        upload = make_upload()
        await driver.put(upload)
        await driver.delete(upload.key)
        await self.assert_served(await driver.put(upload), upload)

    @pytest.mark.asyncio
    async def test_find_returns_a_url_only_of_what_is_there(self, driver: Driver) -> None:
        """With this key and this size."""
        skip_unless(driver, SupportsFind)
        assert isinstance(driver, SupportsFind)
        upload = make_upload(make_content(345, seed="found"))
        assert await driver.find(upload) is None, "found before it was stored"
        await driver.put(upload)
        await self.assert_served(await driver.find(upload), upload)
        other = make_upload(make_content(346, seed="found"), key=upload.key)
        assert await driver.find(other) is None, "found although the size differs"
        await self.remove(upload.key)
        assert await driver.find(upload) is None, "found although it was removed"

    @pytest.mark.asyncio
    async def test_found_url_is_good_for_the_ttl(self, driver: Driver) -> None:
        """From now on, and not from when the object was stored."""
        skip_unless(driver, SupportsFind)
        assert isinstance(driver, SupportsFind)
        upload = make_upload(ttl=timedelta(days=2))
        await driver.put(make_upload(ttl=timedelta(minutes=1)))
        before = datetime.now(UTC)
        url = await driver.find(upload)
        until = self.url_expires_at(url or "")
        if until is not None:
            assert until >= before + upload.ttl - _CLOCK_SLACK, f"good for {until - before}, not for {upload.ttl}"

    @pytest.mark.asyncio
    async def test_reach_is_one_of_three(self, driver: Driver) -> None:
        """The host decides by it whether a URL is worth offering."""
        skip_unless(driver, SupportsReach)
        assert isinstance(driver, SupportsReach)
        assert isinstance(driver.reach, Reach)

    @pytest.mark.asyncio
    async def test_check_is_content_with_what_works(self, driver: Driver) -> None:
        """Called once when a host opens."""
        skip_unless(driver, SupportsCheck)
        assert isinstance(driver, SupportsCheck)
        await driver.check()


async def _put(driver: Driver, upload: Upload) -> str | None:
    return await driver.put(upload)


def _in_file(path: Path, size: int) -> Upload:
    path.write_bytes(make_content(size, kind=MediaKind.VIDEO))
    return make_upload(path, kind=MediaKind.VIDEO)


@contextlib.contextmanager
def _measured_memory() -> Iterator[Callable[[], int]]:
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        if ours:
            tracemalloc.stop()
