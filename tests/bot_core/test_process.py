"""Bots as programs of their own: signals, the log, `qqbot run`, what an import costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.blocking  # these tests wait for child processes, not for an event loop

BOT = """
import asyncio, signal, sys, threading
from bot_core import AmiyaBot, Message
from bot_core.errors import AuthenticationError
from tests.fakes.adapter import FakeAdapter

class Adapter(FakeAdapter):
    async def listen(self, receive):
        print("listening", self.appid, flush=True)
        if self.appid == "bad":
            raise AuthenticationError("invalid appid or secret (code 100016)")
        await super().listen(receive)

def make(appid="1001"):
    return AmiyaBot(appid=appid, token="t", adapter=Adapter)
"""


def run(tmp_path: Path, program: str, *command: str) -> subprocess.Popen[str]:
    file = tmp_path / "my_bot.py"
    file.write_text(BOT + program, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, *(command or ()), str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )


def wait_for(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout is not None
    for said in child.stdout:
        if said.strip() == line:
            return
    pytest.fail(f"never said {line!r}: {child.stderr.read() if child.stderr else ''}")


QQBOT = """
import typer
from bot_core.cli._run import run_command
from bot_core.errors import BotError
from qqmedia.cli import run
app = typer.Typer()
app.command()(run_command)
run(app, "qqbot", known=(BotError,))
"""
QQBOT_RUN = ("-c", QQBOT)

posix = pytest.mark.skipif(sys.platform == "win32", reason="a child cannot be sent Ctrl-C alone there")


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_two_bots_in_order_and_gives_the_handlers_back(tmp_path: Path, number: signal.Signals) -> None:
    child = run(
        tmp_path,
        """
before = signal.getsignal(signal.SIGTERM)
async def main():
    bots = [make("1"), make("2")]
    await asyncio.gather(*(bot.start() for bot in bots))
    print("closed", [bot.instance.closed for bot in bots])
    print("restored", signal.getsignal(signal.SIGTERM) is before)
asyncio.run(main())
print("restored", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
""",
    )
    wait_for(child, "listening 1")
    wait_for(child, "listening 2")
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 0, err
    assert out.splitlines() == ["closed [1, 1]", "restored True", "restored True"]
    assert "bot 1 is ending" in err
    assert "bot 2 is ending" in err


@posix
def test_one_ctrl_c_that_comes_twice_lets_handlers_finish(tmp_path: Path) -> None:
    child = run(
        tmp_path,
        """
import os
bot = make()
@bot.timed_task()
async def work(bot):
    os.kill(os.getpid(), signal.SIGINT)  # as `timeout` and `npm run` do: the child, then its whole group
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.15)
    print("finished", flush=True)
asyncio.run(bot.start())
""",
    )
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out.splitlines()[-1]) == (0, "finished"), err
    assert err.count("is ending") == 1


@posix
def test_the_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    child = run(
        tmp_path,
        """
bot = make()
bot.instance.shutdown_grace = 60
@bot.timed_task()
async def endless(bot):
    print("busy", flush=True)
    await asyncio.sleep(60)
asyncio.run(bot.start())
""",
    )
    wait_for(child, "busy")
    child.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.3)
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=10)
    assert time.monotonic() - begun < 3
    assert child.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err


def test_outside_the_main_thread_a_bot_runs_without_signals(tmp_path: Path) -> None:
    child = run(
        tmp_path,
        """
async def main():
    bot = make()
    task = asyncio.create_task(bot.start())
    await bot.instance.listening.wait()
    await bot.close()
    await task
    print("fine")
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
""",
    )
    out, err = child.communicate(timeout=20)
    assert (out.splitlines()[-1], child.returncode) == ("fine", 0), err


def test_the_log_is_visible_in_a_plain_program(tmp_path: Path) -> None:
    program = """
import logging
bot = make()
@bot.timed_task()
async def task(bot):
    logging.getLogger("bot_core.gateway").info("connected")
    logging.getLogger("qqmedia.host").warning("careful")
    logging.getLogger("bot_core.gateway").debug("a detail")
    logging.getLogger("somebody.else").info("not ours")
    bot.stop()
{setup}
asyncio.run(bot.start())
"""
    _, plain = run(tmp_path, program.format(setup="")).communicate(timeout=20)
    lines = [line.split(maxsplit=2)[2] for line in plain.splitlines()]
    assert lines == ["INFO    bot_core.gateway: connected", "WARNING qqmedia.host: careful"]
    own = "logging.basicConfig(level='WARNING', format='own %(message)s')"
    _, configured = run(tmp_path, program.format(setup=own)).communicate(timeout=20)
    assert configured.splitlines() == ["own careful"]


def test_the_log_is_silent_as_soon_as_the_program_sets_logging_up(tmp_path: Path) -> None:
    program = """
import logging
bot = make()
@bot.timed_task()
async def task(bot):
    log = logging.getLogger("bot_core.gateway")
    log.info("before")
    logging.basicConfig(level="INFO", format="own %(message)s")  # a handler that imports a library late, say
    log.info("after")
    logging.getLogger().handlers.clear()
    log.info("again")
    bot.stop()
asyncio.run(bot.start())
"""
    _, err = run(tmp_path, program).communicate(timeout=20)
    assert [line.rpartition(": ")[2] for line in err.splitlines()] == ["before", "own after", "again"]


def test_a_plain_program_with_a_wrong_secret_ends_with_exit_code_1(tmp_path: Path) -> None:
    child = run(tmp_path, "asyncio.run(make('bad').start())")
    _, err = child.communicate(timeout=20)
    assert child.returncode == 1
    assert err.splitlines()[-1] == "bot_core.errors.AuthenticationError: invalid appid or secret (code 100016)"
    assert "ExceptionGroup" not in err


@pytest.mark.parametrize(
    "program",
    [
        "asyncio.run(make('bad').start())",
        "if __name__ == '__main__':\n    asyncio.run(make('bad').start())",
        "bot = make('bad')",
        "from bot_core import MultipleAccounts\nbots = MultipleAccounts(make('bad'))",
    ],
)
def test_qqbot_run_says_a_refused_login_in_one_line(tmp_path: Path, program: str) -> None:
    child = run(tmp_path, program, *QQBOT_RUN)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "listening bad" in out
    assert err.splitlines()[-1] == "error: invalid appid or secret (code 100016)"
    assert "Traceback" not in err


@posix
def test_qqbot_run_starts_the_bots_of_a_file_and_ends_them(tmp_path: Path) -> None:
    child = run(tmp_path, "one = make('1')\ntwo = make('2')\nagain = two", *QQBOT_RUN)
    wait_for(child, "listening 1")
    wait_for(child, "listening 2")
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=10)
    assert child.returncode == 0, err


@pytest.mark.parametrize("command", [(), QQBOT_RUN])
@pytest.mark.parametrize("accounts", ["", "MultipleAccounts(make('2'), bot)"])
def test_sys_exit_in_a_handler_ends_the_bot_in_order_with_that_code(
    tmp_path: Path, command: tuple[str, ...], accounts: str
) -> None:
    program = f"""
from bot_core import MultipleAccounts
from bot_core.slots import Delivery, current_delivery
bot = make()
all = {accounts or "bot"}
@bot.on_message(keywords="quit")
async def quit(data):
    asyncio.create_task(bot.instance.say("slow"))
    await asyncio.sleep(0.05)
    sys.exit(3)
@bot.on_message(keywords="slow")
async def slow(data):
    await asyncio.sleep(0.1)
    print("the other one was let finish", flush=True)
@bot.timed_task()
async def ask(given):
    await bot.instance.listening.wait()
    current_delivery.set(Delivery(lambda: print("used", flush=True)))
    await bot.instance.say("quit")
"""
    if not command:
        program += "asyncio.run(all.start())"
    child = run(tmp_path, program, *command)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 3, err
    said = [line for line in out.splitlines() if not line.startswith("listening")]
    assert said == ["used", "the other one was let finish", "used"]
    assert "Traceback" not in err
    assert "never retrieved" not in err


def test_sys_exit_in_a_timed_task_ends_the_bot_too(tmp_path: Path) -> None:
    program = """
from bot_core import MultipleAccounts
bot = make()
bots = MultipleAccounts(bot)
@bots.timed_task()
async def task(given):
    await bot.instance.listening.wait()
    await bot.instance.say("slow")
    await asyncio.sleep(0.05)
    sys.exit("enough")
@bots.on_message(keywords="slow")
async def slow(data):
    await asyncio.sleep(0.15)
    print("the handler was let finish")
try:
    asyncio.run(bots.start())
finally:
    print("closed", bot.instance.closed)
"""
    child = run(tmp_path, program)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, err.splitlines()[-1]) == (1, "enough")
    assert out.splitlines()[1:] == ["the handler was let finish", "closed 1"]
    assert "Traceback" not in err


def test_qqbot_run_does_not_start_again_what_ran(tmp_path: Path) -> None:
    program = """
bot = make()
@bot.timed_task()
async def task(given):
    bot.stop()
asyncio.run(bot.start())
print("ran")
"""
    child = run(tmp_path, program, *QQBOT_RUN)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out.splitlines()) == (0, ["listening 1001", "ran"]), err


@pytest.mark.parametrize(
    ("program", "last"),
    [
        ("def f():\n    return 1 + None\nf()", "TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'"),
        ("def broken(:\n    pass", "SyntaxError: invalid syntax"),
    ],
)
def test_qqbot_run_shows_an_error_of_the_file_and_no_frames_of_its_own(tmp_path: Path, program: str, last: str) -> None:
    child = run(tmp_path, program, *QQBOT_RUN)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 1
    assert err.splitlines()[-1] == last
    assert "my_bot.py" in err.splitlines()[0] + err.splitlines()[1]
    assert "typer" not in err
    assert "_run.py" not in err
    debugged = run(tmp_path, program, "-c", f"import sys; sys.argv.append('--debug')\n{QQBOT}")
    _, err = debugged.communicate(timeout=20)
    assert debugged.returncode == 1
    assert err.splitlines()[-1] == last
    assert "_run.py" in err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nix.py", "nix.py does not exist (looked from {folder})"),
        ("cat.png", "cat.png is no Python file: there are null bytes in it"),
        (".", ". is a folder; name the Python file in it"),
    ],
)
def test_qqbot_run_says_what_is_no_file_of_python(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    done = subprocess.run(
        [sys.executable, "-c", QQBOT, name], capture_output=True, text=True, cwd=tmp_path, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, f"error: {says.format(folder=tmp_path)}\n")


def test_qqbot_run_says_what_is_missing(tmp_path: Path) -> None:
    child = run(tmp_path, "", *QQBOT_RUN)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 2
    assert "has no bot: it needs an AmiyaBot or a MultipleAccounts in a variable" in err


def test_the_function_qq_group_is_what_bot_core_exports_whatever_was_imported_before() -> None:
    program = "import bot_core.qq_group.options; from bot_core import qq_group; assert callable(qq_group)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=20)
