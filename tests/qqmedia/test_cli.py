"""The installed command `qqmedia`, run as people run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

PNG = b"\x89PNG\r\n\x1a\n and so on"
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.blocking  # no event loop here: children are waited for


def command() -> str:
    script = Path(sysconfig.get_path("scripts")) / ("qqmedia.exe" if os.name == "nt" else "qqmedia")
    assert script.exists()
    return str(script)


@pytest.fixture
def run() -> Run:
    def run_it(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command(), *arguments], capture_output=True, text=True, check=False, timeout=30,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment,
        )  # fmt: skip

    return run_it


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.txt"  # what it is, its bytes say
    path.write_bytes(PNG)
    return path


def plugin(folder: Path, name: str, code: str, *, requires: str = "") -> str:
    """Lay a distribution into `folder`, as an installer would; return the folder, for PYTHONPATH."""
    module = f"{name}_module"
    (folder / f"{module}.py").write_text(
        f"from qqmedia import DriverSpec, hookimpl\n{code}\n"
        f"@hookimpl\ndef qqmedia_register_drivers():\n"
        f"    return DriverSpec(name={name!r}, open=print, requires=({requires}))\n"
    )
    info = folder / f"{name}_dist-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[qqmedia]\n{name} = {module}\n")
    return str(folder)


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"qqmedia {version('qqmedia')}\n"
    for arguments in ([], ["put"], ["drivers"]):
        told = run(*arguments, "--help")
        assert told.returncode == 0
        assert "Usage: qqmedia" in told.stdout
    page = run("put", "--help").stdout
    assert "what its bytes say" in page
    assert "FILE" in page.partition("Store FILE")[0]


def test_drivers_is_one_line_each_where_it_is_no_terminal(run: Run) -> None:
    listed = run("drivers")
    ours = f"qqmedia {version('qqmedia')}"
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert ["direct", ours, "ready", ""] in rows
    assert ["local", ours, "ready", ""] in rows


def test_drivers_loads_neither_a_parser_nor_what_draws_tables_where_it_needs_none() -> None:
    program = (
        "import sys, qqmedia.cli\n"
        "try: qqmedia.cli.main()\n"
        "finally: print([name for name in ('typer', 'rich', 'pydantic', 'aiohttp') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "drivers"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\tready\t\n[]\n")


def test_drivers_says_what_is_missing_and_what_is_broken(run: Run, tmp_path: Path) -> None:
    plugin(tmp_path, "lacking", "", requires='"no_such_package",')
    path = plugin(tmp_path, "wrecked", "raise RuntimeError('out of order')")
    listed = run("drivers", PYTHONPATH=path)
    assert listed.returncode == 0
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in listed.stdout.splitlines()}
    assert rows["lacking"][:2] == ["lacking-dist 1.2", "missing"]
    assert "no_such_package" in rows["lacking"][2]
    assert rows["wrecked"] == ["wrecked-dist 1.2", "broken", "RuntimeError: out of order"]
    assert rows["local"][1] == "ready"
    kept_out = run("drivers", PYTHONPATH=path, QQMEDIA_BLOCK="wrecked,wreked")
    assert "wrecked" not in kept_out.stdout
    assert "QQMEDIA_BLOCK: wrecked\n" in kept_out.stderr
    assert "named in QQMEDIA_BLOCK, and not installed: wreked" in kept_out.stderr


@pytest.mark.skipif(os.name == "nt", reason="no pseudo terminals")
def test_drivers_is_a_table_on_a_terminal() -> None:
    import pty

    leader, follower = pty.openpty()
    with subprocess.Popen([command(), "drivers"], stdout=follower, env=os.environ | {"TERM": "xterm"}) as child:
        os.close(follower)
        assert child.wait(30) == 0
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "status" in shown
    assert re.search(r"local +qqmedia", re.sub(r"\x1b\[[0-9;]*m", "", shown))


def test_put_with_direct_is_an_error_that_says_why(run: Run, picture: Path) -> None:
    done = run("put", str(picture), "--driver", "direct")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: driver 'direct' hosts nothing, so there is no URL: .*\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing.png",), 1, "missing.png cannot be read"),
        (("cat.txt", "--driver", "locl"), 1, "did you mean 'local'?"),
        (("cat.txt", "--kind", "song"), 2, "song"),
        ((".",), 1, ". cannot be read"),
        (("cat.txt", "--kind", "voice"), 1, "error: "),
        ((), 2, "FILE"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    run: Run, picture: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run("put", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_exit_code_2_and_names_the_variable(run: Run, picture: Path) -> None:
    done = run("put", str(picture), QQMEDIA_LOCAL_PROT="1")
    assert done.returncode == 2
    assert "QQMEDIA_LOCAL_PROT" in done.stderr
    assert "QQMEDIA_LOCAL_PORT" in done.stderr


def test_debug_shows_the_traceback(run: Run) -> None:
    assert "Traceback" in run("put", "missing.png", "--debug").stderr


@pytest.fixture
def serving(picture: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", "from qqmedia.cli import main; main()", "put", str(picture), "--driver", "local"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"QQMEDIA_LOCAL_PORT": "0", "QQMEDIA_LOCAL_HOST": "127.0.0.1"},
    ) as child:  # fmt: skip
        yield child
        child.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_put_with_local_serves_until_a_signal_comes(
    serving: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert serving.stdout is not None
    assert serving.stderr is not None
    url = serving.stdout.readline().strip()
    assert "QQMEDIA_LOCAL_PUBLIC_URL" in serving.stderr.readline()  # it is of this machine only
    assert serving.stderr.readline() == f"serving {tmp_path / 'cat.txt'} as image/png; Ctrl-C ends it\n"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.read() == PNG
        assert answer.headers["Content-Type"] == "image/png"
    serving.send_signal(number)
    out, err = serving.communicate(timeout=10)
    assert (serving.returncode, out, err) == (0, "", "")
    assert [path.name for path in (tmp_path / "resource").iterdir()] == []


@pytest.mark.skipif(os.name == "nt", reason="no pseudo terminals")
def test_put_shows_on_a_terminal_that_it_works_and_prints_the_url_alone(picture: Path) -> None:
    import pty

    picture.write_bytes(PNG + bytes(3_000_000))
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [command(), "put", str(picture), "--driver", "local"],
        stdout=subprocess.PIPE, stderr=follower, text=True,
        env=os.environ | {"QQMEDIA_LOCAL_PORT": "0", "TERM": "xterm"},
    ) as child:  # fmt: skip
        os.close(follower)
        assert child.stdout is not None
        assert re.fullmatch(r"http://\S+/resource/[0-9a-f]{64}\.png\n", child.stdout.readline())
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=10)[0] == ""
        assert child.returncode == 0
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "cat.txt to local" in shown


def test_put_without_a_driver_takes_the_one_of_the_environment(run: Run, picture: Path) -> None:
    assert "driver 'direct' hosts nothing" in run("put", str(picture), QQMEDIA_DRIVER="direct").stderr
