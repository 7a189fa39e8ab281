"""Bots as processes: killed in the middle of their work, and two shards that begin at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot_core.sandbox import Said, Sandbox, SandboxOptions

pytestmark = pytest.mark.blocking  # child processes are started

ROOT = Path(__file__).parents[3]
BOT = """
import asyncio, json, sys
from bot_core import AmiyaBot, Chain, Message, qq_group

bot = AmiyaBot(appid="1001", token="", adapter=qq_group("s", default_chain_builder="direct", **json.loads(sys.argv[1])))

@bot.on_message(keywords="")
async def echo(data: Message) -> Chain:
    await asyncio.sleep(0.15)
    return Chain(data, at=False).text("echo " + data.text)

asyncio.run(bot.start())
"""


@asynccontextmanager
async def bot_process(sandbox: Sandbox, state: Path, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | sandbox.environment | {"QQMEDIA_STATE": str(state), "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BOT, json.dumps(options), env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def speak(sandbox: Sandbox, count: int, **where: Any) -> list[Said]:
    said = []
    for number in range(count):
        said.append(await sandbox.say(f"word {number}", group=f"group {number % 4}", **where))
        await asyncio.sleep(0.01)
    return said


async def answers_of(sandbox: Sandbox, said: list[Said]) -> list[int]:
    for one in said:
        await sandbox.replies(one)
    await asyncio.sleep(0.2)  # a second answer would come about now
    return [sum(arrived.msg_id == one.id for arrived in sandbox.arrived) for one in said]


@pytest.mark.asyncio
async def test_kill_and_start_again_and_all_is_answered_once(tmp_path: Path) -> None:
    async with Sandbox.open() as sandbox:
        async with bot_process(sandbox, tmp_path, keep_session=True) as process:
            await sandbox.connected()
            said = await speak(sandbox, 40)  # the last ones are in work
            process.kill()
            await process.wait()
        said += await speak(sandbox, 10)
        async with bot_process(sandbox, tmp_path, keep_session=True):
            said += await speak(sandbox, 10)
            assert await answers_of(sandbox, said) == [1] * 60
        assert (sandbox.calls["identify"], sandbox.calls["resume"]) == (1, 1)


@pytest.mark.asyncio
async def test_two_shards_that_begin_at_the_same_moment_do_not_identify_together(tmp_path: Path) -> None:
    async with (
        Sandbox.open(SandboxOptions(connect_timeout_seconds=20)) as sandbox,
        bot_process(sandbox, tmp_path, shard_index=0, shards=2),
        bot_process(sandbox, tmp_path, shard_index=1, shards=2),
    ):
        for shard in (0, 1):
            await sandbox.connected(20, shard=shard)
            assert await answers_of(sandbox, await speak(sandbox, 5, shard=shard)) == [1] * 5
        assert sandbox.calls["identify"] == 2  # none was refused
