"""Opens a host: everything about plugins, selection and settings is decided here, before the first medium."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qqmedia._context import Clock, HostContext, Resources
from qqmedia._keys import load_secret, state_folder
from qqmedia._policy import HostPolicy
from qqmedia._prepare import Preparer
from qqmedia._publish import Publisher
from qqmedia._puts import OpenDriver
from qqmedia._sources import Limits, Loaded
from qqmedia._transforms import BuiltIn, Transforms
from qqmedia.driver import Driver, DriverSpec, SupportsCheck
from qqmedia.errors import (
    ConfigurationError,
    DriverBrokenError,
    QQMediaError,
    StorageError,
    StorageUnavailableError,
)
from qqmedia.media import Workspace
from qqmedia.plugins import Discovery, FoundDriver, Plugins, discover
from qqmedia.settings import check_names, chosen_driver, load_options, load_settings

if TYPE_CHECKING:
    import aiohttp
    from pydantic import BaseModel

    from qqmedia._fetch import Downloader, NameResolver

__all__ = ("Parts", "Request", "open_parts")

_DEFAULT_DRIVER: Final = "local"

logger = logging.getLogger("qqmedia.host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked for; the arguments of `qqmedia.open_host`."""

    driver: str | Sequence[str] | None
    policy: HostPolicy | None
    check: bool
    platform_on_loopback: bool
    http: aiohttp.ClientSession | None
    state_dir: str | os.PathLike[str] | None
    plugins: Sequence[object]
    settings: Mapping[str, Any]
    clock: Clock
    resolver: NameResolver | None

    def __post_init__(self) -> None:
        expected: dict[str, tuple[bool, str]] = {
            "policy": (isinstance(self.policy, HostPolicy), "HostPolicy(...)"),
            "http": (hasattr(self.http, "request"), "an aiohttp.ClientSession"),
            "state_dir": (isinstance(self.state_dir, (str, os.PathLike)), "a path"),
        }
        for name, (good, what) in expected.items():
            if getattr(self, name) is not None and not good:
                raise ConfigurationError(f"{name} must be {what}, got {getattr(self, name)!r:.80}")
        if any(isinstance(plugin, str) for plugin in self.plugins):
            raise ConfigurationError(f"plugins are objects with hooks, not their names; got {self.plugins!r:.80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """An open host's parts."""

    names: tuple[str, ...]
    resources: Resources
    preparer: Preparer
    publisher: Publisher


@dataclass(frozen=True, slots=True)
class _Choice:
    """A driver that was chosen: `cos`, or `cos:backup` with a table of settings of its own."""

    label: str
    name: str
    section: str | None


@dataclass(frozen=True, slots=True)
class _Chosen:
    choice: _Choice
    found: FoundDriver
    spec: DriverSpec
    settings: BaseModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Everything that is read from the disk."""

    policy: HostPolicy
    built_in: BuiltIn
    state_dir: Path
    secret: bytes
    chosen: Sequence[_Chosen]
    plugins: Plugins


async def open_parts(request: Request, stack: AsyncExitStack) -> Parts:
    """Open what was asked for; `stack` closes it, in the reverse order.

    Raises:
        ConfigurationError: A setting or the selection is wrong.
        DriverError: A driver cannot be used.
        StorageError: A driver's check says that it will not work.
    """
    resources = Resources(clock=request.clock, http=request.http)
    stack.push_async_callback(resources.aclose)
    plan: _Plan = await resources.in_thread(_plan, request, resources)
    stack.push_async_callback(plan.built_in.aclose)
    downloads = _Downloads(request, plan.policy, resources)
    stack.push_async_callback(downloads.aclose)
    preparer = Preparer(
        policy=plan.policy, secret=plan.secret, plugins=plan.plugins,
        transforms=Transforms(plan.plugins.transforms()), in_thread=resources.in_thread, fetch=downloads.fetch,
    )  # fmt: skip
    drivers = await _open_drivers(request, plan, resources, stack)
    publisher = Publisher(
        drivers, plan.plugins, clock=request.clock, platform_on_loopback=request.platform_on_loopback,
        reprepare=preparer.with_bytes, in_thread=resources.in_thread,
    )  # fmt: skip
    stack.push_async_callback(publisher.aclose)
    names = tuple(driver.name for driver in drivers)
    return Parts(names=names, resources=resources, preparer=preparer, publisher=publisher)


def _plan(request: Request, resources: Resources) -> _Plan:
    choices = _choices(request.driver)
    keywords = _keywords(request.settings, choices)
    discovery = discover().with_plugins(request.plugins)
    names = {choice.name for choice in choices}
    found = {name: discovery.driver(name) for name in names}
    discovery.warn_about_broken_plugins(chosen=names)
    check_names(discovery.names)
    state_dir = state_folder(request.state_dir)
    built_in = BuiltIn(resources.in_thread)
    return _Plan(
        policy=request.policy or load_options(HostPolicy, "host"),
        built_in=built_in,
        state_dir=state_dir,
        secret=load_secret(state_dir),
        chosen=[_settle(choice, found[choice.name], discovery, keywords.get(choice.label, {})) for choice in choices],
        plugins=Plugins([("(built in)", built_in), *_members(discovery, found.values())]),
    )


def _keywords(given: Mapping[str, Any], choices: Sequence[_Choice]) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings that were given as keywords, by the driver's label."""
    labels = [choice.label for choice in choices]
    if len(labels) == 1:
        return {labels[0]: given}
    if all(label in labels and isinstance(settings, Mapping) for label, settings in given.items()):
        return given
    raise ConfigurationError(
        f"settings ({', '.join(sorted(given))}) cannot be given as keywords to more than one driver"
        f" ({', '.join(labels)}); give each driver its own, {labels[0]}={{...}}, or use QQMEDIA_<DRIVER>_<SETTING> or"
        " qqmedia.toml"
    )


def _choices(driver: str | Sequence[str] | None) -> list[_Choice]:
    if driver is None:
        driver = chosen_driver() or _DEFAULT_DRIVER
    given: Any = driver.split(",") if isinstance(driver, str) else driver
    given = list(given) if isinstance(given, Sequence) else [given]
    labels = [label.strip() for label in given if isinstance(label, str) and label.strip()]
    if not labels or len(labels) < len(given):
        raise ConfigurationError(f'driver must be a name like "local", or a list of names; got {driver!r:.80}')
    choices = []
    for label in labels:
        name, colon, section = label.partition(":")
        if colon and not section:
            raise ConfigurationError(f"driver {label!r} names no section; write {name!r}, or '{name}:section'")
        choices.append(_Choice(label, name, section or None))
    if len({choice.label for choice in choices}) < len(choices):
        raise ConfigurationError(f"driver names a driver twice: {', '.join(choice.label for choice in choices)}")
    return choices


def _members(discovery: Discovery, chosen: Iterable[FoundDriver]) -> list[tuple[str, object]]:
    """Return who takes part: plugins without a driver, and those whose driver was chosen."""
    others = [(one.name, one.plugin) for one in discovery.plugins if one.error is None]
    return others + [(one.name, one.plugin) for one in chosen]


def _settle(choice: _Choice, found: FoundDriver, discovery: Discovery, keywords: Mapping[str, Any]) -> _Chosen:
    spec = found.spec
    if spec is None:  # `Discovery.driver` returns only what is ready
        raise DriverBrokenError(f"driver {choice.name!r} has no spec")
    others = [driver.name for driver in discovery.drivers]
    model = _settings_model(found, spec)
    settings = load_settings(model, choice.name, keywords, choice.section, other_names=others)
    return _Chosen(choice, found, spec, settings if spec.settings is not None else None)


def _settings_model(found: FoundDriver, spec: DriverSpec) -> type[BaseModel]:
    from pydantic import BaseModel, create_model  # noqa: PLC0415 - only when a host opens

    if spec.settings is None:
        return create_model("no settings")
    try:
        model: Any = spec.settings if isinstance(spec.settings, type) else spec.settings()
    except ModuleNotFoundError as error:
        raise found.unavailable(f"it needs {error.name}, not installed") from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DriverBrokenError(f"driver {found.name!r} gives {model!r:.80} as its settings; expected a pydantic model")
    chosen: type[BaseModel] = model
    return chosen


async def _open_drivers(request: Request, plan: _Plan, resources: Resources, stack: AsyncExitStack) -> list[OpenDriver]:
    slots = asyncio.Semaphore(plan.policy.concurrency)
    drivers: list[tuple[str, Driver]] = []
    for chosen in plan.chosen:
        context = HostContext(
            name=chosen.choice.label, state_dir=plan.state_dir, platform_on_loopback=request.platform_on_loopback,
            put_timeout=plan.policy.put_timeout, resources=resources,
        )  # fmt: skip
        driver = await _open_driver(chosen, context, plan.policy, stack)
        if request.check and isinstance(driver, SupportsCheck):
            await _check(chosen.choice, driver, plan.policy)
        drivers.append((chosen.choice.label, driver))
    for label, driver in reversed(drivers):  # whoever is added last is asked first
        plan.plugins.add_driver(label, driver)
    return [OpenDriver(label, driver, plan.policy, slots) for label, driver in drivers]


async def _open_driver(chosen: _Chosen, context: HostContext, policy: HostPolicy, stack: AsyncExitStack) -> Driver:
    label, found = chosen.choice.label, chosen.found
    try:
        async with asyncio.timeout(policy.put_timeout):
            driver = await stack.enter_async_context(chosen.spec.open(chosen.settings, context))
    except QQMediaError:
        raise
    except TimeoutError as error:
        raise StorageUnavailableError(
            f"driver {label!r} did not open within {policy.put_timeout:g} s; raise put_timeout"
            " (QQMEDIA_HOST_PUT_TIMEOUT) if the line is slow"
        ) from error
    except ModuleNotFoundError as error:
        raise found.unavailable(f"it needs {error.name}, not installed") from error
    except Exception as error:
        raise DriverBrokenError(
            f"driver {label!r} of {found.distribution} {found.version} does not open: {type(error).__name__}: {error}"
        ) from error
    if not callable(getattr(driver, "put", None)):
        raise DriverBrokenError(f"driver {label!r} of {found.distribution} {found.version} has no method put")
    return driver


async def _check(choice: _Choice, driver: SupportsCheck, policy: HostPolicy) -> None:
    try:
        async with asyncio.timeout(policy.put_timeout):
            await driver.check()
    except TimeoutError:
        logger.warning("driver %r did not answer its check within %g s; it may later", choice.label, policy.put_timeout)
    except StorageError as error:
        if not error.may_pass:
            raise
        logger.warning("driver %r cannot be checked now, and may work later: %s", choice.label, error)


class _Downloads:
    """Loads the HTTP client when the first URL comes."""

    def __init__(self, request: Request, policy: HostPolicy, resources: Resources) -> None:
        self._request = request
        self._policy = policy
        self._resources = resources
        self._downloader: Downloader | None = None

    async def fetch(self, url: str, limits: Limits, workspace: Workspace) -> Loaded:
        """Download what stands at the URL."""
        if self._downloader is None:
            module = await self._resources.in_thread(importlib.import_module, "qqmedia._fetch")
            if self._downloader is None:  # nobody was faster meanwhile
                self._downloader = module.Downloader(
                    policy=self._policy, platform_on_loopback=self._request.platform_on_loopback,
                    resolver=self._request.resolver, in_thread=self._resources.in_thread,
                )  # fmt: skip
        return await self._downloader.fetch(url, limits, workspace)

    async def aclose(self) -> None:
        """Close the session, if there is one."""
        if self._downloader is not None:
            await self._downloader.aclose()
