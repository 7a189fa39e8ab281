"""What importing costs, and that every public module says what is public."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import qqmedia

HEAVY = ("aiohttp", "pydantic_settings", "pydantic", "pytest", "boto3", "qcloud_cos", "oss2", "stamina", "PIL", "av")
LOADED = f"import sys, {{}}; print([name for name in {HEAVY} if name in sys.modules])"


def _public_modules() -> list[str]:
    names = [found.name for found in pkgutil.walk_packages(qqmedia.__path__, "qqmedia.")]
    return ["qqmedia", *(name for name in names if not any(part.startswith("_") for part in name.split(".")))]


@pytest.mark.parametrize("module", ["qqmedia", "qqmedia.plugins", "qqmedia.sniff", "qqmedia.settings", "qqmedia.host"])
def test_importing_loads_no_client_no_sdk_and_no_settings_library(module: str) -> None:
    command = [sys.executable, "-c", LOADED.format(module)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_discovery_loads_none_of_them_for_our_own_drivers() -> None:
    program = LOADED.format("qqmedia.plugins; found = qqmedia.plugins.discover()")
    program += "; print(sorted(driver.name for driver in found.drivers if driver.status == 'ready'))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded, names = done.stdout.splitlines()
    assert loaded == "[]"
    assert {"'direct'", "'local'"} <= set(names.strip("[]").split(", "))


@pytest.mark.parametrize("name", _public_modules())
def test_all_is_a_sorted_tuple_of_what_is_there(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    public = module.__all__
    assert isinstance(public, tuple)
    assert list(public) == sorted(public, key=lambda one: (not one.isupper(), not one[0].isupper(), one))
    assert [one for one in public if not hasattr(module, one)] == []


@pytest.mark.parametrize("name", _public_modules())
def test_all_is_complete(name: str) -> None:
    """Nothing that a public module defines under a public name is left out, hooks and constants aside."""
    module = importlib.import_module(name)
    defined = {
        one
        for one, value in vars(module).items()
        if not one.startswith("_") and callable(value) and getattr(value, "__module__", None) == name
        if not hasattr(value, "qqmedia_spec")
    }
    assert defined - set(module.__all__) == set()
