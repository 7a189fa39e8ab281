"""Finds plugins one entry point at a time, and gives each hook a typed face.

A broken plugin, or two of one name, never stop the others: they are remembered, shown by ``qqmedia drivers``, and
raised when somebody asks for them. There is no global plugin manager: a `Plugins` belongs to the host that made it,
and it is the only place that touches ``pm.hook``.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import itertools
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final, Literal, TypeAlias

import pluggy

from qqmedia import hookspecs
from qqmedia._contract import ANSWERS, CONTRACT_VERSION, check_plugin, new_manager
from qqmedia.chain_builder import ChainBuilder
from qqmedia.driver import Driver, DriverSpec, Transform
from qqmedia.errors import DriverBrokenError, DriverNotFoundError, DriverUnavailableError, DuplicateDriverError
from qqmedia.media import HostedMedia, MediaKind, Upload

__all__ = (
    "CONTRACT_VERSION",
    "Answerer",
    "Discovery",
    "FoundDriver",
    "FoundPlugin",
    "Plugins",
    "discover",
)

ENTRY_POINT_GROUP: Final = "qqmedia"
_OUR_EXTRAS: Final = frozenset({"cos", "oss", "s3"})
_OF_THE_PROGRAM: Final = "(this program)"  # in the place of a distribution
_NEAR: Final = 0.5  # how alike a name is that was meant: one letter of two, for names are as short as `s3`
_ASKED_FOR: Final = {MediaKind.IMAGE: "get_image", MediaKind.VOICE: "get_voice", MediaKind.VIDEO: "get_video"}

logger = logging.getLogger("qqmedia.plugins")

DriverStatus: TypeAlias = Literal["ready", "missing", "broken", "duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDriver:
    """One driver that an installed distribution brings, usable or not.

    Attributes:
        name: Name of its entry point.
        distribution: Which distribution brings it.
        version: Of that distribution.
        status: ``ready``; ``missing``: a package that it needs is not installed; ``broken``: it does not load or
            breaks the contract; ``duplicate``: another distribution brings the same name.
        reason: Why it is not ready and what to do, one sentence; empty when it is.
        spec: How to open it; `None` when broken or a duplicate.
        error: What its plugin raised, when broken.
        plugin: The object behind the entry point, where there is one.
    """

    name: str
    distribution: str
    version: str
    status: DriverStatus
    reason: str = ""
    spec: DriverSpec | None = None
    error: BaseException | None = field(default=None, repr=False)
    plugin: object = field(default=None, repr=False)

    @property
    def requirement(self) -> str:
        """What pip is to install for the packages that it needs: the extra of its own distribution."""
        if self.spec is None or self.spec.extra is None or self.distribution == _OF_THE_PROGRAM:
            return ""
        return f"{self.distribution}[{self.spec.extra}]"

    def unavailable(self, reason: str) -> DriverUnavailableError:
        """Return the error for one that lacks something."""
        extra = self.spec.extra if self.spec else None
        return DriverUnavailableError(self.name, extra=extra, reason=reason, requirement=self.requirement)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPlugin:
    """A plugin without a driver, or one that did not load, so that nobody knows what it would have brought.

    Attributes:
        name: Name of its entry point.
        distribution: Which distribution brings it.
        version: Of that distribution.
        plugin: The object behind the entry point; `None` when it did not load.
        error: Why it takes no part, or `None`.
    """

    name: str
    distribution: str
    version: str
    plugin: object = field(default=None, repr=False)
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Everything that is installed in the entry point group ``qqmedia``.

    Attributes:
        drivers: All drivers, sorted by name. A plugin that does not load is here too, as ``broken``.
        plugins: All plugins without a driver, sorted by name; those that do not load as well.
        blocked: Names that ``QQMEDIA_BLOCK`` kept out.
    """

    drivers: Sequence[FoundDriver]
    plugins: Sequence[FoundPlugin]
    blocked: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All names of drivers and plugins, usable or not, kept out or not."""
        return self.blocked.union((one.name for one in self.drivers), (one.name for one in self.plugins))

    def driver(self, name: str) -> FoundDriver:
        """Return the driver of this name, with its `spec`.

        Raises:
            DriverNotFoundError: None is installed, or the plugin of this name brings none; names those that are, the
                nearest, and our extra if it is ours.
            DriverUnavailableError: A package that it needs is not installed.
            DriverBrokenError: Its plugin does not load or breaks the contract; `from` the plugin's own error.
            DuplicateDriverError: Two distributions bring it.
        """
        found = [driver for driver in self.drivers if driver.name == name]
        if not found:
            self._refuse_plugin(name)
            raise self._not_found(name)
        first = found[0]
        match first.status:
            case "duplicate":
                both = " and ".join(sorted(f"{one.distribution} {one.version}" for one in found))
                raise DuplicateDriverError(f"driver {name!r} is brought by {both}; uninstall one of them")
            case "broken":
                raise DriverBrokenError(
                    f"driver {name!r} of {first.distribution} {first.version} is broken: {first.reason}"
                ) from first.error
            case "missing":
                raise first.unavailable(first.reason.partition("; run: ")[0])
            case "ready":
                return first

    def _refuse_plugin(self, name: str) -> None:
        for plugin in self.plugins:
            if plugin.name == name:
                whose = f"plugin {name!r} of {plugin.distribution} {plugin.version}"
                if plugin.error is not None:
                    raise DriverBrokenError(f"{whose} is broken: {_say(plugin.error)}") from plugin.error
                raise DriverNotFoundError(f"{whose} brings no driver; `qqmedia drivers` lists those that there are")

    def _not_found(self, name: str) -> DriverNotFoundError:
        if name in self.blocked:
            return DriverNotFoundError(f"driver {name!r} is kept out by QQMEDIA_BLOCK; take it out of that variable")
        names = sorted({driver.name for driver in self.drivers})
        text = f"no driver {name!r} is installed; installed are: {', '.join(names) or 'none'}"
        if name in _OUR_EXTRAS:
            text += f'; run: pip install "qqmedia[{name}]"'
        elif near := _nearest(name.lower(), names):
            text += f"; did you mean {near!r}?"
        return DriverNotFoundError(text)

    def with_plugins(self, plugins: Iterable[object]) -> Discovery:
        """Return this with plugin objects of the program itself; their drivers win over installed ones.

        Raises:
            DriverBrokenError: One of them breaks the contract.
        """
        drivers, others = list(self.drivers), list(self.plugins)
        for number, plugin in enumerate(plugins, 1):
            label = f"{getattr(plugin, '__name__', type(plugin).__name__)}#{number}"
            try:
                specs = check_plugin(plugin, label)
            except Exception as error:
                raise DriverBrokenError(f"plugin {label} of this program is broken: {_say(error)}") from error
            names = {spec.name for spec in specs}
            drivers = [driver for driver in drivers if driver.name not in names]
            drivers += [_driver(spec, spec.name, _OF_THE_PROGRAM, "-", plugin) for spec in specs]
            if not specs:
                others.append(FoundPlugin(name=label, distribution=_OF_THE_PROGRAM, version="-", plugin=plugin))
        return Discovery(
            drivers=tuple(sorted(drivers, key=lambda one: one.name)), plugins=tuple(others), blocked=self.blocked
        )

    def warn_about_broken_plugins(self, *, chosen: Collection[str] = ()) -> None:
        """Log one line for each plugin that takes no part although it may be wanted.

        Not for the `chosen` drivers, whose failure is raised, and not for drivers that nobody asked for.
        """
        for plugin in self.plugins:
            if plugin.error is not None and plugin.name not in chosen:
                logger.warning(
                    "plugin %r of %s %s takes no part: %s (QQMEDIA_BLOCK=%s silences this)",
                    plugin.name, plugin.distribution, plugin.version, _say(plugin.error), plugin.name,
                )  # fmt: skip


def discover(*, block: Collection[str] | None = None) -> Discovery:
    """Load every plugin of the entry point group ``qqmedia``; open none, import no SDK.

    It reads the disk: call it outside the event loop.

    Args:
        block: Names to keep out; `None` takes those of the variable ``QQMEDIA_BLOCK`` (separated by commas or blanks).
    """
    if block is None:
        block = re.split(r"[,\s]+", os.environ.get("QQMEDIA_BLOCK", ""))
    blocked = frozenset(block) - {""}
    points = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    drivers: list[FoundDriver] = []
    plugins: list[FoundPlugin] = []
    for name, group in itertools.groupby(points, key=lambda point: point.name):
        same = list(group)
        if name in blocked:
            continue
        if len(same) > 1:
            drivers += [_duplicate(point, same) for point in same]
            continue
        _load(same[0], [point.name for point in points if point.value == same[0].value], drivers, plugins)
    return Discovery(drivers=tuple(drivers), plugins=tuple(plugins), blocked=blocked)


def _load(
    point: importlib.metadata.EntryPoint,
    siblings: Sequence[str],
    drivers: list[FoundDriver],
    plugins: list[FoundPlugin],
) -> None:
    name, (distribution, version) = point.name, _origin(point)
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module: remembered, raised when asked for
        plugins.append(FoundPlugin(name=name, distribution=distribution, version=version, error=error))
        drivers.append(_broken(point, error))
        return
    try:
        specs = check_plugin(plugin, name, siblings)
        if not specs:
            plugins.append(FoundPlugin(name=name, distribution=distribution, version=version, plugin=plugin))
            return
        drivers.append(_driver(_called(name, specs), name, distribution, version, plugin))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's hooks: remembered, raised when asked for
        if hasattr(plugin, "qqmedia_register_drivers"):
            drivers.append(_broken(point, error))
        else:
            plugins.append(FoundPlugin(name=name, distribution=distribution, version=version, error=error))


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was meant; of two that are as alike, the one with the same first letter."""
    alike = {one: difflib.SequenceMatcher(None, one, name).ratio() for one in names}
    near = [one for one in alike if alike[one] >= _NEAR]
    return max(near, key=lambda one: (alike[one], one[:1] == name[:1]), default=None)


def _called(name: str, specs: Iterable[DriverSpec]) -> DriverSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise DriverBrokenError(f"entry point {name!r} brings no driver of that name")


def _driver(spec: DriverSpec, name: str, distribution: str, version: str, plugin: object) -> FoundDriver:
    found = FoundDriver(
        name=name, distribution=distribution, version=version, status="ready", spec=spec, plugin=plugin
    )  # fmt: skip
    absent = [package for package in spec.requires if not _installed(package)]
    if not absent:
        return found
    way_out = f'; run: pip install "{found.requirement}"' if found.requirement else ""
    return replace(found, status="missing", reason=f"it needs {', '.join(absent)}, not installed{way_out}")


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # its parent package is missing, or is half initialised
        return False


def _broken(point: importlib.metadata.EntryPoint, error: BaseException) -> FoundDriver:
    distribution, version = _origin(point)
    return FoundDriver(
        name=point.name, distribution=distribution, version=version, status="broken", reason=_say(error), error=error
    )


def _duplicate(point: importlib.metadata.EntryPoint, same: Sequence[importlib.metadata.EntryPoint]) -> FoundDriver:
    distribution, version = _origin(point)
    others = ", ".join(" ".join(_origin(other)) for other in same if other is not point)
    return FoundDriver(
        name=point.name, distribution=distribution, version=version, status="duplicate",
        reason=f"{others} brings the same name; uninstall one of them",
    )  # fmt: skip


def _origin(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("(unknown)", "-")


def _say(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DriverBrokenError) else f"{type(error).__name__}: {text}"


@dataclass(frozen=True, slots=True)
class Answerer:
    """Something that may answer for a medium instead of the host.

    Attributes:
        name: Of the plugin or driver.
        ask: Called with the prepared medium; what it returns may have to be awaited.
    """

    name: str
    ask: Callable[[bytes | str], Any]


class Plugins:
    """The typed face over the hooks of one host."""

    def __init__(self, members: Iterable[tuple[str, object]]) -> None:
        """Register plugins that have passed discovery, as ``(name, object)``; those later are asked first."""
        self._manager = new_manager()
        for name, plugin in members:
            if not self._manager.is_registered(plugin):  # one module may stand behind several entry points
                self._manager.register(plugin, name)
        self._manager.check_pending()

    def add_driver(self, name: str, driver: Driver) -> None:
        """Let an opened driver answer with the ``get_*`` methods that it has; the last one added is asked first."""
        methods: dict[str, Any] = {}
        for hook in ANSWERS:
            method = getattr(driver, hook, None)
            inherited = getattr(type(driver), hook, None) is getattr(ChainBuilder, hook)
            if callable(method) and not inherited:
                methods[hook] = _as_hookimpl(hook, method)
        if methods:
            self._manager.register(SimpleNamespace(**methods), f"driver {name}")

    def transforms(self) -> list[Transform]:
        """Return the transforms of all plugins, in the order in which they run."""
        answers: list[Sequence[Transform]] = self._manager.hook.qqmedia_register_transforms()
        return sorted((one for answer in answers for one in answer), key=lambda transform: transform.order)

    @property
    def name_objects(self) -> bool:
        """Whether some plugin may have a name for an object."""
        return bool(self._manager.hook.qqmedia_object_key.get_hookimpls())

    def object_key(self, upload: Upload) -> str | None:
        """Return the name that a plugin wants for this object, not yet validated."""
        key: str | None = self._manager.hook.qqmedia_object_key(upload=upload)
        return key

    def answerers(self, kind: MediaKind) -> list[Answerer]:
        """Return whoever may answer for this kind, in the order in which to ask."""
        hook = _ASKED_FOR.get(kind)
        if hook is None:
            return []
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return [_answerer(one) for one in reversed(implementations)]

    @property
    def are_told(self) -> bool:
        """Whether some plugin listens to `published` or `unpublished`."""
        hook = self._manager.hook
        return bool(hook.qqmedia_published.get_hookimpls() or hook.qqmedia_unpublished.get_hookimpls())

    def published(self, media: HostedMedia) -> None:
        """Tell everybody; a raise is logged with the plugin's name."""
        self._notify("qqmedia_published", media)

    def unpublished(self, media: HostedMedia) -> None:
        """Tell everybody; a raise is logged with the plugin's name."""
        self._notify("qqmedia_unpublished", media)

    def _notify(self, hook: str, media: HostedMedia) -> None:
        for one in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                one.function(*((media,) if one.argnames else ()))
            except Exception:  # a stranger's listener must not fail the send
                logger.exception("plugin %r failed in %s", one.plugin_name, hook)


def _answerer(implementation: pluggy.HookImpl) -> Answerer:
    function = implementation.function
    if not implementation.argnames:  # pluggy lets an implementation take fewer arguments than the hook has
        return Answerer(implementation.plugin_name, lambda _medium: function())
    return Answerer(implementation.plugin_name, function)


def _as_hookimpl(hook: str, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Mark a driver's method, whatever it calls its argument."""

    def get_image(image: Any) -> Any:
        return method(image)

    def get_voice(voice_file: Any) -> Any:
        return method(voice_file)

    def get_video(video_file: Any) -> Any:
        return method(video_file)

    return hookspecs.hookimpl({"get_image": get_image, "get_voice": get_voice, "get_video": get_video}[hook])
