"""The command `qqbot`."""

from __future__ import annotations

import signal
import sys
from typing import Final

__all__ = ("main",)

# As `qqmedia.cli` has it; Ctrl-C may have come while that was being imported.
_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command `qqbot`."""
    try:
        from bot_core.cli._app import app  # noqa: PLC0415 - Ctrl-C while it loads is no error to be shown
        from bot_core.errors import BotError  # noqa: PLC0415
        from qqmedia.cli import run  # noqa: PLC0415

        run(app, "qqbot", known=(BotError,))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # once more, and it is over at once
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED)
