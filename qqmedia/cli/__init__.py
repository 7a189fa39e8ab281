"""The command `qqmedia`, and what every command of this project has in common."""

from __future__ import annotations

import sys

from qqmedia.cli._run import EXIT_INTERRUPTED, run

__all__ = ("EXIT_INTERRUPTED", "main", "run")


def main() -> None:
    """Run the command `qqmedia`."""
    try:
        from qqmedia.cli._app import app  # noqa: PLC0415 - `run` is wanted without the commands
    except KeyboardInterrupt:  # before there was anything to interrupt
        sys.exit(EXIT_INTERRUPTED)
    run(app)
