"""Runs a typer application for people: known errors are one line and an exit code, not a traceback."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer
from rich.console import Console

from qqmedia.errors import ConfigurationError, QQMediaError

__all__ = ("run",)

EXIT_FAILED = 1
EXIT_USAGE = 2  # what click uses for wrong arguments too
EXIT_INTERRUPTED = 130  # 128 + SIGINT


def run(app: typer.Typer, *, known: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Run `app` with the arguments of the process, and exit.

    Errors of `qqmedia`, `OSError` and the classes in `known` are printed as one line on standard error; with
    ``--debug`` anywhere among the arguments, or ``QQMEDIA_DEBUG=1``, with their traceback. Exit codes: 0 done, 1
    failed, 2 wrong arguments or settings, 130 interrupted.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or os.environ.get("QQMEDIA_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(args=arguments, standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except (QQMediaError, OSError, *known) as error:  # type: ignore[misc] # a tuple with a star in it is beyond mypy
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {_one_line(error)}", highlight=False)
        sys.exit(EXIT_USAGE if isinstance(error, ConfigurationError) else EXIT_FAILED)
    sys.exit(0)


def _one_line(error: Exception) -> str:
    from rich.markup import escape  # noqa: PLC0415 - only for errors

    return escape(" ".join(str(error).split()) or type(error).__name__)
