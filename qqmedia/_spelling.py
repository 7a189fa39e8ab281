"""Finds settings that nobody would ever read: a variable or a table whose driver is misspelt."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from qqmedia._config_file import read_file
from qqmedia.errors import ConfigurationError

__all__ = ("check_main_table", "check_names", "prefix", "suggestion")

_PREFIX: Final = "QQMEDIA_"
_PARTS: Final = frozenset({"host", "silk", "image", "video"})  # sections that are no driver's
_SINGLE: Final = frozenset({"driver", "cache", "state", "config", "block", "debug"})  # variables of one part

# How alike two names are when the one is a slip of the other, which is an error. What is less alike may belong to a
# driver that is not installed here (`bos` is not a misspelt `cos`), and is a warning.
_SLIP: Final = 0.75

logger = logging.getLogger("qqmedia.settings")


def check_names(installed: Collection[str]) -> None:
    """Look for variables ``QQMEDIA_*``, and tables and keys of the file, that no installed plugin reads.

    A slip of a known name is an error. What resembles nothing may be meant for a plugin that is not installed on this
    machine; it is one line in the log. It reads the disk: call it outside the event loop.

    Args:
        installed: Names of drivers and other plugins.

    Raises:
        ConfigurationError: A name is misspelt, or stands in the wrong table.
    """
    sections = _PARTS.union(installed)
    for variable, value in sorted(os.environ.items()):
        if value and variable.upper().startswith(_PREFIX):
            _check_variable(variable, sections)
    path, content = read_file()
    tables = content.get("qqmedia", {})
    for name in sorted(content.keys() - {"qqmedia"}):
        _check_outer(path, name, sections, table=isinstance(content[name], dict))
    if isinstance(tables, dict):
        check_main_table(path, tables)
        for name in sorted(name for name, value in tables.items() if isinstance(value, dict) and name not in sections):
            _settle(f"[qqmedia.{name}] in {path}", [f"[qqmedia.{near}]" for near in _near(name, sections)])


def check_main_table(path: Path, tables: dict[str, Any]) -> None:
    """Refuse what stands directly in ``[qqmedia]``, and is not `driver`.

    Raises:
        ConfigurationError: There is such a key.
    """
    for key, value in tables.items():
        if not isinstance(value, dict) and key != "driver":
            hint = suggestion(key, ["driver"])
            raise ConfigurationError(
                f"{path}: {key!r} is not a setting of [qqmedia]{hint}; those of a driver stand in its table, such as"
                " [qqmedia.local]"
            )


def prefix(name: str) -> str:
    """Return what the variables of a driver begin with."""
    return f"{_PREFIX}{name.upper().replace('-', '_')}_"


def suggestion(given: str, names: Collection[str]) -> str:
    """Return the end of a sentence: the name that was meant, or those that there are."""
    if near := difflib.get_close_matches(given, names, n=1):
        return f"; did you mean {near[0]!r}?"
    known = ", ".join(sorted(names))
    return f"; known are: {known}" if known else ""


def _check_variable(variable: str, sections: Collection[str]) -> None:
    upper = variable.upper()
    if upper.startswith(tuple(prefix(name) for name in sections)):
        return  # its own settings are looked at when it opens
    given = upper.removeprefix(_PREFIX).lower()
    if given in _SINGLE:
        return
    near = [_PREFIX + name.upper() for name in _near(given, _SINGLE)]
    words = given.split("_")
    for name in sections:
        count = name.replace("-", "_").count("_") + 1
        rest = "_".join(words[count:])
        if rest and _near("_".join(words[:count]), [name.replace("-", "_")]):
            near.append(prefix(name) + rest.upper())
    _settle(f"environment variable {variable}", difflib.get_close_matches(upper, near, n=1) or near)


def _check_outer(path: Path, name: str, sections: Collection[str], *, table: bool) -> None:
    """Look at what stands outside of ``[qqmedia]``; other programs may have tables in a file that is shared."""
    what = f"[{name}] in {path}" if table else f"{name!r} at the top of {path}"
    near = ["[qqmedia]"] if _near(name, ["qqmedia"]) else []
    if table:
        near += [f"[qqmedia.{section}]" for section in _near(name, sections)]
    elif name == "driver":
        near.append("'driver' in [qqmedia]")
    _settle(what, near)


def _near(given: str, names: Collection[str]) -> list[str]:
    return difflib.get_close_matches(given.lower(), names, n=1, cutoff=_SLIP)


def _settle(what: str, near: list[str]) -> None:
    if near:
        raise ConfigurationError(f"{what} is read by nobody; did you mean {near[0]}?")
    logger.warning(
        "%s is read by no driver or plugin that is installed here, and ignored; settings of a driver are"
        " QQMEDIA_<DRIVER>_<SETTING>, or in [qqmedia.<driver>]", what,
    )  # fmt: skip
