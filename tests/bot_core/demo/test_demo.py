"""`qqbot demo`, as people run it: a real process, a real bot, real sockets."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from rich.console import Console

from bot_core.demo import SCENES, run_demo
from bot_core.demo._bot_process import example_bot
from tests.examples.distributions import ROOT, Environment, build_wheel, closure

MESSAGES = sum(len(step.answers) for scene in SCENES for step in scene.steps)
DEMO = (sys.executable, "-c", "from bot_core.cli import main; main()", "demo", "--output", "out")


def environment(temporary: Path) -> dict[str, str]:
    temporary.mkdir()
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}


def test_everything_arrives(tmp_path: Path) -> None:
    settings = environment(tmp_path / "tmp") | {"QQMEDIA_DRIVER": "nonsense", "QQ_API_BASE": "http://127.0.0.1:9"}

    done = subprocess.run(DEMO, cwd=tmp_path, env=settings, capture_output=True, timeout=50, check=False)

    said = done.stdout.decode()
    assert done.returncode == 0, said + done.stderr.decode()
    assert f"all {MESSAGES} messages arrived as they were sent" in said
    assert said.count("  same ") == MESSAGES, "a row for each, and all of them right"
    assert not done.stderr
    assert "\x1b" not in said
    assert not set(said) & set("─│┌┐└┘├┤━┃╭╮╰╯"), "a log is no place for boxes"
    for way in (
        "fetched from http://127.0.0.1:",
        "uploaded as bytes",
        "uploaded in parts",
        "the platform had it already",
    ):
        assert way in said
    assert not list((tmp_path / "tmp").iterdir())
    arrived, sent = tmp_path / "out" / "arrived", tmp_path / "out" / "sent"
    assert (arrived / "02-cat.png").read_bytes() == (sent / "cat.png").read_bytes()
    assert (arrived / "06-film.mp4").read_bytes() == (sent / "film.mp4").read_bytes()
    assert (arrived / "10-sticker.jpg").is_file()
    assert (arrived / "15-movie.mp4").stat().st_size == 12_000_000
    with wave.open(str(arrived / "04-song.wav")) as voice:
        assert voice.getnframes() / voice.getframerate() == pytest.approx(3.6, abs=0.1)


@pytest.mark.blocking  # an environment is made, and the demo runs in it
def test_it_needs_no_more_than_the_readme_installs(tmp_path: Path) -> None:
    linked = closure("qqmedia[voice]", without={"qqmedia"})
    bare = Environment.new(tmp_path / "venv", [build_wheel(ROOT)], linked)

    said = bare.command("qqbot", "demo", cwd=tmp_path)

    assert "left out: storage down (driver 'cos' cannot be used" in said
    assert 'pip install "qqmedia[cos]"' in said
    assert f"all {MESSAGES - 1} messages arrived as they were sent" in said


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals and process groups")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.asyncio
async def test_a_signal_ends_it_and_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    settings = await asyncio.to_thread(environment, tmp_path / "tmp")
    demo = await asyncio.create_subprocess_exec(
        *DEMO,
        cwd=tmp_path,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # its processes are then one group, and can be counted
    )
    assert demo.stdout is not None
    async with asyncio.timeout(30):
        while b"bot: " not in await demo.stdout.readline():
            assert not demo.stdout.at_eof()
        demo.send_signal(number)
        _, errors = await demo.communicate()

    assert demo.returncode == code
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
    assert not await asyncio.to_thread(os.listdir, tmp_path / "tmp")


def shown(bot: str, folder: Path, patience: float = 15) -> tuple[int, str]:
    file = folder / "other_bot.py"
    file.write_text(bot, encoding="utf-8")
    output = io.StringIO()
    code = run_demo(folder / "out", bot_file=file, console=Console(file=output), patience_seconds=patience)
    return code, output.getvalue()


def test_a_wrong_picture_and_a_message_too_many_are_found_and_named(tmp_path: Path) -> None:
    bot = example_bot().read_text(encoding="utf-8")
    changes = {
        '.image("cat.png")': '.image(open("cat.png", "rb").read() + b"!")',
        'return Chain(data).text("Hello!': 'await data.send("Hello! Hello!")\n    return Chain(data).text("And hello!',
    }
    for right, wrong in changes.items():
        assert bot.count(right) == 1
        bot = bot.replace(right, wrong)

    code, said = shown(bot, tmp_path)

    assert code == 1
    of_cats = [scene.title for scene in SCENES for step in scene.steps for e in step.answers if e.medium == "cat.png"]
    [problem] = [line for line in said.splitlines() if "cat.png arrived with other bytes" in line]
    assert problem.split(":")[0].split(", ")[0] == of_cats[0]
    assert all(title in problem for title in of_cats)
    assert "text: one message more than expected: '" in said
    assert said.count("  same ") == MESSAGES - len(of_cats)
    assert f"{len(of_cats) + 1} of {MESSAGES + 1} messages did not arrive as they were sent" in said


def test_a_bot_that_says_nothing_is_reported_with_its_log(tmp_path: Path) -> None:
    head, _, _ = example_bot().read_text(encoding="utf-8").partition("# A handler runs")

    code, said = shown(f"{head}\nasyncio.run(bot.start())\n", tmp_path, patience=0.1)

    assert code == 1
    assert "text: 0 of 1 answers to 'hello' within 0.1 s" in said
    assert "three pictures: 0 of 1 answers to 'album'" in said
    assert "a new session has begun" in said, "the end of the bot's log"
    assert said.count("  WRONG\n") == MESSAGES


def test_a_bot_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    code, said = shown("print('warming up')\nraise SystemExit('no luck today')\n", tmp_path)

    assert code == 1
    assert "the bot ended with exit code 1; the end of its log:\n  | warming up\n  | no luck today" in said
    assert said.count("not played: there was no bot any more") == 1
    assert said.count("  WRONG\n") == MESSAGES
