"""``qqmedia new-driver``: writes a distribution with a driver of one's own, whose tests pass at once."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from qqmedia._contract import check_name
from qqmedia.errors import ConfigurationError, DriverBrokenError
from qqmedia.plugins import discover

__all__ = ("new_driver",)

_PREFIX: Final = "qqmedia-"  # of the distribution's name
# Template in this package -> file of the new distribution.
_FILES: Final = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "__init__.py.txt": "src/@MODULE@/__init__.py",
    "_driver.py.txt": "src/@MODULE@/_driver.py",
    "_settings.py.txt": "src/@MODULE@/_settings.py",
    "store.py.txt": "tests/store.py",
    "test_driver.py.txt": "tests/test_driver.py",
}
_NEXT: Final = """{folder}: a driver {name!r} that stores by HTTP PUT. Now:

    cd {folder}
    pip install -e ".[test]"
    pytest

and make it yours: `python -m pydoc qqmedia.driver` shows what a driver has to do, and in the source of
qqmedia docs/write-a-driver.md leads through it"""


def new_driver(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the driver, as bots will write it: webdav, my-cdn.")],
    *,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder that does not exist yet; else qqmedia-NAME here.")
    ] = None,
) -> None:
    """Write a distribution with a driver of your own; its tests pass at once.

    It stores by HTTP PUT. Replace that by what your service speaks, and run the tests until they pass again.
    """
    _refuse_name(name)
    folder = into or Path(_PREFIX + name)
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already; remove it, or name another folder with --into")
    words = {
        "NAME": name,
        "MODULE": _module(name),
        "CLASS": "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_]", name)),
        "ENV": name.upper().replace("-", "_"),
        "VERSION": importlib.metadata.version("qqmedia"),
    }
    for template, target in _FILES.items():
        path = folder / _filled(target, words)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = files("qqmedia.cli").joinpath("_skeleton", template).read_text("utf-8")
        path.write_text(_filled(text, words), "utf-8", newline="\n")
    typer.echo(_NEXT.format(folder=folder, name=name))


def _module(name: str) -> str:
    return f"qqmedia_{name.replace('-', '_')}"


def _refuse_name(name: str) -> None:
    try:
        check_name(name)
    except DriverBrokenError as error:
        raise ConfigurationError(str(error)) from error
    if name.startswith(_PREFIX):
        raise ConfigurationError(
            f"NAME is what bots will write, without the {_PREFIX!r} of its distribution: {name.removeprefix(_PREFIX)}"
        )
    if not name[-1].isalnum():
        raise ConfigurationError(f"a distribution cannot be called {_PREFIX + name}: end NAME with a letter or digit")
    for driver in discover().drivers:
        if driver.name == name:
            raise ConfigurationError(
                f"there is a driver {name!r} already, of {driver.distribution} {driver.version}; choose another name"
            )
    if importlib.util.find_spec(_module(name)) is not None:
        raise ConfigurationError(f"there is a package {_module(name)} already; choose another name than {name!r}")


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: words[match[1]], text)
