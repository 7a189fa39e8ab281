"""Reads the bodies and queries of the control API, and says what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from bot_core.sandbox._answers import RefusedCallError

__all__ = ("ANYTHING", "FLAG", "OBJECT", "OBJECTS", "TEXT", "Field", "number", "read_fields", "read_query", "whole")


class Field(NamedTuple):
    """What a field takes: in words, and as a test."""

    what: str
    fits: Callable[[object], bool]


TEXT: Final = Field("a string", lambda value: isinstance(value, str))
FLAG: Final = Field("true or false", lambda value: isinstance(value, bool))
OBJECT: Final = Field("an object", lambda value: isinstance(value, dict))
OBJECTS: Final = Field(
    "a list of objects", lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value)
)
ANYTHING: Final = Field("anything", lambda _value: True)


def whole(least: int = 0, most: float = math.inf) -> Field:
    """Return a field that takes a whole number."""
    return Field(f"a whole number{_range(least, most)}", lambda value: type(value) is int and least <= value <= most)


def number(least: float = 0, most: float = math.inf) -> Field:
    """Return a field that takes a number; it is finite."""
    return Field(
        f"a number{_range(least, most)}",
        lambda value: type(value) in (int, float) and least <= value <= most and value < math.inf,  # type: ignore[operator]
    )


def read_fields(body: Mapping[str, Any], known: Mapping[str, Field], *, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields that are given; null is the same as nothing where that is no value of the field.

    Raises:
        RefusedCallError: One is not known, missing, or of the wrong type; the text names it.
    """
    if unknown := sorted(set(body) - set(known)):
        there_are = f"; there are {', '.join(sorted(known))}" if known else ", there are no fields"
        raise RefusedCallError(400, 0, f"unknown: {', '.join(unknown)}{there_are}")
    given = {name: value for name, value in body.items() if value is not None or known[name] is ANYTHING}
    for name in needed:
        if name not in given:
            raise RefusedCallError(400, 0, f"`{name}` is missing; it must be {known[name].what}")
    for name, value in given.items():
        if not known[name].fits(value):
            raise RefusedCallError(400, 0, f"`{name}` must be {known[name].what}, got {_shown(value)}")
    return given


def read_query(query: Mapping[str, str], known: Mapping[str, Field]) -> dict[str, Any]:
    """Return what a query says, numbers as numbers.

    Raises:
        RefusedCallError: As in `read_fields`.
    """
    return read_fields({name: _as_number(value, known.get(name)) for name, value in query.items()}, known)


def _as_number(value: str, field: Field | None) -> object:
    if field is None or field is TEXT:
        return value
    try:
        return float(value) if "." in value or "e" in value.lower() else int(value)
    except ValueError:
        return value


def _range(least: float, most: float) -> str:
    return f" from {least:g} to {most:g}" if most < math.inf else f" from {least:g} on"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."  # noqa: PLR2004 - enough to be known again
