"""`qqbot run` against a platform."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from pathlib import Path

import pytest

from bot_core.sandbox import Sandbox, SandboxAccount, SandboxOptions

ONLY = SandboxOptions(accounts=(SandboxAccount(appid="1", secret="right"),))
BOT = """
from bot_core import AmiyaBot, qq_group
bot = AmiyaBot(appid="1", adapter=qq_group(client_secret={secret!r}))
"""

pytestmark = [pytest.mark.asyncio, pytest.mark.blocking]  # child processes are started by the loop itself


GROUP = """
import asyncio
async def main():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bot.start())
asyncio.run(main())
"""


async def start(folder: Path, sandbox: Sandbox, secret: str, *options: str, more: str = "") -> Process:
    file = folder / "my_bot.py"
    file.write_text(BOT.format(secret=secret) + more, "utf-8")
    environment = os.environ | sandbox.environment | {"NO_COLOR": "1", "QQMEDIA_LOCAL_PORT": "0"}
    program = "from bot_core.cli import main; main()"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "run", str(file), *options, stderr=PIPE, env=environment, cwd=folder
    )


@pytest.mark.parametrize("more", ["", GROUP])
async def test_a_refused_login_is_one_line_and_nothing_else(tmp_path: Path, more: str) -> None:
    async with Sandbox.open(ONLY) as sandbox:
        bot = await start(tmp_path, sandbox, "wrong", more=more)
        _, err = await bot.communicate()
    assert (bot.returncode, err.count(b"\n")) == (1, 1)
    assert err.startswith(b"error: ")
    assert b"appid and client_secret do not belong together" in err


@pytest.mark.skipif(sys.platform == "win32", reason="a child cannot be sent Ctrl-C alone there")
async def test_a_session_is_resumed_unless_a_new_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("QQBOT_KEEP_SESSION", raising=False)
    began = []
    async with Sandbox.open(replace(ONLY, identify_window_seconds=0)) as sandbox:
        for options in ((), (), ("--new-session",), ()):
            bot = await start(tmp_path, sandbox, "right", *options)
            assert bot.stderr is not None
            async for line in bot.stderr:
                if b"a new session has begun" in line or b"resumed, what was missed" in line:
                    break
            bot.send_signal(signal.SIGINT)
            await bot.communicate()
            for booked in (tmp_path / "state").rglob("*.starts.json"):
                booked.unlink()  # or the next identify waits for five seconds
            began.append((sandbox.calls["identify"], sandbox.calls["resume"]))
    assert began == [(1, 0), (1, 1), (2, 1), (2, 2)]


@pytest.mark.skipif(sys.platform == "win32", reason="a child cannot be sent Ctrl-C alone there")
@pytest.mark.parametrize("options", [(), ("--verbose",)])
async def test_what_opening_said_is_shown_where_the_login_succeeds(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with Sandbox.open(ONLY) as sandbox:
        bot = await start(tmp_path, sandbox, "right", *options)
        assert bot.stderr is not None
        said = []
        async for line in bot.stderr:
            said.append(line)
            if b"connected, a new session has begun" in line:
                break
        bot.send_signal(signal.SIGINT)
        assert b"is ending" in await bot.stderr.readline()
        await bot.wait()
    assert bot.returncode == 0
    assert sum(b"serving " in line for line in said) == 1
