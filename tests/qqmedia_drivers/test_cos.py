"""What is special about the driver `cos`; the rest is in `test_clouds`, and every driver's promises in the kit."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from qqmedia import ConfigurationError, StorageMisconfiguredError, StorageNotFoundError, StorageUnavailableError
from tests.fakes.cos import FakeCos
from tests.qqmedia_drivers.clouds import COS, Cloud, OpenHost, refusal

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
BIG = PNG + bytes(11 * 1024 * 1024)


@pytest.fixture
def cloud() -> Cloud:
    return COS


@pytest.mark.asyncio
async def test_a_wrong_region_without_a_hint_points_at_the_region_all_the_same(
    open_host: OpenHost, service: FakeCos
) -> None:
    service.elsewhere = "not found"
    with pytest.raises(StorageNotFoundError, match=r"in region ap-beijing: check bucket .* and region"):
        async with open_host(region="ap-beijing"):
            pass


@pytest.mark.asyncio
async def test_a_redirect_is_never_taken_for_a_success(open_host: OpenHost, service: FakeCos) -> None:
    async with open_host(region="ap-beijing", check=False) as host:
        for content in (PNG, BIG):
            with pytest.raises(StorageMisconfiguredError, match="the right one is ap-guangzhou"):
                await host.get_image(content)
    assert not service.objects


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bucket": "pics"}, "'bucket' is wrong .*: must end with the APPID"),
        ({"region": None}, "'region' of 'cos' is not set"),
        ({"secret": "x"}, "'secret' is not a setting of 'cos'; did you mean 'secret_"),
    ],
)
async def test_a_wrong_setting_is_named(open_host: OpenHost, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with open_host(**changes):
            pass


@pytest.mark.asyncio
async def test_an_address_of_ipv6_is_an_address(open_host: OpenHost) -> None:
    async with open_host(endpoint_url="http://[::1]:9", policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(StorageUnavailableError, match=r"endpoint http://\[::1\]:9 right"):  # nobody is there
            await host.get_image(PNG)


@pytest.mark.asyncio
async def test_a_name_of_this_machine_is_taken_as_it_is(open_host: OpenHost, service: FakeCos) -> None:
    address = service.url.replace("127.0.0.1", "localhost")
    async with open_host(endpoint_url=address) as host:
        url = await host.get_image(PNG)
    assert str(url).startswith(f"{address}/qqmedia/")
    assert len(service.objects) == 1


@pytest.mark.asyncio
async def test_the_domain_that_makes_downloads_of_everything_is_told_of_once(
    open_host: OpenHost, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qqmedia_drivers.cos")
    async with open_host():
        assert not caplog.records
    async with open_host(endpoint_url=None, public_base_url="https://img.example.com", check=False):
        assert not caplog.records
    async with open_host(endpoint_url=None, check=False):
        assert "Content-Disposition: attachment" in caplog.text
        assert "set public_base_url" in caplog.text


@pytest.mark.asyncio
async def test_a_session_token_is_kept_from_the_key_of_other_variables(
    open_host: OpenHost, service: FakeCos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COS_SECRET_ID", "IDdriver")
    monkeypatch.setenv("COS_SECRET_KEY", "right-secret")
    monkeypatch.setenv("TENCENTCLOUD_SESSION_TOKEN", "session-token-77")  # of a key that is not there
    async with open_host(secret_id=None, secret_key=None) as host:
        await host.get_image(PNG)
    assert len(service.objects) == 1


def test_no_warning_of_the_sdks_code_stops_anybody() -> None:
    spec = importlib.util.find_spec("qcloud_cos")
    assert spec is not None
    assert spec.submodule_search_locations
    for file in Path(spec.submodule_search_locations[0]).glob("*.py"):
        compile(file.read_text("utf-8"), str(file), "exec")  # warnings are errors here


@pytest.mark.asyncio
async def test_completing_with_an_error_in_a_200_is_a_failure(open_host: OpenHost, service: FakeCos) -> None:
    service.answer_next("CompleteMultipartUpload", 200, refusal("InternalError"))
    async with open_host(policy=qqmedia.HostPolicy(retries=0)) as host:
        with pytest.raises(StorageUnavailableError, match="InternalError"):
            await host.get_image(BIG)
    assert not service.uploads
