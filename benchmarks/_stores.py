"""The stores that `benchmarks.drivers` puts into: each a process of its own, so that what it costs is not the client's.

`s3` is SeaweedFS; `cos` and `oss` are the doubles of the tests, which check signatures. `local` needs none: its driver
is the store.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

__all__ = ("ROOT", "Child", "running_child", "running_store")

ROOT = Path(__file__).parents[1]
LONGEST_LINE_BYTES = 1 << 24
KEY_ID = "LTAIbenchmark"
SECRET = "benchmark-secret-93b7"


class Child:
    """A child process that answers a line of JSON for every line of JSON that it gets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **question: Any) -> Any:
        """Ask something and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        """Return the next answer."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a child process of the benchmark ended early; what it said is above")
        return json.loads(line)


@asynccontextmanager
async def running_child(module: str, *arguments: str) -> AsyncIterator[tuple[Child, Any]]:
    """Run ``python -m module``; give it and its first answer. It ends when its input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, limit=LONGEST_LINE_BYTES,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        child = Child(process)
        yield child, await child.answer()
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), timeout=20)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running_store(driver: str, folder: Path) -> AsyncIterator[tuple[Child | None, dict[str, Any]]]:
    """Run the driver's store below `folder`; give it, where there is one, and the driver's settings for it."""
    if driver == "local":
        yield None, {"host": "127.0.0.1", "port": 0, "resource_path": str(folder / "driver")}
        return
    async with running_child("benchmarks._stores", driver, str(folder)) as (store, settings):
        yield store, settings


@contextmanager
def _double(driver: str, folder: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    from tests.fakes.bucket_values import Key  # noqa: PLC0415 - SeaweedFS needs nothing of this
    from tests.fakes.cos import FakeCos  # noqa: PLC0415
    from tests.fakes.oss import FakeOss  # noqa: PLC0415

    keys = [Key(key_id=KEY_ID, secret=SECRET)]
    if driver == "cos":
        with FakeCos.running(folder, bucket="pics-1250000000", region="ap-guangzhou", keys=keys) as service:
            yield {**_address(service), "secret_id": KEY_ID, "secret_key": SECRET}, service
    else:
        with FakeOss.running(folder, bucket="pics", region="cn-hangzhou", keys=keys) as service:
            yield {**_address(service), "access_key_id": KEY_ID, "access_key_secret": SECRET}, service


def _address(service: Any) -> dict[str, Any]:
    return {"bucket": service.bucket, "region": service.region, "endpoint_url": service.url}


@contextmanager
def _store(driver: str, folder: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    if driver != "s3":
        with _double(driver, folder) as found:
            yield found
        return
    from tests.fakes.seaweedfs import seaweedfs  # noqa: PLC0415 - it loads boto3, which the doubles need not

    with seaweedfs(folder) as server:
        yield server.settings(), None


def _empty(service: Any) -> None:
    """Take everything out of a double. SeaweedFS keeps what it has: it gives room back only much later."""
    if service is not None:
        service.objects.clear()
        service.calls.clear()
        service.seen.clear()
        for file in service.folder.iterdir():
            file.unlink()


def main() -> None:
    """Be a store: tell the settings, then empty it for every line that comes."""
    driver, folder = sys.argv[1], Path(sys.argv[2])
    with _store(driver, folder) as (settings, service):
        print(json.dumps(settings), flush=True)
        for _ in sys.stdin:
            _empty(service)
            print("{}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, subprocess.SubprocessError) as error:
        sys.exit(str(error))
