"""``qqmedia drivers``: what is installed, and why something does not work."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from qqmedia.plugins import ENTRY_POINT_GROUP, Discovery, discover

__all__ = ("drivers",)

_STYLES: Final = {"ready": "green", "plugin": "green", "missing": "yellow", "broken": "red", "duplicate": "red"}


class _Row(NamedTuple):
    name: str
    origin: str
    status: str
    reason: str


def drivers() -> None:
    """List the drivers that are installed, and say why one cannot be used.

    A driver is ready, or a package that it needs is missing (with the command that installs it), or it is broken, or
    two distributions bring it under one name. Plugins without a driver are listed too. On a terminal it is a table,
    otherwise one line each, with tabs.
    """
    discovery = discover()
    rows = sorted(_rows(discovery))
    if sys.stdout.isatty():
        _show(rows)
    else:
        sys.stdout.writelines("\t".join(row) + "\n" for row in rows)
    if discovery.blocked:
        _tell_blocked(discovery.blocked)


def _tell_blocked(blocked: frozenset[str]) -> None:
    installed = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP).names
    if kept_out := blocked & installed:
        sys.stderr.write(f"kept out by QQMEDIA_BLOCK: {', '.join(sorted(kept_out))}\n")
    if nobody := blocked - installed:
        sys.stderr.write(f"named in QQMEDIA_BLOCK, and not installed: {', '.join(sorted(nobody))}\n")


def _rows(discovery: Discovery) -> Iterator[_Row]:
    for driver in discovery.drivers:
        yield _Row(driver.name, f"{driver.distribution} {driver.version}", driver.status, driver.reason)
    listed = {driver.name for driver in discovery.drivers}
    for plugin in discovery.plugins:
        if plugin.name in listed:  # it did not load, so it stands among the drivers as broken
            continue
        reason = "no driver" if plugin.error is None else " ".join(str(plugin.error).split())
        status = "plugin" if plugin.error is None else "broken"
        yield _Row(plugin.name, f"{plugin.distribution} {plugin.version}", status, reason)


def _show(rows: list[_Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("driver", "from", "status", "", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        style = _STYLES.get(row.status, "")
        table.add_row(escape(row.name), escape(row.origin), f"[{style}]{row.status}[/]", escape(row.reason))
    Console().print(table)
