"""What the sandbox's commands print: lines in a style where there is a terminal, plain ones elsewhere."""

from __future__ import annotations

import sys

__all__ = ("print_all", "print_line")


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
