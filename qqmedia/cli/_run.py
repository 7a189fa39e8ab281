"""Runs a typer application for people: what goes wrong is one line and an exit code, not a traceback."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from qqmedia.cli import EXIT_INTERRUPTED
from qqmedia.errors import ConfigurationError, QQMediaError

__all__ = ("run_app",)

_EXIT_FAILED: Final = 1
_EXIT_USAGE: Final = 2  # what click uses for wrong arguments too


def run_app(app: Callable[..., object], name: str, known: tuple[type[Exception], ...]) -> NoReturn:
    """Run `app`, and exit. See `qqmedia.cli.run`."""
    # What was made is removed, and children are ended, before SIGTERM ends this, too; a bot has its own way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - who starts us may close it
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that has no Chinese shows question marks
    arguments, debug = _without_debug(sys.argv[1:])
    try:
        code = app(args=arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()  # when Python ends, it is too late to say in one line that it fails
    except Exception as error:
        _flush()
        line = _line(error, known, [name, *arguments])
        if line is None:
            raise
        if debug:
            traceback.print_exception(error)
        if line:
            _say(line)
        sys.exit(_EXIT_USAGE if isinstance(error, ConfigurationError) else getattr(error, "exit_code", _EXIT_FAILED))
    if code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    sys.exit(code if isinstance(code, int) else 0)


def _without_debug(given: list[str]) -> tuple[list[str], bool]:
    """Return the arguments for typer, and whether tracebacks are wanted; behind ``--`` there are no options."""
    end = given.index("--") if "--" in given else len(given)
    options = [argument for argument in given[:end] if argument != "--debug"]
    return [*options, *given[end:]], len(options) < end or os.environ.get("QQMEDIA_DEBUG") == "1"


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it takes what nobody else did


def _line(error: Exception, known: tuple[type[Exception], ...], words: list[str]) -> str | None:
    """Return what to say about it, which may be nothing; `None`: nobody expected it."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `qqmedia drivers | head -1`
        return ""
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror  # a number tells nobody
    if isinstance(error, (QQMediaError, OSError, *known)):
        return " ".join(str(error).split()) or type(error).__name__
    from qqmedia.cli._usage import usage_line  # noqa: PLC0415 - it needs typer, which `qqmedia drivers` does without

    return usage_line(error, words)


def _say(line: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for errors
    from rich.markup import escape  # noqa: PLC0415

    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(line)}", highlight=False)
