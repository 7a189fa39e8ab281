"""The command `qqbot`."""

from __future__ import annotations

__all__ = ("main",)


def main() -> None:
    """Run the command `qqbot`."""
    try:
        from bot_core.cli._app import app  # noqa: PLC0415 - Ctrl-C while it loads is no error to be shown
        from bot_core.errors import BotError  # noqa: PLC0415
        from qqmedia.cli import run  # noqa: PLC0415

        run(app, known=(BotError,))
    except KeyboardInterrupt:
        from qqmedia.cli import interrupted  # noqa: PLC0415

        interrupted()
