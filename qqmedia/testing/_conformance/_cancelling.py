"""Promises about being cancelled, being closed, and leaving the event loop alone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from qqmedia.driver import Driver
from qqmedia.errors import QQMediaError
from qqmedia.host import MediaHost
from qqmedia.media import MediaKind, Upload
from qqmedia.testing._conformance._base import ConformanceBase, DriverAt, skip_without
from qqmedia.testing._lag import heartbeat
from qqmedia.testing._uploads import Gate, make_content, make_upload, watched

__all__ = ("Cancelling",)

_MIB: Final = 1024 * 1024
_SIZE: Final = 12 * _MIB  # more than the parts in which any SDK uploads
_REACH_SECONDS: Final = 20.0
# A thread of a synchronous SDK ends at its next read; what hangs in a socket is left to its own limit after a while.
_END_SECONDS: Final = 10.0
_SETTLE_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 10.0
_SLOW_READ_SECONDS: Final = 0.3
# Time in which a loop that goes on comes round, however busy the machine is.
_HOLD_SECONDS: Final = 2.0
# A driver may compute for so long at a time.
_MOST_LAG_SECONDS: Final = 0.2
_TRIES: Final = 3


class Cancelling(ConformanceBase):
    """What a driver does when nobody waits for it any more."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("moment", ["at the first byte", "in the middle", "at the last byte"])
    async def test_a_cancelled_put_leaves_the_whole_object_or_nothing(
        self, driver: Driver, tmp_path: Path, moment: str
    ) -> None:
        """Half an object is never there, no part of one is left behind, and the next put of it works."""
        at = {"at the first byte": 0, "in the middle": _SIZE // 2, "at the last byte": _SIZE}[moment]
        upload = await asyncio.to_thread(_in_file, tmp_path / "video.mp4")
        gate = Gate(at)
        task = asyncio.create_task(_put(driver, watched(upload, gate.before_read)), name="put to be cancelled")
        await _reached(gate, task)
        await _cancelled(task, gate)
        await self.assert_whole_or_nothing(upload)
        await asyncio.sleep(_SETTLE_SECONDS)  # a store may hear of the end of the body later than we do
        await self.assert_whole_or_nothing(upload)
        await self.assert_no_leftovers()
        await self.assert_served(await driver.put(upload), upload)

    @pytest.mark.asyncio
    async def test_a_put_cancelled_before_it_began_does_no_harm(self, driver: Driver) -> None:
        """Whatever it has prepared by then."""
        upload = make_upload(make_content(200_000))
        for turns in range(4):
            task = asyncio.create_task(_put(driver, upload), name="put to be cancelled")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=_END_SECONDS)
            assert task.done(), f"a cancelled put had not ended after {_END_SECONDS:g} s"
        await self.assert_whole_or_nothing(upload)
        await self.assert_served(await driver.put(upload), upload)

    @pytest.mark.asyncio
    async def test_a_cancelled_put_does_not_disturb_others(self, driver: Driver, tmp_path: Path) -> None:
        """Its connection, or its place in a pool, is not handed to the next one half-used."""
        upload = await asyncio.to_thread(_in_file, tmp_path / "video.mp4")
        gate = Gate(_SIZE // 2)
        task = asyncio.create_task(_put(driver, watched(upload, gate.before_read)), name="put to be cancelled")
        await _reached(gate, task)
        others = [make_upload(make_content(5000 + number, seed="other")) for number in range(4)]
        async with asyncio.TaskGroup() as tasks:
            puts = [tasks.create_task(_put(driver, other), name="other put") for other in others]
            tasks.create_task(_cancelled(task, gate), name="canceller")
        for put, other in zip(puts, others, strict=True):
            await self.assert_served(put.result(), other)

    @pytest.mark.asyncio
    async def test_closing_the_host_while_uploads_run_leaves_whole_objects_or_nothing(
        self, driver: Driver, tmp_path: Path
    ) -> None:
        """A bot may be stopped at any time."""
        contents = [make_content(4 * _MIB, kind=MediaKind.VIDEO, seed=str(number)) for number in range(4)]
        uploads: list[Upload] = []
        async with asyncio.timeout(_CLOSE_SECONDS):
            async with self.hosted(driver, tmp_path) as host, asyncio.TaskGroup() as tasks:
                for content in contents:
                    tasks.create_task(_publish(host, content, uploads), name="publish")
                while not uploads:
                    await asyncio.sleep(0.002)
                await asyncio.sleep(0.01)
                await host.aclose()
        for upload in uploads:
            await self.assert_whole_or_nothing(upload)
        await self.assert_no_leftovers()

    @pytest.mark.asyncio
    async def test_closing_the_driver_while_uploads_run_ends_them(
        self,
        driver: Driver,
        given_opener: Callable[[], AbstractAsyncContextManager[Driver]] | None,
        tmp_path: Path,
    ) -> None:
        """Within a few seconds, and what is stored is whole. Its tasks are gone then."""
        if given_opener is None:
            skip_without("opener", "returns a function that opens the driver once more")
        upload = await asyncio.to_thread(_in_file, tmp_path / "video.mp4")
        gate = Gate(_SIZE // 2)
        before = asyncio.all_tasks()
        async with asyncio.timeout(_CLOSE_SECONDS):
            async with given_opener() as opened:
                task = asyncio.create_task(_put(opened, watched(upload, gate.before_read)), name="put that is left")
                await _reached(gate, task)
                gate.open()
            await asyncio.wait([task], timeout=_END_SECONDS)
        left = await self._tasks_beside(before | {task})
        ended = task.done()
        task.cancel()
        await asyncio.wait([task], timeout=_END_SECONDS)
        assert ended, "the driver was closed, and its put goes on"
        assert not left, f"tasks that outlive the driver: {sorted(one.get_name() for one in left)}"
        stored = await self.read(upload.key)
        assert stored is None or len(stored) == upload.size, "the driver was closed, and half an object stayed"

    @pytest.mark.asyncio
    async def test_it_can_be_opened_twice_at_once(
        self, driver: Driver, given_opener: Callable[[], AbstractAsyncContextManager[Driver]] | None
    ) -> None:
        """One is closed, the other goes on."""
        if given_opener is None:
            skip_without("opener", "returns a function that opens the driver once more")
        upload = make_upload()
        async with given_opener() as second:
            await second.put(make_upload(make_content(77, seed="second")))
            url = await driver.put(upload)
        await self.assert_served(url, upload)
        again = make_upload(make_content(78, seed="first"))
        await self.assert_served(await driver.put(again), again)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("end", ["was stored", "was cancelled", "lost its driver"])
    async def test_the_upload_is_closed_when_its_put(
        self,
        driver: Driver,
        given_opener: Callable[[], AbstractAsyncContextManager[Driver]] | None,
        tmp_path: Path,
        end: str,
    ) -> None:
        """Else a bot runs out of files one day, and tests of others complain of what the next one left."""
        gate = Gate(0 if end == "was stored" else _SIZE // 2)
        upload = watched(await asyncio.to_thread(_in_file, tmp_path / "video.mp4"), gate.before_read)
        if end == "lost its driver" and given_opener is None:
            skip_without("opener", "returns a function that opens the driver once more")
        async with given_opener() if given_opener is not None else contextlib.nullcontext(driver) as opened:
            put = asyncio.create_task(_put(opened, upload), name="put whose upload is watched")
            await _reached(gate, put)
            if end == "was cancelled":
                put.cancel()
                await asyncio.sleep(0)  # the driver hears of it
            gate.open()
            if end != "lost its driver":
                await asyncio.wait([put], timeout=_END_SECONDS)
        await asyncio.wait([put], timeout=_END_SECONDS)
        put.cancel()  # that it ends by itself, and how, is another test's matter
        await asyncio.wait([put], timeout=_END_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience_seconds):
                while not all(file.closed for file in upload.opened):
                    await asyncio.sleep(0.01)
        assert all(file.closed for file in upload.opened), f"the driver leaves the upload open whose put {end}"

    @pytest.mark.asyncio
    async def test_reading_the_upload_does_not_block_the_loop(self, driver: Driver, tmp_path: Path) -> None:
        """A disk may be slow: `open` and `read` are called in a thread."""
        loop_thread = threading.get_ident()
        readers: set[int] = set()

        def before_read(position: int) -> None:
            readers.add(threading.get_ident())
            if position == 0 and threading.get_ident() != loop_thread:
                time.sleep(_SLOW_READ_SECONDS)

        upload = await asyncio.to_thread(_in_file, tmp_path / "video.mp4")
        await driver.put(watched(upload, before_read))
        assert loop_thread not in readers, "the driver reads the upload in the event loop's thread"

    @pytest.mark.asyncio
    async def test_nothing_blocks_the_loop(self, driver: Driver) -> None:
        """Measured by a task that wants to run every 5 ms, beside eight puts; the best of three, for busy machines."""
        worst = []
        for attempt in range(_TRIES):
            uploads = [
                make_upload(make_content(_MIB + number, seed=f"{attempt}"), kind=MediaKind.IMAGE) for number in range(8)
            ]
            async with heartbeat() as heart, asyncio.TaskGroup() as tasks:
                for upload in uploads:
                    tasks.create_task(_put(driver, upload), name="put beside a heartbeat")
            worst.append(heart.worst_seconds)
            if worst[-1] <= _MOST_LAG_SECONDS:
                return
        pytest.fail(f"the event loop stood still for {min(worst):.2f} s beside eight puts of 1 MiB")

    @pytest.mark.asyncio
    async def test_a_slow_store_does_not_block_the_loop(self, driver: Driver, given_faulty: DriverAt | None) -> None:
        """Whoever waits for it waits in a thread, or awaits: the loop can let it go on."""
        async with self.behind_proxy(given_faulty) as (slow, proxy):
            await proxy.hold(most_seconds=_HOLD_SECONDS)
            put = asyncio.create_task(_put(slow, make_upload()), name="put to a slow store")
            in_time = True
            while not put.done():
                if proxy.holding:
                    in_time = await proxy.let_go() and in_time
                await asyncio.sleep(0.001)
            in_time = await proxy.let_go() and in_time
        assert in_time, f"the event loop stood still while the store took its time, for {_HOLD_SECONDS:g} s"
        put.result()

    async def _tasks_beside(self, known: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
        """Return the tasks that do not end by themselves; a server in this loop has some, too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience_seconds):
                while asyncio.all_tasks() - known:
                    await asyncio.sleep(0.01)
        return asyncio.all_tasks() - known


async def _put(driver: Driver, upload: Upload) -> str | None:
    return await driver.put(upload)


async def _publish(host: MediaHost, content: bytes, uploads: list[Upload]) -> None:
    with contextlib.suppress(QQMediaError):  # the host says that it was closed
        async with host.prepare(MediaKind.VIDEO, content) as upload:
            uploads.append(upload)
            await host.publish(upload)


def _in_file(path: Path) -> Upload:
    path.write_bytes(make_content(_SIZE, kind=MediaKind.VIDEO))
    return make_upload(path, kind=MediaKind.VIDEO)


async def _reached(gate: Gate, task: asyncio.Task[str | None]) -> None:
    """Wait until the driver reads at the gate; one that reads nothing is done some time."""
    async with asyncio.timeout(_REACH_SECONDS):
        while not gate.reached and not task.done():
            await asyncio.sleep(0.002)


async def _cancelled(task: asyncio.Task[str | None], gate: Gate) -> None:
    was_done = task.done()
    task.cancel()
    await asyncio.sleep(0)  # the driver hears of it
    gate.open()
    await asyncio.wait([task], timeout=_END_SECONDS)
    assert task.done(), f"a cancelled put had not ended after {_END_SECONDS:g} s"
    if was_done:
        task.result()
    elif not task.cancelled():
        error = task.exception()
        assert error is None, f"a cancelled put raised {error!r} in place of CancelledError"
