"""``qqbot webhook-check``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

__all__ = ("webhook_check_command",)


def webhook_check_command(
    url: Annotated[str, typer.Argument(help="The address as it is entered in the console.", metavar="URL")],
    *,
    appid: Annotated[str, typer.Option(help="The bot.", envvar="QQBOT_APPID")] = "",
    secret: Annotated[
        str, typer.Option(help="Its secret; with it, signatures are checked.", envvar="QQBOT_SECRET")
    ] = "",
    ca: Annotated[Path | None, typer.Option(help="Trust these certificates too (PEM).", exists=True)] = None,
) -> None:
    """Call a webhook's address as the platform would, and say what is wrong with it.

    No event is sent. Exit code 1 if something is wrong.
    """
    from bot_core.webhook.check import Level, check_address  # noqa: PLC0415 - the other commands do not pay for it

    findings = asyncio.run(check_address(url, appid=appid, secret=secret, ca_file=ca))
    for finding in findings:
        typer.echo(f"{finding.level.value + ':':<7}{finding.text}")
    if any(finding.level is Level.WRONG for finding in findings):
        raise typer.Exit(1)
