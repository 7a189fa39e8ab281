"""What both commands say to wrong arguments: one line, and exit code 2."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bot_core.cli
import qqmedia.cli

Run = Callable[..., tuple[int, str, str]]
MAINS = {"qqmedia": qqmedia.cli.main, "qqbot": bot_core.cli.main}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    def run_it(command: str) -> tuple[int, str, str]:
        name, *arguments = command.split()
        monkeypatch.setattr(sys, "argv", ["wherever", *arguments])
        with pytest.raises(SystemExit) as ended:
            MAINS[name]()
        return int(ended.value.code or 0), *capsys.readouterr()

    monkeypatch.setenv("NO_COLOR", "1")
    before = signal.getsignal(signal.SIGTERM)
    yield run_it
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("qqmedia putt cat.png", "No such command 'putt'. Did you mean 'put'? See `qqmedia --help`."),
        ("qqbot sandbx", "No such command 'sandbx'. Did you mean 'sandbox'? See `qqbot --help`."),
        ("qqmedia put", "Missing argument 'FILE'. See `qqmedia put --help`."),
        ("qqbot run", "Missing argument 'FILE'. See `qqbot run --help`."),
        ("qqmedia drivers x", "Got unexpected extra argument(s) (x). See `qqmedia drivers --help`."),
        (
            "qqmedia put --drivr local cat.png",
            "No such option '--drivr'. Did you mean '--driver'? See `qqmedia put --help`.",
        ),
        ("qqbot say hi --debgu", "No such option '--debgu'. Did you mean '--debug'? See `qqbot say --help`."),
        ("qqbot say hi --xyzzy", "No such option '--xyzzy'. See `qqbot say --help`."),
        ("qqmedia put --driver", "Option '--driver' requires an argument. See `qqmedia put --help`."),
        ("qqbot --version=3", "Option '--version' does not take a value. See `qqbot --help`."),
        (
            "qqmedia put cat.png --kind song",
            "Invalid value for '--kind': 'song' is not one of 'image', 'video', 'voice', 'file'. See `qqmedia put",
        ),
        (
            "qqbot say hi --wait abc",
            "Invalid value for '--wait': Input should be a valid number, unable to parse string as a number; got 'abc'",
        ),
        (
            "qqbot sandbox --inline-limit 0",
            "Invalid value for '--inline-limit': Input should be greater than or equal to 1; got '0'",
        ),
        (
            "qqbot explain",
            "Invalid value: give a code, such as 850026, or --page. See `qqbot explain --help`.",
        ),
    ],
)
def test_wrong_arguments_are_told_in_a_line(run: Run, command: str, said: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert re.search(r" See `(qqmedia|qqbot)( \S+)? --help`\.\n$", err)


def test_a_wait_that_is_none_and_a_file_that_is_none_are_told_in_the_words_of_the_command(
    run: Run, tmp_path: Path
) -> None:
    assert run("qqbot say hi --wait -1") == (2, "", "error: --wait must be a number of seconds from 0 on, got -1\n")
    (tmp_path / "file").touch()
    code, out, err = run(f"qqmedia new-driver ok --into {tmp_path / 'file' / 'there'}")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path / 'file' / 'there'}")
    assert "Errno" not in err


def test_debug_shows_where_it_was_found_out_and_keeps_the_exit_code(run: Run) -> None:
    code, out, err = run("qqmedia putt cat.png --debug")
    assert (code, out) == (2, "")
    assert err.startswith("Traceback")
    assert err.endswith("Did you mean 'put'? See `qqmedia --help`.\n")
    assert "Traceback" not in run("qqbot explain -- --debug")[2]
    code, _, err = run("qqbot run no-such-file.py --debug")
    assert code == 2
    assert err.startswith("Traceback")


@pytest.mark.parametrize("name", sorted(MAINS))
def test_no_argument_shows_the_help_and_no_error(run: Run, name: str) -> None:
    code, out, err = run(name)
    assert code == 2
    assert f"Usage: {name} " in out + err
    assert "error: " not in out + err
    assert run(f"{name} --help")[0] == 0


@pytest.mark.blocking  # a child is waited for
def test_a_console_that_has_no_chinese_gets_question_marks() -> None:
    program = [sys.executable, "-c", "from bot_core.cli import main; main()", "explain", "850026"]
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(program, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"850026: the platform could not")
    assert b"850026????" in done.stdout


@pytest.mark.blocking  # children are waited for
@pytest.mark.skipif(os.name == "nt", reason="no /dev/full")
@pytest.mark.parametrize("command", ["qqmedia drivers", "qqbot explain 850026"])
def test_output_that_nobody_takes_is_a_line_at_most(command: str, tmp_path: Path) -> None:
    name, *arguments = command.split()
    program = f"from {MAINS[name].__module__} import main; main()"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | {"NO_COLOR": "1"}

    def end(stdout: int) -> tuple[int, bytes]:
        child = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(child, stdout=stdout, stderr=subprocess.PIPE, env=environment, check=False)
        os.close(stdout)
        return done.returncode, done.stderr

    reading, writing = os.pipe()
    os.close(reading)
    assert end(writing) == (1, b"")
    if Path("/dev/full").exists():
        code, err = end(os.open("/dev/full", os.O_WRONLY))
        assert (code, err.count(b"\n")) == (1, 1)
        assert b"No space left on device" in err
