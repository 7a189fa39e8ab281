"""What every plugin must keep to, and how one is tried without harm to the others."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any, Final

import pluggy

from qqmedia import hookspecs
from qqmedia.driver import DriverSpec
from qqmedia.errors import DriverBrokenError

__all__ = ("ANSWERS", "CONTRACT_VERSION", "check_name", "check_plugin", "new_manager")

CONTRACT_VERSION: Final = 1  # of `qqmedia.driver`; a spec may ask for this one or an older one
ANSWERS: Final = ("get_image", "get_voice", "get_video")  # the only hooks that may be coroutine functions

# Variables and tables `QQMEDIA_<NAME>_*` with a meaning of their own.
_RESERVED_NAMES: Final = frozenset(
    {"host", "silk", "image", "video", "driver", "cache", "state", "config", "block", "debug"}
)
# A name becomes a part of environment variables and a key of TOML.
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows our hooks and no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    return manager


def check_plugin(plugin: object, name: str, names: Sequence[str] | None = None) -> list[DriverSpec]:
    """Try the plugin in a manager of its own, and return its drivers.

    Args:
        plugin: The object behind an entry point.
        name: For pluggy's messages.
        names: What its drivers may be called; `None` for anything.

    Raises:
        DriverBrokenError: It breaks the contract of `qqmedia.hookspecs` or `qqmedia.driver`.
    """
    manager = new_manager()
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise DriverBrokenError(f"it has a hook that does not exist or has other arguments: {error}") from error
    callers = {caller.name: caller for caller in manager.get_hookcallers(plugin) or ()}
    _check_marks(plugin, callers)
    for caller in callers.values():
        for implementation in caller.get_hookimpls():
            _check_implementation(caller.name, implementation)
    answers = manager.hook.qqmedia_register_drivers()
    if not answers and "qqmedia_register_drivers" in callers:  # pluggy leaves `None` out
        raise DriverBrokenError("qqmedia_register_drivers returned None; expected DriverSpec: is a `return` missing?")
    specs: list[DriverSpec] = []
    for answer in answers:
        specs += [answer] if isinstance(answer, DriverSpec) else list(answer)
    for spec in specs:
        _check_spec(spec, names)
    return specs


def _check_marks(plugin: object, called: Collection[str]) -> None:
    for hook in vars(hookspecs):
        if hook.startswith("qqmedia_") and hook not in called and callable(getattr(plugin, hook, None)):
            raise DriverBrokenError(f"{hook} is not marked with @qqmedia.hookimpl, and so nobody calls it")


def _check_implementation(hook: str, implementation: pluggy.HookImpl) -> None:
    if hook not in ANSWERS and _is_async(implementation.function):
        raise DriverBrokenError(f"{hook} is a coroutine function; only {', '.join(ANSWERS)} may be one")
    if implementation.kwargnames:
        given = ", ".join(implementation.kwargnames)
        raise DriverBrokenError(f"arguments of {hook} must have no defaults: {given}")


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def check_name(name: str) -> None:
    """Refuse a name that no driver may have.

    Raises:
        DriverBrokenError: It says which names are allowed.
    """
    if name in _RESERVED_NAMES or not _NAME.fullmatch(name):
        raise DriverBrokenError(
            f"a driver cannot be called {name!r}: names match {_NAME.pattern} and are not one of"
            f" {', '.join(sorted(_RESERVED_NAMES))}"
        )


def _check_spec(spec: object, names: Sequence[str] | None) -> None:
    if not isinstance(spec, DriverSpec):
        raise DriverBrokenError(f"qqmedia_register_drivers returned {spec!r:.80}; expected DriverSpec")
    check_name(spec.name)
    if names is not None and spec.name not in names:
        raise DriverBrokenError(f"its driver is called {spec.name!r}, its entry point {' and '.join(names)!r}")
    _check_values(spec)
    if spec.contract > CONTRACT_VERSION:
        ours = importlib.metadata.version("qqmedia")
        raise DriverBrokenError(
            f"it is written for driver contract {spec.contract}, qqmedia {ours} has {CONTRACT_VERSION}; upgrade qqmedia"
        )


def _check_values(spec: Any) -> None:
    """Look at what a type checker would have seen."""
    if not callable(spec.open):
        raise DriverBrokenError(f"open of its driver is {spec.open!r:.80}; expected an async context manager function")
    if not isinstance(spec.contract, int) or spec.contract < 1:
        raise DriverBrokenError(f"contract of its driver is {spec.contract!r:.80}; expected a whole number from 1")
    if isinstance(spec.requires, str):
        raise DriverBrokenError(f"requires of its driver is {spec.requires!r}; expected a tuple of import names")
    if isinstance(spec.settings, ModuleType):
        raise DriverBrokenError(
            f"settings of its driver is the module {spec.settings.__name__}, since that was imported: give the function"
            " that loads them another name than the module has"
        )
    if spec.settings is not None and not callable(spec.settings):
        raise DriverBrokenError(
            f"settings of its driver is {spec.settings!r:.80}; expected a pydantic model, or a function that returns it"
        )
