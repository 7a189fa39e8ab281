"""The command `qqmedia`, and what every command of this project has in common."""

from __future__ import annotations

from qqmedia.cli._run import run

__all__ = ("main", "run")


def main() -> None:
    """Run the command `qqmedia`."""
    from qqmedia.cli._app import app  # noqa: PLC0415 - `run` is wanted without the commands

    run(app)
