"""What the sandbox's commands print: lines in a style where there is a terminal, plain ones elsewhere."""

from __future__ import annotations

import io
import sys

__all__ = ("accept_any_text", "print_all", "print_line")


def accept_any_text() -> None:
    """Let no character of a message end the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that has no Chinese shows question marks


def print_line(text: str, style: str = "") -> None:
    """Print one line."""
    print_all([(text, style)])


def print_all(lines: list[tuple[str, str]]) -> None:
    """Print lines, each with a style of `rich`."""
    from rich.console import Console  # noqa: PLC0415 - not for --help
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False)
    for text, style in lines:
        console.print(Text(text, style=style))
    sys.stdout.flush()
