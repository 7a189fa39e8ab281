"""Reads ``qqmedia.toml``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Final

from qqmedia.errors import ConfigurationError

__all__ = ("DEFAULT_FILE", "read_file", "read_tables")

DEFAULT_FILE: Final = "qqmedia.toml"


def read_tables() -> tuple[Path, dict[str, Any]]:
    """Return where the file is, and what stands in its table ``[qqmedia]``.

    Raises:
        ConfigurationError: The file is wrong.
    """
    path, content = read_file()
    tables = content.get("qqmedia", {})
    if not isinstance(tables, dict):
        raise ConfigurationError(f"{path}: qqmedia must be a table, such as [qqmedia.local]")
    return path, tables


def read_file() -> tuple[Path, dict[str, Any]]:
    """Return where the file is, and all that is in it; nothing, where there is none and nobody named one.

    Raises:
        ConfigurationError: It cannot be read, or is no TOML.
    """
    asked_for = os.environ.get("QQMEDIA_CONFIG")
    path = Path(asked_for or DEFAULT_FILE)
    try:
        return path, tomllib.loads(path.read_text("utf-8-sig"))  # Notepad and PowerShell put a mark before the text
    except FileNotFoundError:
        if not asked_for:
            return path, {}
        raise ConfigurationError(f"QQMEDIA_CONFIG names {path}, which does not exist") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not in UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    except ValueError as error:  # the text says line and column
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
