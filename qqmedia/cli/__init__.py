"""The command `qqmedia`, and what every command of this project has in common."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import typer

__all__ = ("EXIT_INTERRUPTED", "main", "run")

EXIT_INTERRUPTED = 130  # 128 + SIGINT


def main() -> None:
    """Run the command `qqmedia`."""
    try:
        from qqmedia.cli._app import app  # noqa: PLC0415 - Ctrl-C while it loads is no error to be shown

        run(app)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # once more, and it is over at once
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


def run(app: typer.Typer, *, known: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Run `app` with the arguments of the process, and exit.

    Errors of `qqmedia`, `OSError` and the classes in `known` are printed as one line on standard error; with
    ``--debug`` anywhere among the arguments, or ``QQMEDIA_DEBUG=1``, with their traceback. Exit codes: 0 done, 1
    failed, 2 wrong arguments or settings, 130 interrupted.

    Raises:
        KeyboardInterrupt: Ctrl-C; whoever calls this gets it while modules load as well.
    """
    from qqmedia.cli._run import run_app  # noqa: PLC0415

    run_app(app, known)
