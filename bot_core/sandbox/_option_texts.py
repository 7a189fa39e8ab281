"""Options as texts, ``NAME=VALUE``: how the command line sets any of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TypeAlias, TypeVar

from bot_core.sandbox._options import SandboxOptions
from qqmedia import ConfigurationError

__all__ = ("with_texts",)

_Options = TypeVar("_Options")

_FLAGS = {"true": True, "false": False}
_LISTS: Mapping[str, tuple[int | str, ...]] = {"tuple[str, ...]": ("",), "tuple[int, ...]": (0,)}

# A value that tells by its type what an option takes.
_Like: TypeAlias = bool | float | str | tuple[int | str, ...]


def with_texts(options: SandboxOptions, texts: Iterable[str]) -> SandboxOptions:
    """Return the options with others in their place: ``max_concurrency=2``, ``chunks.busy_finishes=1``.

    Raises:
        ConfigurationError: There is no such option, or it does not take that.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"options are like session_start_total=3, got {text!r}")
        known = dict(_settable(options))  # with what each takes
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"do you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise ConfigurationError(f"the sandbox has no option {name!r}; {hint}")
        options = _replaced(options, name, _read(name, value, known[name]))
    return options


def _settable(options: object, before: str = "") -> Iterator[tuple[str, _Like]]:
    """Give the options that a text can say, and what each takes; those of a group carry its name before a dot."""
    for one in fields(options):  # type: ignore[arg-type]
        value = getattr(options, one.name)
        if is_dataclass(value):
            yield from _settable(value, f"{before}{one.name}.")
        elif isinstance(value, (bool, int, float, str)):
            # A whole number may be the default of an option that takes others too.
            yield before + one.name, 1.0 if one.type == "float" else value
        elif one.type in _LISTS:
            yield before + one.name, _LISTS[str(one.type)]


def _read(name: str, text: str, like: _Like) -> object:
    """Return the text as a value like another one; several are parted by commas."""
    if isinstance(like, tuple):
        return tuple(_read(name, part.strip(), like[0]) for part in text.split(",") if part.strip())
    if isinstance(like, bool):
        if text.lower() not in _FLAGS:
            raise ConfigurationError(f"{name} is true or false, got {text!r}")
        return _FLAGS[text.lower()]
    if isinstance(like, str):
        return text
    try:
        return int(text) if isinstance(like, int) else float(text)
    except ValueError:
        kind = "whole number" if isinstance(like, int) else "number"
        raise ConfigurationError(f"{name} takes a {kind}, got {text!r}") from None


def _replaced(options: _Options, name: str, value: object) -> _Options:
    first, dot, rest = name.partition(".")
    return replace(options, **{first: _replaced(getattr(options, first), rest, value) if dot else value})  # type: ignore[type-var]
