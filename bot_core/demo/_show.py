"""Shows the conversation as it goes, and at the end what arrived: in colour on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot_core.demo._check import Medium, Received, Verdict
from bot_core.demo._scenes import Expected, Scene, Step

__all__ = ("Outcome", "Show")

_COLUMNS: Final = ("scene", "message", "way", "size", "length", "after", "result")
_MENTION: Final = re.compile(r'<@!?\w+>|<qqbot-at-user id="\w+" ?/>')
_HOW: Final = {"bytes": "uploaded as bytes", "chunks": "uploaded in parts", "cache": "the platform had it already"}
_KB: Final = 1000
_MB: Final = 1_000_000
_WHOLE_MILLISECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one message.

    Attributes:
        scene: The scene it belongs to.
        step: The step.
        expected: What was meant; `None` for a message that was not.
        received: What arrived; `None` if nothing did.
        verdict: What a comparison of the two found.
    """

    scene: Scene
    step: Step
    expected: Expected | None = None
    received: Received | None = None
    verdict: Verdict | None = None

    @property
    def right(self) -> bool:
        """Whether it was compared, and is as it was meant."""
        return self.verdict is not None and self.verdict.right


class Show:
    """Prints to `console`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str | Text, style: str = "") -> None:
        """Print one line (or several), never broken by us and never taken for markup."""
        self._console.print(text, style=style or None, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def scene(self, number: int, scene: Scene) -> None:
        """Open a scene."""
        self.line("")
        self.line(f"{number}. {scene.title}", style="bold")

    def said(self, scene: Scene, step: Step) -> None:
        """Show what a person says."""
        where = " (in private)" if scene.private else ""
        self.line(Text.assemble("   ", (f"{scene.user}{where}: ", "cyan"), step.says))

    def received(self, scene: Scene, received: Received) -> None:
        """Show what the bot answered."""
        text = " ".join(_MENTION.sub(f"@{scene.user}", received.text).split())
        parts = [text] if text else []
        if received.medium is not None:
            parts.append(f"[{_describe(received.medium)}]")
        after = (f"  {_after(received.milliseconds)}", "dim")
        self.line(Text.assemble("   ", ("bot: ", "green"), " ".join(parts), after))

    def trouble(self, text: str) -> None:
        """Show what went wrong."""
        self.line(text, style="red")

    def table(self, outcomes: Sequence[Outcome]) -> None:
        """Show what arrived, and under it what is wrong with it."""
        self.line("")
        if self._console.is_terminal:
            self._coloured_table(outcomes)
        else:
            self._plain_table([_COLUMNS, *map(_row, outcomes)])
        for text, titles in _problems(outcomes).items():
            self.trouble(f"{', '.join(titles)}: {text}")

    def _coloured_table(self, outcomes: Sequence[Outcome]) -> None:
        table = Table(*_COLUMNS, box=None, pad_edge=False)
        for outcome in outcomes:
            *cells, result = _row(outcome)
            table.add_row(*map(Text, cells), Text(result, style="green" if outcome.right else "red"))
        self._console.print(table)

    def _plain_table(self, rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            self.line("  ".join(cells).rstrip())


def _problems(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Return what is wrong, each with the titles of its scenes."""
    problems: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.verdict and not outcome.right:
            titles = problems.setdefault(outcome.verdict.text, [])
            if outcome.scene.title not in titles:
                titles.append(outcome.scene.title)
    return problems


def _row(outcome: Outcome) -> tuple[str, ...]:
    medium = outcome.received.medium if outcome.received else None
    return (
        outcome.scene.title,
        _meant(outcome.expected) if outcome.expected else "",
        medium.way if medium else "",
        _size(len(medium.content)) if medium else "",
        _length(medium.seconds) if medium else "",
        _after(outcome.received.milliseconds) if outcome.received else "",
        outcome.verdict.text if outcome.right and outcome.verdict else "WRONG",
    )


def _meant(expected: Expected) -> str:
    return " + ".join(part for part in ("text" if expected.text else "", expected.medium) if part)


def _describe(medium: Medium) -> str:
    how = f"fetched from {medium.url}" if medium.way == "url" else _HOW[medium.way]
    facts = (medium.kind, medium.content_type, _size(len(medium.content)), _length(medium.seconds), how)
    return ", ".join(fact for fact in facts if fact)


def _after(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds >= _WHOLE_MILLISECONDS else f"{milliseconds:.1f} ms"


def _length(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def _size(size: int) -> str:
    if size >= _MB:
        return f"{size / _MB:.1f} MB"
    return f"{size / _KB:.1f} KB" if size >= _KB else f"{size} B"
