"""What the author of a storage driver sees: one method to write, a few small abilities to add.

A driver is published as a distribution with one entry point in the group ``qqmedia``. The entry point's name is the
driver's name, its value a module with the hook::

    from qqmedia import DriverSpec, hookimpl

    @hookimpl
    def qqmedia_register_drivers():
        return DriverSpec(name="webdav", settings=load_settings, open=open_webdav)

`MediaHost` does everything that no driver should repeat: it sniffs, transforms, limits, hashes, names, retries, bounds
how many puts run at once, sets the time limits, expires and cleans up. The driver stores bytes and returns a URL.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from qqmedia._late import Late
from qqmedia.media import MediaKind, Reach, Upload

if TYPE_CHECKING:
    import aiohttp
    import pydantic
else:
    aiohttp, pydantic = Late("aiohttp"), Late("pydantic")

__all__ = (
    "Driver",
    "DriverContext",
    "DriverSpec",
    "SupportsCheck",
    "SupportsDelete",
    "SupportsFind",
    "SupportsKeep",
    "SupportsPass",
    "SupportsReach",
    "Transform",
)

T = TypeVar("T")


class Driver(Protocol):
    """A place that stores media and serves them under a URL."""

    async def put(self, upload: Upload, /) -> str | None:
        """Store the upload under ``upload.key`` and return its URL, or `None` if this driver hosts nothing.

        * Read through ``upload.open()``, outside the event loop; never hold a large body in memory.
        * The URL answers a plain GET with exactly these bytes and ``upload.content_type`` for at least ``upload.ttl``.
        * The same key means the same bytes: to store it again is harmless, and extends its life.
        * When cancelled, leave the whole object or nothing.

        Raises:
            StorageError: One of its subclasses, `from` the SDK's own error.
        """
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """The driver can find out at opening whether it will work."""

    async def check(self) -> None:
        """Try credentials and bucket by the cheapest call there is; the host calls this once unless ``check=False``.

        Raises:
            StorageError: It will not work, and the host does not open; or, where `StorageError.may_pass`, it may work
                later: the host opens with a warning.
        """
        ...


@runtime_checkable
class SupportsDelete(Protocol):
    """The driver can take an object down again."""

    async def delete(self, key: str, /) -> None:
        """Take the object down; do nothing if it is already gone.

        A download that is running may finish. The host calls this when the object's time is up.
        """
        ...


@runtime_checkable
class SupportsFind(Protocol):
    """The driver can tell whether an object is already there, so that it is not stored twice."""

    async def find(self, upload: Upload, /) -> str | None:
        """Return the URL of the object with this key and size, good for ``upload.ttl`` from now, or `None`."""
        ...


@runtime_checkable
class SupportsKeep(Protocol):
    """The driver can store for good. Without this the host asks for a week, the longest that any cloud signs for."""

    @property
    def keeps(self) -> bool:
        """Whether the URL of an upload that `Upload.lasts` answers until somebody deletes the object by hand.

        `put` must store it so that neither the end of the process nor `delete` of other keys takes it down.
        """
        ...


@runtime_checkable
class SupportsReach(Protocol):
    """The driver knows who can fetch its URLs. Without this the host takes `Reach.UNKNOWN`, and tries.

    One that hosts nothing for now, and has told why in the log, may have an attribute `idle` that is true: then nobody
    gives advice about its reach. One that serves from this very machine may have an attribute `own_address`, what its
    URLs begin with: then a link of its own that comes back can be read, however private the address is.
    """

    @property
    def reach(self) -> Reach:
        """Who can fetch this driver's URLs; `Reach.PRIVATE` means that no URL is worth offering to the platform."""
        ...


class DriverContext(Protocol):
    """What the host lends to a driver while it is open. The driver closes none of it.

    Attributes:
        name: Name under which the driver was chosen.
        state_dir: Folder for what must outlive the process; exists, private to the user.
        platform_on_loopback: The QQ platform itself runs on this machine (the sandbox), so that it can fetch
            loopback addresses.
        put_timeout: Seconds without any progress after which the host gives a put up. An SDK's own time limits belong
            below it, so that a call in a thread, which nobody can cancel, ends when nobody waits for it any more.
    """

    name: str
    state_dir: Path
    platform_on_loopback: bool
    put_timeout: float

    @property
    def http(self) -> aiohttp.ClientSession:
        """The shared HTTP session; made on first use."""
        ...

    def time(self) -> float:
        """Return the wall clock in seconds since the epoch; tests move it."""
        ...

    async def in_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a blocking function in the host's bounded threads and return its result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """How a driver is registered. Making one imports no SDK and opens nothing.

    Attributes:
        name: The name of the entry point; another one is an error.
        settings: A pydantic model class, or a function without arguments that imports and returns it, or `None` when
            there is nothing to set. Unknown keys are refused by the host.
        open: Called with an instance of the settings (or `None`) and a `DriverContext`; the async context manager
            gives the `Driver` and closes on leaving what it opened.
        extra: The extra of its distribution that brings what this driver imports, for the error message.
        requires: Import names of what it needs, looked for (not imported) by ``qqmedia drivers``.
        contract: Version of the driver contract that it is written for.
    """

    name: str
    settings: type[pydantic.BaseModel] | Callable[[], type[pydantic.BaseModel]] | None = None
    open: Callable[[Any, DriverContext], AbstractAsyncContextManager[Driver]]
    extra: str | None = None
    requires: tuple[str, ...] = ()
    contract: int = 1


class Transform(Protocol):
    """Changes a medium before it is measured and hashed: to another format, to a smaller size.

    Attributes:
        name: For people, in notes and errors.
        kinds: For which kinds it is called.
        order: Lower runs earlier; the built-in one for voices has 100, those for pictures and videos have 200.
    """

    name: str
    kinds: frozenset[MediaKind]
    order: int

    async def apply(self, upload: Upload, /) -> Upload:
        """Return the upload as it is, or ``upload.with_content(...)``.

        `sha256` and `key` are empty here: the host fills them in when all transforms have run. Never block the loop.

        Raises:
            MediaError: It cannot be made acceptable.
        """
        ...


@runtime_checkable
class SupportsPass(Protocol):
    """The transform sees at a glance which media it leaves as they are.

    Where all transforms of a kind can, media of that kind are hashed while they are read, and most cost no more.
    """

    def passes(self, content_type: str, start: bytes, size: int, /) -> bool:
        """Return whether `apply` would surely leave this medium as it is; costs next to nothing, touches no disk.

        Args:
            content_type: What the first bytes say.
            start: The first bytes: all of them where the medium was given as bytes.
            size: Of the whole medium, in bytes.
        """
        ...
