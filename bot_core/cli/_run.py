"""The command ``qqbot run FILE``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot_core.errors import BotError
from bot_core.log import opening_held_back
from qqmedia.errors import ConfigurationError, QQMediaError

if TYPE_CHECKING:
    from bot_core import AmiyaBot, MultipleAccounts

__all__ = ("run_command",)


def run_command(
    file: Annotated[Path, typer.Argument(help="A Python file with a bot in it.", metavar="FILE")],
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every message and how each medium went.")
    ] = False,
    new_session: Annotated[
        bool, typer.Option("--new-session", help="Do not resume the last run's session: for a bot that hears nothing.")
    ] = False,
) -> None:
    """Run a bot: the file runs as `python FILE` would; a bot in it that was not started is started then.

    A login that the platform refuses is one line and exit code 1.
    """
    if verbose:
        logging.getLogger("bot_core").setLevel(logging.DEBUG)
    if new_session:
        os.environ["QQBOT_KEEP_SESSION"] = "new"
    with contextlib.nullcontext() if verbose else opening_held_back():
        _run(file)


def _run(file: Path) -> None:
    os.environ.setdefault("QQBOT_KEEP_SESSION", "1")  # a restart is to lose nothing
    from bot_core import AmiyaBot, MultipleAccounts  # noqa: PLC0415 - the other commands do not pay for it

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
    debug = "--debug" in sys.argv or os.environ.get("QQMEDIA_DEBUG") == "1"
    source = _read(file)
    program = ModuleType("__main__")
    program.__file__ = str(file)
    sys.modules["__main__"] = program
    sys.path.insert(0, str(file.resolve().parent))
    sys.argv = [str(file)]
    try:
        exec(compile(source, str(file), "exec"), program.__dict__)  # noqa: S102 - to run it is what the command is for
    except (QQMediaError, BotError, OSError):  # one line tells them
        raise
    except Exception as error:
        if (told := _only_one(error)) is not None:
            raise told from error
        if debug:
            raise
        _show(error, file)
        raise typer.Exit(1) from None
    return program.__dict__


def _only_one(error: Exception) -> Exception | None:
    """Return what a `TaskGroup` of the file failed of, where that is ours alone."""
    if not isinstance(error, ExceptionGroup) or error.split((QQMediaError, BotError))[1] is not None:
        return None
    first: Exception = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first


def _read(file: Path) -> bytes:
    try:
        source = file.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(f"{file} does not exist (looked from {Path.cwd()})") from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{file} is a folder; name the Python file in it") from error
    if b"\0" in source:
        raise ConfigurationError(f"{file} is no Python file: there are null bytes in it")
    return source


def _show(error: Exception, file: Path) -> None:
    """Print the traceback as Python would, from the author's file on: what called that is none of his code."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != str(file):
        frames = frames.tb_next
    traceback.print_exception(error.with_traceback(frames))


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
