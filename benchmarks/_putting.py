"""A child process that puts, through a driver or through the bare SDK, and tells what it took.

``python -m benchmarks._putting driver|bare NAME SETTINGS FOLDER``; both sides put from an event loop with six threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks._bare import BARE, THREADS
from benchmarks._loop import probe
from qqmedia import Driver, Upload
from qqmedia.plugins import discover
from qqmedia.testing import make_content, make_upload, open_driver

IN_MEMORY_BYTES = 1_000_000  # larger media come as files, from the host too


class Side(Protocol):
    """One of the two that are compared."""

    def make(self, key: str, content: bytes | Path) -> Any:
        """Return what this side is given to put; may read the content, outside of what is measured."""
        ...

    async def put(self, item: Any, at_once: int) -> str:
        """Store it and return its URL."""
        ...

    async def delete(self, key: str) -> None:
        """Take it down, where that frees the disk."""
        ...


class DriverSide:
    """Through the driver."""

    def __init__(self, driver: Any, *, deletes: bool) -> None:
        self._driver = driver
        self._deletes = deletes
        self._uploads: dict[int, Upload] = {}

    def make(self, key: str, content: bytes | Path) -> Upload:
        """Return what a host would hand over."""
        if id(content) not in self._uploads:
            self._uploads[id(content)] = make_upload(content)
        return replace(self._uploads[id(content)], key=key)

    async def put(self, item: Upload, at_once: int) -> str:
        """Put it."""
        del at_once
        return str(await self._driver.put(item))

    async def delete(self, key: str) -> None:
        """Delete, of `local`."""
        if self._deletes:
            await self._driver.delete(key)


class BareSide:
    """Through the bare SDK, in as many threads."""

    def __init__(self, name: str, settings: dict[str, Any], folder: Path, pool: ThreadPoolExecutor) -> None:
        self._put = BARE[name](settings, folder)
        self._folder = folder
        self._pool = pool

    def make(self, key: str, content: bytes | Path) -> tuple[str, bytes | Path]:
        """Return them as they are."""
        return key, content

    async def put(self, item: tuple[str, bytes | Path], at_once: int) -> str:
        """Put in a thread; alone, it may have all of them."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._put, *item, THREADS if at_once == 1 else 1)

    async def delete(self, key: str) -> None:
        """Remove what `local` wrote."""
        (self._folder / key).unlink(missing_ok=True)


@asynccontextmanager
async def open_side(which: str, name: str, settings: dict[str, Any], folder: Path) -> AsyncIterator[Side]:
    """Open one of the two."""
    if which == "bare":
        with ThreadPoolExecutor(THREADS) as pool:
            yield await asyncio.to_thread(BareSide, name, settings, folder, pool)
        return
    spec = discover().driver(name).spec
    assert spec is not None
    driver: Driver
    async with open_driver(spec, state_dir=folder, **settings) as driver:
        yield DriverSide(driver, deletes=name == "local")


class Putting:
    """Answers the questions of `benchmarks.drivers`."""

    def __init__(self, side: Side, folder: Path) -> None:
        self._side = side
        self._folder = folder
        self._numbers = 0
        self._contents: dict[int, bytes | Path] = {}

    async def round(self, size: int, count: int, at_once: int) -> dict[str, Any]:
        """Put so many of a size; return seconds, seconds of CPU, and delays of the event loop in microseconds."""
        keys, items = await self._items(size, count)
        rest = iter(items)

        async def putter() -> None:
            for item in rest:
                await self._side.put(item, at_once)

        delays: list[int] = []
        probing = asyncio.create_task(probe(delays), name="probe")
        cpu, began = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as putters:
            for number in range(min(at_once, count)):
                putters.create_task(putter(), name=f"putter {number}")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        probing.cancel()
        for key in keys:
            await self._side.delete(key)
        return {"seconds": seconds, "cpu": cpu, "delays": delays}

    async def fill(self, count: int) -> dict[str, Any]:
        """Store so many small objects, to stay."""
        _, items = await self._items(16, count)
        rest = iter(items)

        async def filler() -> None:
            for item in rest:
                await self._side.put(item, 64)

        async with asyncio.TaskGroup() as fillers:
            for number in range(64):
                fillers.create_task(filler(), name=f"filler {number}")
        return {}

    async def memory(self, size: int) -> dict[str, Any]:
        """Put one file of this size; return by how many MB memory rose at its highest, 0 where nobody can tell."""
        (key,), (item,) = await self._items(size, 1)
        before = _memory("VmRSS") if _forget_peak() else 0.0
        await self._side.put(item, 1)
        added = _memory("VmHWM") - before if before else 0.0
        await self._side.delete(key)
        return {"megabytes": added}

    async def _items(self, size: int, count: int) -> tuple[list[str], list[Any]]:
        if size not in self._contents:
            self._contents[size] = await asyncio.to_thread(_make, size, self._folder)
        first, self._numbers = self._numbers, self._numbers + count
        keys = [f"{os.getpid()}z{number:032x}.png" for number in range(first, first + count)]
        content = self._contents[size]
        return keys, await asyncio.to_thread(lambda: [self._side.make(key, content) for key in keys])


def _make(size: int, folder: Path) -> bytes | Path:
    if size < IN_MEMORY_BYTES:
        return make_content(size)
    path = folder / f"content-{size}"
    piece = make_content(IN_MEMORY_BYTES)
    with path.open("wb") as file:
        for _ in range(size // IN_MEMORY_BYTES):
            file.write(piece)
    return path


def _forget_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:  # not Linux, or not allowed
        return False
    return True


def _memory(field: str) -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith(field))


async def main(which: str, name: str, settings: dict[str, Any], folder: Path) -> None:
    """Answer until the input ends."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with open_side(which, name, settings, folder) as side:
        putting = Putting(side, folder)
        questions: dict[str, Callable[..., Awaitable[Any]]] = {
            "round": putting.round,
            "fill": putting.fill,
            "memory": putting.memory,
        }
        print("{}", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print(json.dumps(await questions[asked.pop("what")](**asked)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), Path(sys.argv[4])))
