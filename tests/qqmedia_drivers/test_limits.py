"""Time limits of the SDKs: below the host's, whatever that is, so that their threads end when nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from qqmedia import DriverSpec, StorageUnavailableError
from qqmedia.testing import driver_context, make_upload
from qqmedia_drivers import cos, oss, s3

SPECS: dict[str, DriverSpec] = {
    module.__name__.rpartition(".")[2]: module.qqmedia_register_drivers() for module in (cos, oss, s3)
}
SETTINGS = {
    "cos": {"region": "ap-guangzhou", "secret_id": "id", "secret_key": "secret"},
    "oss": {"region": "cn-hangzhou", "access_key_id": "id", "access_key_secret": "secret"},
    "s3": {"access_key_id": "id", "secret_access_key": "secret"},
}


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> DriverSpec:
    name: str = request.param
    return SPECS[name]


@pytest_asyncio.fixture
async def silent() -> AsyncIterator[str]:
    """Somebody who takes every connection, and never says a word."""
    leaving = asyncio.Event()

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        leaving.set()


def settings_of(spec: DriverSpec, **changes: Any) -> Any:
    model: Any = spec.settings and spec.settings()
    return model(bucket="pics-1250000000", **SETTINGS[spec.name], **changes)


@pytest.mark.asyncio
async def test_an_sdk_gives_up_before_the_host_does(spec: DriverSpec, silent: str) -> None:
    settings = settings_of(spec, endpoint_url=silent)
    async with (
        driver_context(name=spec.name, put_timeout=0.4) as context,
        spec.open(settings, context) as driver,
        asyncio.timeout(5),
    ):
        with pytest.raises(StorageUnavailableError, match="read_timeout, and the host's put_timeout"):
            await driver.put(make_upload())


@pytest.mark.parametrize(
    ("put_timeout", "given", "taken", "told"),
    [
        (60.0, {}, (5, 30), ""),
        (10.0, {}, (4.5, 4.5), ""),
        (60.0, {"read_timeout": 55}, (5, 49), "read_timeout is lowered to 49 s"),
        (60.0, {"connect_timeout": 40, "read_timeout": 3}, (27, 3), "connect_timeout is lowered to 27 s"),
        (600.0, {"connect_timeout": 40, "read_timeout": 120}, (40, 120), ""),
        (
            None,
            {"read_timeout": 55},
            (5, 55),
            "",
        ),  # a context of somebody's tests that was written before there was one
    ],
)
def test_what_was_given_stays_where_it_fits(
    put_timeout: float | None,
    given: dict[str, float],
    taken: tuple[float, float],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    context: Any = SimpleNamespace(name="cos", **({} if put_timeout is None else {"put_timeout": put_timeout}))
    settings = settings_of(SPECS["cos"], **given).within_host(context)
    assert (settings.connect_timeout, settings.read_timeout) == pytest.approx(taken)
    assert [record.getMessage().partition(", to end")[0] for record in caplog.records] == (
        [f"driver 'cos': {told}"] if told else []
    )
