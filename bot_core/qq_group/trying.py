"""Repeats calls of an upload where that can help, and keeps count of them.

An upload sends nothing to people, so each of its calls may be repeated, whether it was carried out or not.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from bot_core.errors import OpenAPIError
from bot_core.openapi.codes import CodeKind, kind_of

__all__ = ("Sleep", "Trail", "may_pass", "repeat")

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_MAY_PASS: Final = frozenset({CodeKind.RETRY_NOW, CodeKind.RETRY_LATER, CodeKind.RATE})

T = TypeVar("T")
logger = logging.getLogger("bot_core.qq_group")


@dataclass(slots=True)
class Trail:
    """What it took to get one medium to the platform.

    Attributes:
        tries: How many calls.
        trace_ids: The platform's ids of those calls, as far as it told them.
    """

    tries: int = 0
    trace_ids: list[str] = field(default_factory=list)

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do one call, and note it."""
        self.tries += 1
        try:
            result = await call()
        except OpenAPIError as error:
            self.note(error.trace_id)
            raise
        self.note(getattr(result, "trace_id", None))
        return result

    def note(self, trace_id: str | None) -> None:
        """Note the platform's id of a call."""
        if trace_id and trace_id not in self.trace_ids:
            self.trace_ids.append(trace_id)


def may_pass(error: OpenAPIError) -> bool:
    """Return whether the same call may succeed a moment later."""
    return kind_of(error) in _MAY_PASS


async def repeat(
    call: Callable[[], Awaitable[T]],
    *,
    retries: int,
    wait: float,
    may_help: Callable[[OpenAPIError], bool] = may_pass,
    sleep: Sleep = asyncio.sleep,
) -> T:
    """Do a call, and again up to `retries` times: after `wait` seconds, twice that, and so on, less a random quarter.

    Where the platform says when to come again, not sooner.

    Raises:
        OpenAPIError: The last one, or the first that does not pass.
    """
    for number in range(retries):
        try:
            return await call()
        except OpenAPIError as error:
            if not may_help(error):
                raise
            logger.info("trying again (%d of %d): %s", number + 1, retries, error)
            asked = error.retry_after or 0.0
        pause = wait * 2**number * random.uniform(0.75, 1)  # noqa: S311 - so that many do not come at once
        await sleep(max(pause, asked))
    return await call()
