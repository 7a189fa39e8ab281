"""The command `qqbot`."""

from __future__ import annotations

import sys

from bot_core.errors import BotError
from qqmedia.cli import EXIT_INTERRUPTED, run

__all__ = ("main",)


def main() -> None:
    """Run the command `qqbot`."""
    try:
        from bot_core.cli._app import app  # noqa: PLC0415 - Ctrl-C while it loads is no error to be shown
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    run(app, known=(BotError,))
