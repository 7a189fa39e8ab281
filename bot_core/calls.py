"""Calls a stranger's function, and names it in the log."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ("call", "describe", "describe_error", "describe_place")


async def call(function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a handler and await what it returns, if that can be awaited: a plain function serves too."""
    result = function(*arguments)
    return await result if hasattr(type(result), "__await__") else result


def describe(function: Callable[..., Any]) -> str:
    """Return a name under which the author finds the function again."""
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module and module != "__main__" else str(name)


def describe_place(function: Callable[..., Any]) -> str:
    """Return where the function stands, as `` (bot.py:12)``; nothing, where that is not known."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""


def describe_error(error: BaseException) -> str:
    """Return class and text of an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
