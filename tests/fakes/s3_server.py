"""What real S3 servers of the tests have in common: a process on loopback, a bucket, keys, and a door of its own."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3.session
from botocore.config import Config

__all__ = ("S3Server", "binary", "door", "free_ports", "running", "wait_until")

_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that checks signatures, over http and over https.

    Attributes:
        name: Which software.
        http_url: Its address without TLS.
        https_url: Its address with a certificate of a private authority.
        ca_file: That authority.
        bucket: A bucket that exists.
        region: The region that it expects, or takes.
        access_key: May do everything with the bucket's objects.
        secret_key: Belongs to it.
    """

    name: str
    http_url: str
    https_url: str
    ca_file: Path
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    def url(self, scheme: str) -> str:
        return self.https_url if scheme == "https" else self.http_url

    def settings(self, scheme: str = "http", **changes: Any) -> dict[str, Any]:
        """Settings of the driver `s3` for this server."""
        given = {
            "bucket": self.bucket,
            "region": self.region,
            "endpoint_url": self.url(scheme),
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "verify": str(self.ca_file) if scheme == "https" else True,
        }
        return given | changes

    def client(self, access_key: str | None = None, secret_key: str | None = None) -> Any:
        """A bare boto3 client: the door that does not go through the driver."""
        session = boto3.session.Session(access_key or self.access_key, secret_key or self.secret_key)
        config = Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
        )
        return session.client("s3", region_name=self.region, endpoint_url=self.http_url, config=config)


@functools.cache
def door(server: S3Server) -> Any:
    """One bare client for all tests: making one takes longer than most of them, and may not block an event loop."""
    return server.client()


def binary(name: str) -> Path:
    """Find a program that a wheel brought, beside this interpreter."""
    folder = Path(sys.executable).parent
    found = shutil.which(name, path=str(folder)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed beside {sys.executable}; run make test once")
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now. Another program may be faster: `running` is then tried again."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends. Its data are in a temporary folder, so it is killed and not asked."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when `ready` raises nothing any more."""
    deadline = time.monotonic() + _START_SECONDS
    last: Exception | None = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready yet
            last = error
            time.sleep(0.05)
        else:
            return
    with contextlib.suppress(OSError):
        print(log.read_text("utf-8", "replace")[-4000:])
    raise RuntimeError(f"{process.args!r:.100} did not become ready: {last}") from last
