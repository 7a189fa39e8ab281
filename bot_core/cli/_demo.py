"""``qqbot demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ("demo",)


def demo(
    output: Annotated[Path, typer.Option(help="Where to save what was sent and what arrived.", file_okay=False)] = Path(
        "demo-output"
    ),
) -> None:
    """Play a conversation between people and a bot on this machine, and show that every medium arrives.

    No account and no network is needed. Exit code 0: all of it arrived as it was sent; 1: the table says what did not.
    """
    from bot_core.demo import run_demo  # noqa: PLC0415 - the other commands do not pay for it

    raise typer.Exit(run_demo(output))
