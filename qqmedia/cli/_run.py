"""Runs a typer application for people: known errors are one line and an exit code, not a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from qqmedia.cli import EXIT_INTERRUPTED
from qqmedia.errors import ConfigurationError, QQMediaError

__all__ = ("run_app",)

EXIT_FAILED = 1
EXIT_USAGE = 2  # what click uses for wrong arguments too


def run_app(app: Callable[..., object], known: tuple[type[Exception], ...]) -> NoReturn:
    """Run `app`, and exit. See `qqmedia.cli.run`."""
    # What was made is removed, and children are ended, before SIGTERM ends this, too; a bot has its own way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or os.environ.get("QQMEDIA_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(args=arguments, standalone_mode=True)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt from end
        raise
    except (QQMediaError, OSError, *known) as error:  # type: ignore[misc] # a tuple with a star in it is beyond mypy
        if debug:
            raise
        _say(error)
        sys.exit(EXIT_USAGE if isinstance(error, ConfigurationError) else EXIT_FAILED)
    sys.exit(0)


def _say(error: Exception) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for errors
    from rich.markup import escape  # noqa: PLC0415

    line = escape(" ".join(str(error).split()) or type(error).__name__)
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {line}", highlight=False)
