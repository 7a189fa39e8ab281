"""Runs a bot as a process of its own, and never leaves it behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from bot_core.errors import BotError

__all__ = ("BotFailedError", "BotProcess", "example_bot", "free_port")

T = TypeVar("T")

_GRACE_SECONDS: Final = 8.0  # a bot has two seconds once its handlers are done; then it is killed
_LAST_LINES: Final = 12

# The bot must behave the same whatever the person who runs the demo has set for bots of his own.
_NOT_INHERITED: Final = ("QQMEDIA_", "QQ_", "QQBOT_")

logger = logging.getLogger(__name__)


class BotFailedError(BotError):
    """The bot's process ended while it was needed, or never connected; the text has the last lines of its log."""


class BotProcess:
    """A bot that runs; made by `open`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    @asynccontextmanager
    async def open(cls, file: Path, *, folder: Path, settings: Mapping[str, str], log: Path) -> AsyncIterator[Self]:
        """Start the bot in `folder`, with `settings` in its environment and what it prints in `log`.

        When the block ends, the bot is asked to end, killed if it does not, and waited for.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        environment = inherited | {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"} | dict(settings)
        output = await asyncio.to_thread(log.open, "wb")
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(file),
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )
        finally:
            output.close()
        try:
            yield cls(process, log)
        finally:
            await _end(process)

    async def while_alive(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives.

        Raises:
            BotFailedError: The bot ended before `work` did.
        """
        working = asyncio.create_task(work, name="demo: waiting for the bot")
        ended = asyncio.create_task(self._process.wait(), name="demo: watching the bot")
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return await working
        finally:
            for task in (working, ended):
                task.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)
        raise BotFailedError(f"the bot ended with exit code {self._process.returncode}; {await self.last_words()}")

    async def last_words(self) -> str:
        """Return the end of the bot's log."""
        text = await asyncio.to_thread(self._log.read_text, encoding="utf-8", errors="replace")
        lines = text.rstrip().splitlines()[-_LAST_LINES:]
        return "the end of its log:\n" + "\n".join(f"  | {line}" for line in lines) if lines else "it logged nothing"


def example_bot() -> Path:
    """Return the example bot: the file in ``examples/`` of a checkout, which a wheel has beside this module."""
    checkout = Path(__file__).parents[2] / "examples" / "demo_bot.py"
    return checkout if checkout.is_file() else Path(__file__).with_name("demo_bot.py")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()
    except TimeoutError:
        logger.warning("the bot did not end within %g s and is killed", _GRACE_SECONDS)
    finally:  # also when the demo itself is cancelled here
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
