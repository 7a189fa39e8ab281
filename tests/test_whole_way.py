"""The whole way through every package, with bots as processes of their own, as their authors run them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from bot_core.openapi.values import FileType
from bot_core.sandbox import Sandbox

pytestmark = [pytest.mark.blocking]  # the tests themselves read and write small files

BOT = """
import asyncio, sys
from bot_core import AmiyaBot, Chain, Message, qq_group

adapter = qq_group("secret", shard_index=int(sys.argv[1]), shards=int(sys.argv[2]))
bot = AmiyaBot(appid="1020000001", token="", adapter=adapter)

@bot.on_message(keywords="picture")
async def picture(data: Message):
    return Chain(data).text(f"from shard {sys.argv[1]}").image("cat.png")

@bot.on_message(keywords="film")
async def film(data: Message):
    return Chain(data, at=False).video("film.mp4")

asyncio.run(bot.start())
"""
FILM_BYTES = 20_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "cat.png")
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    return tmp_path


@asynccontextmanager
async def running(
    folder: Path, variables: dict[str, str], index: int = 0, count: int = 1
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "bot.py", str(index), str(count))
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=os.environ | variables)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.asyncio
async def test_two_shards_in_two_processes_started_at_once_both_send_pictures(
    folder: Path, unused_tcp_port: int
) -> None:
    """Both name the same port and folder, as two with default options do."""
    async with Sandbox.open() as sandbox, AsyncExitStack() as stack:
        variables = {"QQMEDIA_LOCAL_PORT": str(unused_tcp_port), **sandbox.environment}
        for index in range(2):
            await stack.enter_async_context(running(folder, variables, index, 2))
        for index in (0, 1, 0, 1):
            said = await sandbox.say("picture", shard=index, group=f"group {index}")
            (arrived,) = await sandbox.replies(said)
            assert f"from shard {index}" in arrived.content
            assert arrived.media is not None
            assert await arrived.media.read() == (folder / "cat.png").read_bytes()


@pytest.mark.asyncio
async def test_a_bot_that_starts_before_the_platform_works_when_that_appears(
    folder: Path, unused_tcp_port: int
) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}"
    variables = {
        "QQ_API_BASE": base,
        "QQ_TOKEN_URL": f"{base}/app/getAppAccessToken",
        "QQMEDIA_LOCAL_PORT": "0",
    }
    async with running(folder, variables) as bot:
        await asyncio.sleep(1.5)  # it has found nobody by then
        assert bot.returncode is None
        async with Sandbox.open(port=unused_tcp_port) as sandbox:
            await sandbox.connected(timeout=30)
            (arrived,) = await sandbox.replies(await sandbox.say("picture"))
            assert arrived.media is not None


@pytest.mark.asyncio
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of a process is read from /proc")
async def test_a_video_of_20_mb_adds_little_memory(folder: Path) -> None:
    head = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41"
    (folder / "film.mp4").write_bytes(head + os.urandom(FILM_BYTES - len(head)))
    variables = {"QQMEDIA_LOCAL_PORT": "0"}
    async with Sandbox.open() as sandbox, running(folder, variables | sandbox.environment) as bot:
        await sandbox.replies(await sandbox.say("picture"))
        before = peak_memory(bot.pid)
        (arrived,) = await sandbox.replies(await sandbox.say("film"))
        grown = peak_memory(bot.pid) - before
    assert arrived.media is not None
    assert arrived.media.file_type == FileType.VIDEO
    assert arrived.media.size == FILM_BYTES
    assert grown <= 40_000_000


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) * 1000 for line in status.splitlines() if line.startswith("VmHWM"))
