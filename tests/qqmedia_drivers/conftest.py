"""What the tests of drivers share: a context as the host lends it, and uploads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio

from qqmedia import Driver, MediaKind, Upload
from qqmedia_drivers.local import qqmedia_register_drivers
from tests.fakes.juicefs import juicefs
from tests.fakes.s3_server import S3Server
from tests.fakes.seaweedfs import SeaweedFS, seaweedfs
from tests.qqmedia_drivers.clouds import CLOUDS, Cloud, OpenHost

ServerT = TypeVar("ServerT")
OpenLocal = Callable[..., AbstractAsyncContextManager[Driver]]


@dataclass
class Clock:
    now: float = 1_900_000_000.0  # later than any file of this run, so that other processes see nothing expired

    def __call__(self) -> float:
        return self.now


@dataclass
class Context:
    """A `DriverContext` without a host."""

    state_dir: Path
    name: str = "local"
    platform_on_loopback: bool = True
    put_timeout: float = 60.0
    clock: Clock = field(default_factory=Clock)

    @property
    def http(self) -> aiohttp.ClientSession:
        raise AssertionError("a driver that serves files needs no client")

    def time(self) -> float:
        return self.clock()

    async def in_thread(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(tmp_path: Path, clock: Clock) -> Context:
    return Context(state_dir=tmp_path, clock=clock)


@pytest.fixture
def make_upload() -> Callable[..., Upload]:
    def make(content: bytes | Path = b"\x89PNG\r\n\x1a\n content", **changes: Any) -> Upload:
        body = content if isinstance(content, bytes) else content.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        fields: dict[str, Any] = {
            "kind": MediaKind.IMAGE,
            "content_type": "image/png",
            "size": len(body),
            "sha256": digest,
            "key": f"{digest}.png",
            "filename": "picture.png",
            "ttl": timedelta(hours=1),
            "content": content,
        }
        return Upload(**(fields | changes))

    return make


@pytest.fixture
def open_local(context: Context) -> OpenLocal:
    """Open the driver as the host does, on loopback and a free port unless the test says otherwise."""
    spec = qqmedia_register_drivers()
    assert spec.name == "local"
    assert callable(spec.settings)
    model: Any = spec.settings()

    @asynccontextmanager
    async def open_it(*, as_default: str = "", **settings: Any) -> AsyncIterator[Driver]:
        made = model(**{"host": "127.0.0.1", "port": 0} | settings)
        # What nobody set, whatever its value: tests cannot rely on port 8086 being free, or taken.
        made = model.model_construct(_fields_set=made.model_fields_set - {as_default}, **dict(made))
        async with spec.open(made, context) as driver:
            yield driver

    return open_it


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture(params=CLOUDS, ids=lambda cloud: cloud.name)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of those with a double; a module about one of them has a fixture of this name that returns it."""
    found: Cloud = request.param
    return found


@pytest.fixture
def service(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The double of the cloud; what variables of this machine say of it counts for nothing."""
    for name in (*cloud.variables, *cloud.other_variables):
        monkeypatch.delenv(name, raising=False)
    with cloud.running(tmp_path / cloud.name) as service:
        yield service


@pytest.fixture
def open_host(cloud: Cloud, service: Any, monkeypatch: pytest.MonkeyPatch) -> OpenHost:
    # The pictures here are made up: too large ones must not be made anew.
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")
    return lambda **changes: cloud.host_at(service, **changes)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One for all tests: it takes two seconds to start."""
    with ExitStack() as stack:
        yield _started(stack, seaweedfs, tmp_path_factory.mktemp("seaweedfs"))


@pytest.fixture(scope="session")
def juice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with ExitStack() as stack:
        yield _started(stack, juicefs, tmp_path_factory.mktemp("juicefs"))


@pytest.fixture(params=["SeaweedFS", "JuiceFS"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue("seaweed" if request.param == "SeaweedFS" else "juice")
    return server


def _started(stack: ExitStack, start: Callable[[Path], AbstractContextManager[ServerT]], folder: Path) -> ServerT:
    for attempt in range(3):  # another program may take a port between our choice and the server's start
        try:
            return stack.enter_context(start(folder / f"{attempt}"))
        except RuntimeError as error:
            failure = error
    raise failure
