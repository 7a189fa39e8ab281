"""The media hosts of `benchmarks.arrival`, in order or out of order; each service is there once for all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import qqmedia
from qqmedia import HostPolicy, MediaHost
from tests.fakes.bucket_values import Key
from tests.fakes.cos import FakeCos
from tests.fakes.seaweedfs import SeaweedFS, seaweedfs

__all__ = ("DRIVERS", "Hosts")

DRIVERS: Final = ("local", "cos", "s3", "direct")

_POLICY: Final = HostPolicy(retry_wait=0.02)
_DOWN_FOR_GOOD: Final = 1_000_000
_COS: Final = {"bucket": "pics-1250000000", "region": "ap-guangzhou"}


class Hosts:
    """Opens hosts.

    Args:
        folder: For everything that they write.
        drivers: Which services to run.
    """

    def __init__(self, folder: Path, drivers: Iterable[str]) -> None:
        self._folder = folder
        self._drivers = tuple(drivers)
        self._cos: dict[bool, FakeCos] = {}
        self._s3: SeaweedFS | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hosts]:
        """Run the services until the block ends."""
        async with AsyncExitStack() as stack:
            for down in (False, True) if "cos" in self._drivers else ():
                service = FakeCos.running(
                    self._folder / f"cos-{down}", **_COS, keys=[Key(key_id="AKID", secret="right-secret")]
                )
                cos = self._cos[down] = await asyncio.to_thread(service.__enter__)
                stack.push_async_callback(asyncio.to_thread, service.__exit__, None, None, None)
                cos.public_read = True
                cos.domains.add(_named("bucket.example", cos.url))
                if down:
                    cos.fail_next(_DOWN_FOR_GOOD, "503")
            if "s3" in self._drivers:
                await asyncio.to_thread((self._folder / "s3").mkdir)
                server = seaweedfs(self._folder / "s3")
                self._s3 = await asyncio.to_thread(server.__enter__)
                stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
            yield self

    @asynccontextmanager
    async def host(self, driver: str, name: str, *, down: bool) -> AsyncIterator[MediaHost]:
        """Open a host; one that is down takes nothing."""
        host = qqmedia.open_host(
            driver, policy=_POLICY, check=False, platform_on_loopback=True, **self._settings(driver, name, down=down)
        )
        async with host:
            if not down or driver != "local":
                yield host
                return
            folder = self._resources(name)
            await asyncio.to_thread(_take_away, folder)
            try:
                yield host
            finally:
                await asyncio.to_thread(_bring_back, folder)

    def _settings(self, driver: str, name: str, *, down: bool) -> dict[str, Any]:
        match driver:
            case "local":
                port = _free_port()
                where = {"host": "127.0.0.1", "port": port, "public_url": f"http://media.example:{port}"}
                return where | {"resource_path": self._resources(name)}
            case "cos":
                cos = self._cos[down]
                keys = {"secret_id": "AKID", "secret_key": "right-secret", "endpoint_url": cos.url}
                return _COS | keys | {"public_base_url": f"http://{_named('bucket.example', cos.url)}"}
            case "s3" if self._s3 is not None:
                return self._s3.settings() | ({"endpoint_url": f"http://127.0.0.1:{_free_port()}"} if down else {})
            case _:
                return {}

    def _resources(self, name: str) -> Path:
        return self._folder / f"resource-{name}"


def _named(name: str, url: str) -> str:
    return f"{name}:{url.rpartition(':')[2]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _take_away(folder: Path) -> None:
    """Put a file where the folder was, so that nothing can be written there, whoever asks."""
    folder.rename(folder.with_suffix(".away"))
    folder.touch()


def _bring_back(folder: Path) -> None:
    folder.unlink()
    folder.with_suffix(".away").rename(folder)
