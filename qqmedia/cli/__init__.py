"""The command `qqmedia`, and what every command of this project has in common."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ("EXIT_INTERRUPTED", "main", "run")

EXIT_INTERRUPTED = 130  # 128 + SIGINT


def main() -> None:
    """Run the command `qqmedia`."""
    try:
        run(_commands(), "qqmedia")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # once more, and it is over at once
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


def _commands() -> Callable[..., object]:
    """Load them here: Ctrl-C meanwhile is no error to be shown."""
    if sys.argv[1:] == ["drivers"]:  # nothing to parse, and a parser takes longer to load than drivers to be found
        from qqmedia.cli._drivers import drivers  # noqa: PLC0415

        return lambda **_: drivers()
    from qqmedia.cli._app import app  # noqa: PLC0415

    return app


def run(app: Callable[..., object], name: str, *, known: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Run `app`, the typer application of the command `name`, with the arguments of the process, and exit.

    Wrong arguments, errors of `qqmedia`, `OSError` and the classes in `known` are printed as one line on standard
    error; with ``--debug`` anywhere among the arguments, or ``QQMEDIA_DEBUG=1``, as a traceback. Exit codes: 0 done,
    1 failed, 2 wrong arguments or settings, 130 interrupted.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; whoever calls this gets it while modules load as well.
    """
    from qqmedia.cli._run import run_app  # noqa: PLC0415

    run_app(app, name, known)
