"""The driver `local` itself: what it stores is served by the server of its port."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from qqmedia import ConfigurationError, Driver, DriverContext, Reach, StoragePermissionError, Upload, own_url, reach_of
from qqmedia_drivers.local._box import ServerOptions
from qqmedia_drivers.local._ports import PortTakenError, ServedElsewhereError
from qqmedia_drivers.local._server import LocalServer, lent_server, warn_once
from qqmedia_drivers.local._settings import LocalSettings

__all__ = ("open_local",)

logger = logging.getLogger("qqmedia_drivers.local")


class LocalDriver:
    """One borrower of a server, with its own idea of what the outside sees."""

    def __init__(self, server: LocalServer, context: DriverContext, base: str, reach: Reach) -> None:
        self._server = server
        self._clock = context.time
        self._base = base
        self._reach = reach
        self._names: dict[str, str] = {}  # of keys that are not served under their own name

    @property
    def reach(self) -> Reach:
        """Who can fetch this driver's URLs."""
        return self._reach

    @property
    def keeps(self) -> bool:
        """What is kept lies in the folder for good, and is served by whichever process serves that."""
        return True

    @property
    def own_address(self) -> str:
        """What its URLs begin with."""
        return self._base

    async def put(self, upload: Upload, /) -> str | None:
        """Store the upload and return its URL; bytes that are already there are kept, and live longer."""
        name = await self._server.put(self, upload, self._clock)
        if name != upload.key and not upload.lasts:  # what lasts is not taken down
            self._names[upload.key] = name
        return f"{self._base}/resource/{name}"

    async def delete(self, key: str, /) -> None:
        """Take the object down, unless another borrower still counts on it."""
        await self._server.release(self, self._names.pop(key, key))

    async def close(self) -> None:
        """Give up all that this driver put."""
        await self._server.release_all(self)


class _UnservedDriver:
    """Stands in where nobody chose the port or the folder and there is none to be had."""

    idle = True  # the warning has told why

    @property
    def reach(self) -> Reach:
        """Nothing is served."""
        return Reach.PRIVATE

    async def put(self, upload: Upload, /) -> str | None:  # noqa: ARG002 - the contract's parameter
        """Answer that nothing is hosted."""
        return None


@asynccontextmanager
async def open_local(settings: LocalSettings, context: DriverContext) -> AsyncIterator[Driver]:
    """Open the driver `local`.

    Where the port (or the folder) was given and cannot be had, that is an error. Where it is the default, one warning
    says so, and the driver hosts nothing.

    Raises:
        ConfigurationError: The port is served with other options, or a setting names what is not there.
        StorageUnavailableError: Another program has the port.
        StoragePermissionError: The folder cannot be written to.
    """
    async with AsyncExitStack() as stack:
        try:
            driver: Driver = await _open(stack, settings, context)
        except (PortTakenError, ServedElsewhereError) as error:
            if "port" in settings.model_fields_set:
                raise
            driver = _unserved(error)
        except StoragePermissionError as error:
            if "resource_path" in settings.model_fields_set:
                raise
            driver = _unserved(error)
        yield driver


async def _open(stack: AsyncExitStack, settings: LocalSettings, context: DriverContext) -> LocalDriver:
    options, tls = await asyncio.to_thread(_resolve, settings)
    server = await stack.enter_async_context(lent_server(options, tls, context.state_dir))
    base = settings.public_url or own_url(
        server.options.host, server.options.port, tls=server.options.ssl_certfile is not None,
        platform_on_loopback=context.platform_on_loopback,
    )  # fmt: skip
    reach = reach_of(base, platform_on_loopback=context.platform_on_loopback)
    if settings.public_url and not (reach is Reach.PRIVATE and _is_loopback(base)):
        reach = Reach.PUBLIC  # somebody who knows the network said so
    if settings.public_url:  # a slip in it shows here, before the first picture does not arrive
        logger.info("media are to be fetched from %s/resource/ (public_url)", base)
    driver = LocalDriver(server, context, base, reach)
    stack.push_async_callback(driver.close)
    return driver


def _unserved(error: Exception) -> Driver:
    warn_once(f"{error}; until then media go up as bytes")
    return _UnservedDriver()


def _resolve(settings: LocalSettings) -> tuple[ServerOptions, ssl.SSLContext | None]:
    given = settings.http_server_options or {}
    files = {key: str(Path(given[key]).resolve()) for key in ("ssl_certfile", "ssl_keyfile") if given.get(key)}
    options = ServerOptions(
        port=settings.port,
        host=settings.host or "0.0.0.0",  # noqa: S104 - what an empty host means everywhere
        resource_path=str(settings.resource_path.resolve()),
        **files,
    )
    if options.ssl_certfile is None:
        return options, None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        tls.load_cert_chain(options.ssl_certfile, options.ssl_keyfile, given.get("ssl_keyfile_password") or "")
    except (OSError, ValueError) as error:
        names = " and ".join(files.values())
        raise ConfigurationError(
            f"http_server_options: {names} cannot be used as certificate and key: {error}"
        ) from error
    return options, tls


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
