"""What the drivers over a synchronous SDK share: bodies that can be stopped, and threads that are not waited for."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from qqmedia import MediaKind, MediaSourceError, StorageUnavailableError
from qqmedia.testing import make_content, make_upload
from qqmedia_drivers._sdk.bodies import UploadBody
from qqmedia_drivers._sdk.logs import quieten
from qqmedia_drivers._sdk.threads import SdkThreads, Stop, StoppedError
from qqmedia_drivers._sdk.urls import presigned_seconds

WAIT_SECONDS = 5.0
HANGING = """
import asyncio, threading
from qqmedia_drivers._sdk.threads import SdkThreads

async def main():
    async with SdkThreads("test", 2) as threads:
        hanging = asyncio.create_task(threads.run(lambda stop: threading.Event().wait(300)))
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_body_is_a_file_of_its_stretch(tmp_path: Path) -> None:
    content = make_content(1000, kind=MediaKind.VIDEO)
    (tmp_path / "video.mp4").write_bytes(content)
    for source in (content, tmp_path / "video.mp4"):
        upload = make_upload(source, kind=MediaKind.VIDEO)
        with UploadBody.of(upload, Stop(), start=100, size=50) as body:
            assert (len(body), body.read(), body.read()) == (50, content[100:150], b"")
            assert (body.seek(-10, io.SEEK_END), body.tell(), body.read(4)) == (40, 40, content[140:144])
            assert (body.seek(-4, io.SEEK_CUR), body.seek(0), body.seek(99)) == (40, 0, 50)
            body.seek(0)
            assert io.BufferedReader(body).read(7) == content[100:107]


def test_a_body_is_read_no_further_once_its_call_was_stopped() -> None:
    stop = Stop()
    with UploadBody.of(make_upload(make_content(1000)), stop) as body:
        assert len(body.read(10)) == 10
        stop.set()
        with pytest.raises(StoppedError):
            body.read(10)


def test_a_file_that_becomes_shorter_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(bytes(1000))
    upload = make_upload(tmp_path / "video.mp4", kind=MediaKind.VIDEO)
    with UploadBody.of(upload, Stop(), start=100, size=800) as body:
        os.truncate(tmp_path / "video.mp4", 300)
        assert body.read(500) == bytes(200)
        with pytest.raises(MediaSourceError, match="became shorter"):
            body.read(500)
        body.seek(0, io.SEEK_END)
        assert body.read(500) == b""


@pytest.mark.asyncio
async def test_a_cancelled_call_is_told_and_given_time_to_clean_up() -> None:
    begun, cleaned = threading.Event(), threading.Event()
    late: list[int] = []

    def call(stop: Stop) -> None:
        begun.set()
        try:
            while True:
                stop.check()
                threading.Event().wait(0.002)
        finally:
            cleaned.set()

    async with SdkThreads("test", 1) as threads:
        running = asyncio.create_task(threads.run(call), name="call")
        await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        waiting = asyncio.create_task(threads.run(lambda _stop: late.append(1)), name="call in line")
        await asyncio.sleep(0)
        waiting.cancel()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert cleaned.is_set(), "the caller went before the call had cleaned up"
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await threads.run(lambda _stop: 7) == 7
        assert not late, "a call that was cancelled in line has begun"


@pytest.mark.asyncio
async def test_helpers_that_find_no_thread_are_not_waited_for() -> None:
    done: list[int] = []
    async with SdkThreads("test", 1) as threads:
        call = threads.run(lambda stop: threads.share(lambda: done.append(1), stop, helpers=2))
        await asyncio.wait_for(call, WAIT_SECONDS)
    assert done == [1]


@pytest.mark.asyncio
async def test_the_first_failure_of_shared_work_stops_the_rest() -> None:
    failed = threading.Event()

    def work(stop: Stop, fails: list[int]) -> None:
        if fails and fails.pop():
            failed.set()
            raise ValueError("one of them")
        failed.wait(WAIT_SECONDS)
        while True:
            stop.check()

    async with SdkThreads("test", 3) as threads:
        for attempt in range(3):
            fails = [1]
            failed.clear()

            def call(stop: Stop, fails: list[int] = fails) -> None:
                threads.share(lambda: work(stop, fails), stop, helpers=2)

            with pytest.raises(ValueError, match="one of them"):
                await asyncio.wait_for(threads.run(call), WAIT_SECONDS)
            assert await threads.run(lambda _stop, attempt=attempt: attempt) == attempt  # type: ignore[misc]


@pytest.mark.blocking  # a process of its own is waited for, no event loop is there
def test_a_program_ends_though_a_call_hangs_in_a_dead_connection() -> None:
    """Else a bot that was stopped would stay until the SDK gives up."""
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=30)


@pytest.mark.asyncio
async def test_calls_that_wait_in_line_never_begin_when_the_driver_closes() -> None:
    begun, release = threading.Event(), threading.Event()

    def call(_stop: Stop) -> None:
        begun.set()
        release.wait(WAIT_SECONDS)

    async with SdkThreads("test", 1) as threads:
        running = asyncio.create_task(threads.run(call), name="call")
        await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        waiting = asyncio.create_task(threads.run(call), name="call in line")
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.02, release.set)
    await running
    for late in (waiting, threads.run(call)):
        with pytest.raises(StorageUnavailableError, match="driver 'test' was closed meanwhile"):
            await late


def test_a_presigned_url_outlives_the_media_up_to_what_signatures_allow() -> None:
    assert presigned_seconds(timedelta(hours=1)) >= 3600 + 30
    assert presigned_seconds(timedelta(days=7)) == 7 * 24 * 3600


def test_a_level_that_somebody_set_is_left() -> None:
    logger = logging.getLogger("qqmedia.test.sdk")
    logger.setLevel(logging.DEBUG)
    quieten("qqmedia.test.sdk", "qqmedia.test.other")
    assert logger.level == logging.DEBUG
    assert logging.getLogger("qqmedia.test.other").level == logging.WARNING
