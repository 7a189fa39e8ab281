"""The application `qqbot`: one module a command, imported with nothing heavy, so that ``--help`` is quick."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from bot_core.cli._demo import demo
from bot_core.cli._explain import explain_command
from bot_core.cli._run import run_command
from bot_core.cli._sandbox import sandbox_command
from bot_core.cli._say import say_command
from bot_core.cli._webhook_check import webhook_check_command

__all__ = ("app",)

app = typer.Typer(
    name="qqbot",
    help="QQ group bots: run one, or try it on a QQ platform on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("run")(run_command)
app.command("demo")(demo)
app.command("sandbox")(sandbox_command)
app.command("say")(say_command)
app.command("webhook-check")(webhook_check_command)
app.command("explain")(explain_command)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callbacks take the value alone
    if wanted:
        typer.echo(f"qqbot {importlib.metadata.version('qqmedia')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
