"""A large video never sits in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, contextlib, sys, tracemalloc
import qqmedia

class Streaming:
    @qqmedia.hookimpl
    def qqmedia_register_drivers(self):
        return qqmedia.DriverSpec(name="streaming", open=self.open)

    @contextlib.asynccontextmanager
    async def open(self, settings, context):
        self.context = context
        yield self

    async def put(self, upload):
        self.count = await self.context.in_thread(self.read, upload)
        return "https://example.org/" + upload.key

    def read(self, upload):
        with upload.open() as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(1 << 20), b""))

async def main(path, source_is_file):
    driver = Streaming()
    async with qqmedia.open_host("streaming", plugins=[driver]) as host:
        await host.get_video(b"\\0\\0\\0\\x18ftypisom\\0\\0\\0\\0isommp41")  # load what is loaded once
        tracemalloc.start()
        if source_is_file:
            with open(path, "rb") as file:
                await host.get_video(file)
        else:
            await host.get_video(path)
        print(driver.count, tracemalloc.get_traced_memory()[1])

asyncio.run(main(sys.argv[1], sys.argv[2] == "file"))
"""
SIZE = 200 * 1024 * 1024


@pytest.mark.parametrize("form", ["path", "file"])
def test_two_hundred_megabytes_cost_a_few(form: str, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as file:
        file.write(b"\0\0\0\x18ftypisom\0\0\0\0isommp41")
        file.truncate(SIZE)
    command = [sys.executable, "-c", PROGRAM, str(path), form]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    count, peak = map(int, done.stdout.split())
    assert count == SIZE
    assert peak < 8 * 1024 * 1024, f"{peak / 1024 / 1024:.1f} MiB"
