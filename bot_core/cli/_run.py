"""The command ``qqbot run FILE``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from bot_core.accounts import MultipleAccounts
from bot_core.bot import AmiyaBot
from qqmedia.errors import ConfigurationError

__all__ = ("run_command",)


def run_command(
    file: Annotated[Path, typer.Argument(help="A Python file with a bot in it.", metavar="FILE")],
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every message and every answer.")] = False,
) -> None:
    """Run a bot: the file runs as `python FILE` would; a bot in it that was not started is started then.

    A login that the platform refuses is one line and exit code 1.
    """
    if verbose:
        logging.getLogger("bot_core").setLevel(logging.DEBUG)
    os.environ.setdefault("QQBOT_KEEP_SESSION", "1")  # a restart is to lose nothing
    program = _execute(file)
    found = [value for value in program.values() if isinstance(value, (AmiyaBot, MultipleAccounts))]
    if not found:
        raise ConfigurationError(f"{file} has no bot: it needs an AmiyaBot or a MultipleAccounts in a variable")
    if any(bot.started for bot in found):
        return  # its own asyncio.run is through
    shared = {bot for accounts in found if isinstance(accounts, MultipleAccounts) for bot in accounts}
    asyncio.run(_start([bot for bot in dict.fromkeys(found) if bot not in shared]))


def _execute(file: Path) -> dict[str, Any]:
    """Run the file as the main program, and return its variables."""
    source = file.read_bytes()
    program = ModuleType("__main__")
    program.__file__ = str(file)
    sys.modules["__main__"] = program
    sys.path.insert(0, str(file.resolve().parent))
    sys.argv = [str(file)]
    exec(compile(source, str(file), "exec"), program.__dict__)  # noqa: S102 - to run it is what the command is for
    return program.__dict__


async def _start(bots: list[AmiyaBot | MultipleAccounts]) -> None:
    """Run the bots; the first that fails ends the others, and its error comes out as it is."""
    exits: list[SystemExit] = []

    async def run(bot: AmiyaBot | MultipleAccounts) -> None:
        try:
            await bot.start()
        except SystemExit as error:  # out of a task it would tear down the loop before the others have ended
            exits.append(error)
            for one in bots:
                one.stop()

    tasks = [asyncio.create_task(run(bot), name="bot") for bot in bots]
    try:
        await asyncio.gather(*tasks)
    finally:
        await asyncio.gather(*(bot.close() for bot in bots))
        await asyncio.gather(*tasks, return_exceptions=True)
    if exits:
        raise exits[0]
