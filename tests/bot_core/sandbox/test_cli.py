"""`qqbot sandbox` and `qqbot say` as processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-c", "from bot_core.cli import main; main()")


async def start(*arguments: str, **more: str) -> Process:
    environment = os.environ | {"PYTHONUTF8": "1", "COLUMNS": "200"} | more
    return await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=PIPE, stderr=PIPE, env=environment)


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await start(*arguments, **environment)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_a_whole_conversation(another_bot: Any, play: Any, png: Any, tmp_path: Path) -> None:
    process = await start("sandbox", "--port", "0", "--set", "recommended_shards=3", "--set", "max_concurrency=2")
    try:
        lines = [(await process.stdout.readline()).decode().rstrip() for _ in range(11)]
        base = lines[0].split()[5].rstrip(",")
        text = "\n".join(lines)
        assert f'export QQ_API_BASE="{base}" QQ_TOKEN_URL="{base}/app/getAppAccessToken"' in text
        assert f'$env:QQ_API_BASE="{base}"; $env:QQ_TOKEN_URL=' in text
        assert f'set "QQ_API_BASE={base}" && set "QQ_TOKEN_URL=' in text

        class Remote:
            api_base = base
            token_url = f"{base}/app/getAppAccessToken"

        async with another_bot(Remote(), "1") as bot:
            await bot.connect()
            _, where = await bot.call("GET", "/gateway/bot")
            assert (where["shards"], where["session_start_limit"]["max_concurrency"]) == (3, 2)

            async def answer() -> None:
                d = await bot.heard()
                target = f"groups/{d['group_openid']}"
                _, file = await bot.upload(target, png(0))
                await bot.post(target, msg_type=7, content="看", media={"file_info": file["file_info"]}, msg_id=d["id"])

            answering = asyncio.create_task(answer())
            code, out, err = await run(
                "say", "图", "--group", "cats", "--sandbox", base, "--save", str(tmp_path / "got")
            )
            await answering
        assert (code, err) == (0, "")
        assert "看" in out
        assert "[image] image/png, 67 B, uploaded as file_data" in out
        [saved] = (tmp_path / "got").iterdir()
        assert (saved.name, saved.read_bytes()) == ("1.png", png(0))
        process.send_signal(signal.SIGTERM)
        rest = (await process.stdout.read()).decode()
        assert "[cats] Ann: 图" in rest
        assert "[cats] bot: 看  <image image/png 67 B as file_data>  (" in rest
        assert "the sandbox has ended" in rest
        assert await process.wait() == 0
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_ctrl_c_ends_it_with_exit_code_0() -> None:
    switches = ("--limits", "--no-proactive", "--public-name", "pics.example.com=127.0.0.1")
    process = await start("sandbox", "--port", "0", *switches)
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert "the sandbox has ended" in out.decode()
    assert (process.returncode, err) == (0, b"")


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_errors_are_one_line_and_say_what_to_do(play: Any) -> None:
    code, _, err = await run("say", "x", "--sandbox", "http://127.0.0.1:1")
    assert (code, err.count("\n")) == (1, 1)
    assert "no sandbox answers at http://127.0.0.1:1" in err
    assert "qqbot sandbox" in err
    code, _, err = await run("say", "x", "--sandbox", "127.0.0.1:1")
    assert (code, err.count("\n")) == (1, 1)
    assert "no sandbox answers at http://127.0.0.1:1" in err
    code, _, err = await run("say", "x", "--sandbox", "http://127.0.0.1:99999")
    assert (code, err.count("\n")) == (1, 1)
    assert "is no address; that of a sandbox is like http://127.0.0.1:8765" in err
    code, _, err = await run("sandbox", "--host", "0.0.0.0")
    assert (code, err.count("\n")) == (2, 1)
    assert "--allow-remote" in err
    code, _, err = await run("sandbox", "--appid", "1")
    assert (code, err.count("\n")) == (2, 1)
    assert "--secret" in err
    code, _, err = await run("sandbox", "--public-name", "pics.example.com")
    assert (code, err.count("\n")) == (2, 1)
    assert "NAME=ADDRESS" in err
    code, _, err = await run("sandbox", "--port", "99999")
    assert (code, err.count("\n")) == (2, 1)
    assert "0 to 65535, got 99999" in err
    async with play() as (sandbox, bot):
        code, out, _ = await run("say", "x", "--sandbox", sandbox.api_base, "--wait", "0.1")
        assert (code, out.count("\n")) == (1, 2)
        assert out.startswith(
            "no answer within 0.1 s\n  the bot got it and tried nothing; has it a handler for this text?"
        )
        await bot.ws.close()
        code, out, _ = await run("say", "x", "--private", "--sandbox", sandbox.api_base, "--wait", "0.1")
        assert (code, out.endswith("\nno answer within 0.1 s\n")) == (1, True)  # it has not got it yet


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_what_comes_unasked_into_that_chat_is_shown_and_a_file_keeps_its_ending(
    play: Any, tmp_path: Path
) -> None:
    async with play() as (sandbox, bot):

        async def post() -> None:
            target = f"groups/{(await bot.heard())['group_openid']}"
            await bot.post(f"groups/{sandbox.group_openid('others')}", msg_type=0, content="elsewhere")
            await bot.post(target, msg_type=0, content="good morning")
            _, file = await bot.upload(target, b"%PDF-1.7 and so on", file_type=4, file_name="../a report.PDF")
            await bot.post(target, msg_type=7, media={"file_info": file["file_info"]})

        posting = asyncio.create_task(post())
        code, out, err = await run("say", "x", "--save", str(tmp_path), QQ_API_BASE=sandbox.api_base)
        await posting
        assert (code, err) == (0, "")
        assert "(unasked)\ngood morning\n(unasked)\n[file] ../a report.PDF, " in out
        assert "elsewhere" not in out
        assert await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()]) == ["3.PDF"]


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_say_waits_for_a_bot_no_longer_than_it_was_told(play: Any) -> None:
    async with play(connect=False, connect_timeout_seconds=50) as (sandbox, _):
        code, _, err = await run("say", "x", "--sandbox", sandbox.api_base, "--wait", "0.1")
        assert (code, err.count("\n")) == (1, 1)
        assert "no bot connected to the sandbox within 0.1 s" in err
        assert "POST /sandbox/webhook" in err


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_a_silence_is_explained_by_what_was_refused_since(play: Any) -> None:
    async with play() as (sandbox, bot):
        await bot.post(f"groups/{sandbox.group_openid()}", msg_type=99, content="old")

        async def fail() -> None:
            d = await bot.heard()
            await bot.post(f"groups/{d['group_openid']}", msg_type=7, media={"file_info": "no"}, msg_id=d["id"])

        failing = asyncio.create_task(fail())
        code, out, _ = await run("say", "x", "--sandbox", sandbox.api_base, "--wait", "1")
        await failing
        old, new = sandbox.refused
        assert (code, out.count("\n")) == (1, 2)
        assert f"refused since then: {new.path} {new.status} {new.code} {new.message}" in out
        assert old.message not in out


# As Ctrl-C in that very moment does.
INTERRUPTED = """
import sys
class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "{0}.cli._app":
            raise KeyboardInterrupt
from {0}.cli import main
sys.meta_path.insert(0, CtrlC())
main()
"""


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
@pytest.mark.parametrize("package", ["bot_core", "qqmedia"])
async def test_ctrl_c_while_the_commands_load_is_one_line(package: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED.format(package), stdout=PIPE, stderr=PIPE
    )
    assert await process.communicate() == (b"", b"interrupted\n")
    assert process.returncode == 130


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
@pytest.mark.skipif(sys.platform == "win32", reason="a child cannot be sent Ctrl-C alone there")
async def test_ctrl_c_during_a_command_is_one_line(play: Any) -> None:
    async with play() as (sandbox, bot):
        process = await start("say", "hello", "--sandbox", sandbox.api_base)
        await bot.heard()  # and never answers
        process.send_signal(signal.SIGINT)
        assert await process.communicate() == (b"", b"interrupted\n")
        assert process.returncode == 130


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
async def test_it_says_its_version() -> None:
    assert await run("--version") == (0, f"qqbot {version('qqmedia')}\n", "")


@pytest.mark.asyncio
@pytest.mark.blocking  # child processes are started by the loop itself
@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bot_core.cli", ["typer", "rich", "asyncio", "qqmedia", "logging"]),  # Ctrl-C is not caught before `main` runs
        ("bot_core.cli._app", ["bot_core.bot", "bot_core.qq_group", "bot_core.sandbox", "bot_core.demo", "aiohttp"]),
    ],
)
async def test_the_command_line_imports_what_it_needs_when_it_runs(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
