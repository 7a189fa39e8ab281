"""The commands of `qqmedia`."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from qqmedia.cli._drivers import drivers
from qqmedia.cli._new_driver import new_driver
from qqmedia.cli._put import put
from qqmedia.cli._silk import silk

__all__ = ("app",)

app = typer.Typer(
    name="qqmedia",
    help="Makes pictures, voices and videos sendable for QQ bots.",
    epilog="--debug anywhere, or QQMEDIA_DEBUG=1, shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(drivers)
app.command("new-driver")(new_driver)
app.command()(put)
app.command()(silk)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callbacks take the value alone
    if wanted:
        typer.echo(f"qqmedia {importlib.metadata.version('qqmedia')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Makes pictures, voices and videos sendable for QQ bots."""
