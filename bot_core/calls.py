"""Calls a stranger's function, and names it in the log."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

__all__ = ("author_line", "call", "describe", "describe_error", "describe_place")

_OURS: Final = frozenset({"bot_core", "qqmedia", "qqmedia_drivers"})


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


def author_line(error: BaseException) -> str:
    """Return where the function that was called left its author's code, as `` (bot.py:12)``; nothing if it did not."""
    called, found, frames = False, "", error.__traceback__
    while frames is not None:
        frame = frames.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
            if found:
                break
            called = called or frame.f_code is call.__code__
        elif called:
            found = f" ({frame.f_code.co_filename}:{frames.tb_lineno})"
        frames = frames.tb_next
    return found


def describe_error(error: BaseException) -> str:
    """Return class and text of an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
