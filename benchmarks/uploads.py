"""``python -m benchmarks.uploads``: uploads of bytes, beside the least chunked uploader that is correct.

* A 20 MB video that is new each time goes up in parts, and its message is sent, by the product's adapter and by a
  minimal uploader: both as child processes, in turns, at one sandbox.
* A picture that 50 handlers send for the first time, all at once.
* How late the event loop is while ten bodies of 20 MB are looked at and hashed, and while pictures are made anew.
* What the cache of 100 000 `file_info` costs: memory, and a look into it on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import statistics
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
from PIL import Image

import qqmedia
from benchmarks._loop import probe
from benchmarks.media import big_video, picture
from bot_core import AmiyaBot, Chain, Message, qq_group
from bot_core.qq_group.file_info import FileInfoKey, FileInfoStore, MemoryFileInfoStore
from bot_core.qq_group.file_info_sqlite import SQLiteFileInfoStore
from bot_core.sandbox import Sandbox
from qqmedia import MediaKind

__all__ = ("upload_rows",)

ROOT = Path(__file__).parents[1]
Row = tuple[str, str, str, str, str]

ROUNDS = 7
HANDLERS = 50
BODIES = 10
CACHED = 100_000
LOOKS = 2_000
LOOP_SECONDS = 3.0
BEGINNING_BYTES = 10_002_432
PIECE_BYTES = 1024 * 1024


# --- a video in parts


async def minimal(path: Path, http: aiohttp.ClientSession, api: str, headers: dict[str, str]) -> None:
    """Do what the platform asks for, in the least code: a part at a time is in memory, nothing is retried."""

    async def call(what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with http.post(f"{api}/v2/groups/G1/{what}", json=body, headers=headers) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    digests = await asyncio.to_thread(digests_of, path)
    plan = await call("upload_prepare", {"file_type": 2, "file_name": path.name, **digests})
    offset = 0
    for part in plan["parts"]:
        size = int(part["block_size"])
        content, md5 = await asyncio.to_thread(read_part, path, offset, size)
        async with http.put(part["presigned_url"], data=BytesIO(content)) as answer:
            answer.raise_for_status()
        numbers = {"upload_id": plan["upload_id"], "part_index": part["index"], "block_size": size}
        await call("upload_part_finish", {**numbers, "md5": md5})
        offset += size
    merged = await call("files", {"file_type": 2, "upload_id": plan["upload_id"], "srv_send_msg": False})
    await call("messages", {"msg_type": 7, "media": {"file_info": merged["file_info"]}})


def digests_of(path: Path) -> dict[str, str]:
    """Return what ``upload_prepare`` wants to know of a file."""
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        beginning = file.read(BEGINNING_BYTES)
        md5.update(beginning)
        sha1.update(beginning)
        md5_10m = md5.hexdigest()
        while piece := file.read(PIECE_BYTES):
            md5.update(piece)
            sha1.update(piece)
        size = file.tell()
    return {"file_size": str(size), "md5": md5.hexdigest(), "sha1": sha1.hexdigest(), "md5_10m": md5_10m}


def read_part(path: Path, offset: int, size: int) -> tuple[bytes, str]:
    """Return a part, and its digest."""
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(size)
    return content, hashlib.md5(content, usedforsecurity=False).hexdigest()


@asynccontextmanager
async def minimal_sender() -> AsyncIterator[Callable[[Path], Awaitable[None]]]:
    """Give the minimal uploader, logged in."""
    api = os.environ["QQ_API_BASE"]
    async with aiohttp.ClientSession() as http:
        secret = {"appId": "1020000001", "clientSecret": "benchmark"}
        async with http.post(os.environ["QQ_TOKEN_URL"], json=secret) as answer:
            headers = {"Authorization": "QQBot " + (await answer.json())["access_token"]}
        yield lambda path: minimal(path, http, api, headers)


@asynccontextmanager
async def product_sender() -> AsyncIterator[Callable[[Path], Awaitable[None]]]:
    """Give what a bot has."""
    adapter = qq_group("benchmark", default_chain_builder="direct")("1020000001", "")
    async with adapter.open():

        async def send(path: Path) -> None:
            [handle] = await adapter.send_message(Chain().video(path), channel_id="G1")
            if [delivery.way for delivery in handle.deliveries] != ["chunks"]:
                raise RuntimeError(f"not in parts: {handle.deliveries}")

        yield send


async def serve(sender: Callable[[], Any]) -> None:
    """Send every file that a line of stdin names, and print the seconds that each took."""
    async with sender() as send:
        while line := await asyncio.to_thread(sys.stdin.readline):
            began = perf_counter()
            await send(Path(line.strip()))
            print(perf_counter() - began, flush=True)


class Child:
    """One of the two, as a process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def send(self, path: Path) -> float:
        """Let it send a file; return the seconds that it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n".encode())
        return float(await self._process.stdout.readline())


@asynccontextmanager
async def running(what: str, sandbox: Sandbox) -> AsyncIterator[Child]:
    """Run one of the two against the sandbox."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.uploads", what, stdin=pipe, stdout=pipe,
        env={**os.environ, **sandbox.environment}, cwd=ROOT,
    )  # fmt: skip
    try:
        yield Child(what, process)
    finally:
        process.kill()
        await process.wait()


def append(path: Path, content: bytes) -> None:
    """Make another file of it."""
    with path.open("ab") as file:
        file.write(content)


async def video_row(folder: Path) -> Row:
    """Measure, in turns, how long a new video takes until its message has arrived."""
    found: tuple[list[float], list[float]] = ([], [])
    path = await asyncio.to_thread(big_video, folder / "video.mp4")
    async with Sandbox.open() as sandbox, running("minimal", sandbox) as first, running("product", sandbox) as second:
        for number in range(ROUNDS + 1):
            for child, times in zip((first, second), found, strict=True):
                await asyncio.to_thread(append, path, bytes([number]) + child.name.encode())
                times.append(await child.send(path))
        if len(sandbox.arrived) != 2 * (ROUNDS + 1):
            raise RuntimeError(f"{len(sandbox.arrived)} arrived")
    bare, product = (20 / statistics.median(times[1:]) for times in found)  # the first time, all is cold
    return "a 20 MB video in parts", f"{bare:.0f} MB/s", f"{product:.0f} MB/s", f"{product / bare:.2f}", ">= 0.80"


# --- the same picture for the first time


async def first_picture_row() -> Row:
    """Let 50 handlers send one picture that the platform has never seen, and count the uploads."""
    async with Sandbox.open() as sandbox:
        adapter = qq_group(
            "benchmark", default_chain_builder="direct",
            api_base=sandbox.api_base, token_url=sandbox.environment["QQ_TOKEN_URL"],
        )  # fmt: skip
        bot = AmiyaBot(appid="1020000001", token="", adapter=adapter)

        @bot.on_message(keywords="same")
        async def same(data: Message) -> Chain:
            return Chain(data, at=False).image(picture(0))

        running_bot = asyncio.create_task(bot.start(), name="bot")
        said = [await sandbox.say("same", group=f"G{number}") for number in range(HANDLERS)]
        await asyncio.gather(*(sandbox.replies(one) for one in said))
        await bot.close()
        await running_bot
    what = f"a new picture, sent by {HANDLERS} handlers at once"
    return what, "", f"{sandbox.calls['files']} uploaded", "", "1"


# --- the event loop meanwhile


async def lateness(work: Callable[[], Awaitable[object]]) -> float:
    """Do the work for some seconds; return the p99 of how late the loop was meanwhile, in ms."""
    delays: list[int] = []
    looking = asyncio.create_task(probe(delays), name="probe")
    until = perf_counter() + LOOP_SECONDS
    try:
        while perf_counter() < until:
            await work()
    finally:
        looking.cancel()
    return statistics.quantiles(delays, n=100)[98] / 1000


def large_picture(number: int) -> bytes:
    """Return a picture that has to be made anew."""
    out = BytesIO()
    Image.effect_noise((1500, 1500), 50 + number).convert("RGB").save(out, "BMP")
    return out.getvalue()


async def loop_rows(folder: Path) -> list[Row]:
    """Measure how late the loop is while media are made ready."""
    content = await asyncio.to_thread(big_video(folder / "body.mp4").read_bytes)
    pictures = [await asyncio.to_thread(large_picture, number) for number in range(BODIES)]
    async with qqmedia.open_host("direct") as host:

        async def one(kind: MediaKind, body: bytes) -> None:
            async with host.prepare(kind, body):
                pass

        async def prepare(kind: MediaKind, bodies: list[bytes]) -> None:
            await asyncio.gather(*(one(kind, body) for body in bodies))

        await prepare(MediaKind.IMAGE, [large_picture(99)])  # imports what it needs
        videos = [content + bytes([number]) for number in range(BODIES)]
        hashed = await lateness(lambda: prepare(MediaKind.VIDEO, videos))
        made = await lateness(lambda: prepare(MediaKind.IMAGE, pictures))
    return [
        (f"loop p99 while {BODIES} bodies of 20 MB are hashed", "", f"{hashed:.1f} ms", "", "<= 10 ms"),
        (f"loop p99 while {BODIES} large pictures are made anew", "", f"{made:.1f} ms", "", "<= 10 ms"),
    ]


# --- the cache


def keys() -> list[FileInfoKey]:
    """Return as many keys as the cache holds."""
    digests = (hashlib.sha256(b"%d" % number).hexdigest() for number in range(CACHED))
    return [FileInfoKey("1020000001", "groups", 1, digest) for digest in digests]


async def fill(store: FileInfoStore, wanted: list[FileInfoKey]) -> None:
    """Put one of the usual length for every key."""
    for number, key in enumerate(wanted):
        await store.put(key, f"{number:0250}", 3600)


async def memory_row() -> Row:
    """Measure the memory of a full cache."""
    wanted = keys()
    tracemalloc.start()
    store = MemoryFileInfoStore()
    await fill(store, wanted)
    size = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    return f"cache of {CACHED} file_info, in memory", "", f"{size:.0f} MB", "", "<= 64 MB"


async def disk_row(folder: Path) -> Row:
    """Measure a look into a full cache on the disk, one after the other."""
    wanted = keys()
    async with SQLiteFileInfoStore.open(folder / "cache.db") as store:
        await fill(store, wanted)
        times = []
        for key in wanted[:: CACHED // LOOKS]:
            began = perf_counter()
            if await store.get(key) is None:
                raise RuntimeError("it is not there")
            times.append(perf_counter() - began)
    p99 = statistics.quantiles(times, n=100)[98] * 1000
    what = f"a look into {CACHED} file_info on the disk: median, p99"
    return what, "", f"{statistics.median(times) * 1000:.2f}, {p99:.2f} ms", "", "<= 1 ms"


async def measure(folder: Path) -> list[Row]:
    """Return all rows."""
    return [
        await video_row(folder),
        await first_picture_row(),
        *await loop_rows(folder),
        await memory_row(),
        await disk_row(folder),
    ]


def upload_rows() -> list[Row]:
    """Return rows of the table: what, the minimal uploader's figure, ours, the ratio, and what is wanted."""
    with tempfile.TemporaryDirectory(prefix="qqmedia-bench-") as name:
        return asyncio.run(measure(Path(name)))


def main() -> None:
    """Measure and print, or be one of the two uploaders."""
    match sys.argv[1:]:
        case ["minimal"]:
            asyncio.run(serve(minimal_sender))
        case ["product"]:
            asyncio.run(serve(product_sender))
        case _:
            for row in upload_rows():
                print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
