"""What the public face says about types can be read by a program too."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from types import FunctionType

import pytest

import bot_core
import qqmedia

# Beside what `bot_core` itself exports: what its names give back, raise, and take.
BEHIND = ("adapter", "errors", "openapi.client", "sandbox", "testing", "waits", "webhook")
FOREIGN = {"DriverMachine": "its base, a class of Hypothesis, names what Hypothesis imports for type checkers alone"}


def _modules() -> list[str]:
    names = [found.name for found in pkgutil.walk_packages(qqmedia.__path__, "qqmedia.")]
    public = [name for name in names if not any(part.startswith("_") for part in name.split("."))]
    return ["qqmedia", *public, "bot_core", *(f"bot_core.{name}" for name in BEHIND)]


def _annotated(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield `value`, and where it is a class its public methods, each with its name."""
    if isinstance(value, FunctionType):
        yield name, value
    elif inspect.isclass(value):
        if name not in FOREIGN:
            yield name, value
        for part in dir(value):
            if part.startswith("_") and part not in ("__init__", "__call__"):
                continue
            found = inspect.getattr_static(value, part)
            found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            if isinstance(found, FunctionType) and found.__module__.partition(".")[0] in ("qqmedia", "bot_core"):
                yield f"{name}.{part}", found


@pytest.mark.parametrize("module", _modules())
def test_every_hint_of_a_public_name_can_be_resolved(module: str) -> None:
    found = importlib.import_module(module)
    failed = {}
    for public in found.__all__:
        for name, value in _annotated(public, getattr(found, public)):
            try:
                typing.get_type_hints(value)
            except Exception as error:  # noqa: BLE001 - all of them are listed
                failed[name] = str(error)
    assert failed == {}


def test_what_is_slow_to_load_is_loaded_for_a_hint_and_not_before() -> None:
    program = (
        "import sys, typing, qqmedia\n"
        "print('aiohttp' in sys.modules, 'pydantic' in sys.modules)\n"
        "print(typing.get_type_hints(qqmedia.open_host)['http'])\n"
        "print(typing.get_type_hints(qqmedia.DriverSpec)['settings'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    before, http, settings = done.stdout.splitlines()
    assert before == "False False"
    assert http == "aiohttp.client.ClientSession | None"
    assert "pydantic.main.BaseModel" in settings


def test_the_hints_of_a_handlers_message_are_the_classes_of_the_public_face() -> None:
    hints = typing.get_type_hints(bot_core.Message.wait)
    assert hints["reply"] == bot_core.Chain | str | None
    assert hints["return"] == bot_core.Message | None
    assert typing.get_type_hints(bot_core.Chain.__init__)["data"] == bot_core.Message | None
