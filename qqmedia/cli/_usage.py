"""What was wrong with a command's arguments, in one line."""

from __future__ import annotations

import difflib
from typing import Any, Final

import typer

__all__ = ("usage_line",)

# The root of what a parser raises. Releases of typer differ in where it is defined, not in what it derives from it.
_USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
_EVERYWHERE: Final = ("--debug", "--help")  # options that every command takes


def usage_line(error: Exception, words: list[str]) -> str | None:
    """Return the line for what typer found wrong in `words`, or `None` where it is not typer that raised it.

    It is empty where typer has shown the help already, as no argument was given.
    """
    if isinstance(error, typer.Abort):
        return "aborted"
    if not isinstance(error, _USAGE_ERROR):
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return ""
    text = " ".join(_text(error).split()).removesuffix(".")
    return f"{text}{'' if text.endswith('?') else '.'} See `{_command(error, words)} --help`."


def _text(error: Any) -> str:
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        there = [name for param in error.ctx.command.params for name in (*param.opts, *param.secondary_opts)]
        near = difflib.get_close_matches(option, [*there, *_EVERYWHERE], n=1)
        return f"No such option {option!r}." + (f" Did you mean {near[0]!r}?" if near else "")
    text: str = error.format_message().replace("Value error, ", "")
    if (details := getattr(error.__cause__, "errors", None)) is not None:  # of pydantic, which names no value
        given = str(details()[0]["input"])
        text += "" if repr(given) in text else f"; got {given!r}"
    return text


def _command(error: Any, words: list[str]) -> str:
    """Return the command whose help tells more; a parser that fails early does not know."""
    if error.ctx is not None:
        path: str = error.ctx.command_path
        return path
    return " ".join(word for word in words[:2] if not word.startswith("-"))
