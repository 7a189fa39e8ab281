"""What is special about the driver `oss`; the rest is in `test_clouds`, and every driver's promises in the kit."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qqmedia import ConfigurationError, MediaHost, StorageMisconfiguredError
from tests.fakes.oss import FakeOss
from tests.qqmedia_drivers.clouds import OSS, Cloud, OpenHost

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


@pytest.fixture
def cloud() -> Cloud:
    return OSS


async def image_url(host: MediaHost) -> str:
    url = await host.get_image(PNG)
    assert isinstance(url, str)
    return url


@pytest.mark.asyncio
async def test_the_right_region_is_told_when_the_service_tells_it(open_host: OpenHost, service: FakeOss) -> None:
    service.bucket_region = "cn-shanghai"
    with pytest.raises(StorageMisconfiguredError, match="for bucket 'pics'; the right one is cn-shanghai"):
        async with open_host():
            pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bucket": "Pics"}, "'bucket' is wrong"),
        ({"region": None}, "region is not known: give region, or an endpoint_url such as"),
        ({"endpoint_url": "http://[::1]:80"}, "the SDK of OSS takes these settings not: .*check endpoint_url"),
        ({"endpoint_url": None, "is_cname": True}, "is_cname says .*; give endpoint_url"),
        ({"access_key": "x"}, "'access_key' is not a setting of 'oss'; did you mean 'access_key_"),
    ],
)
async def test_a_wrong_setting_is_named(open_host: OpenHost, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with open_host(**changes):
            pass


@pytest.mark.asyncio
async def test_uploads_may_go_to_another_address_than_the_one_of_urls(
    open_host: OpenHost, service: FakeOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within Aliyun, the internal one costs no traffic."""
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    addresses = {
        "endpoint_url": "http://oss-cn-hangzhou.aliyuncs.com",
        "internal_endpoint_url": "http://oss-cn-hangzhou-internal.aliyuncs.com",
    }
    async with open_host(region=None, **addresses) as host:  # the address names the region
        url = await image_url(host)
    assert {call.host for call in service.seen} == {"pics.oss-cn-hangzhou-internal.aliyuncs.com"}
    assert url.startswith("http://pics.oss-cn-hangzhou.aliyuncs.com/qqmedia/")


@pytest.mark.asyncio
@pytest.mark.parametrize("shown", ["oss-cn-hangzhou", " cn-hangzhou "])
async def test_the_region_may_be_as_the_console_shows_it_and_from_the_vendors_variable(
    open_host: OpenHost, service: FakeOss, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    monkeypatch.setenv("OSS_REGION", shown)
    async with open_host(region=None) as host:
        await image_url(host)
    assert len(service.objects) == 1


@pytest.mark.asyncio
async def test_a_domain_bound_to_the_bucket_is_an_endpoint(
    open_host: OpenHost, service: FakeOss, monkeypatch: pytest.MonkeyPatch, http: aiohttp.ClientSession
) -> None:
    service.domains.add("img.example.com")
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("http_proxy", service.url)
    async with open_host(endpoint_url="http://img.example.com", is_cname=True) as host:
        url = await image_url(host)
        assert url.startswith("http://img.example.com/qqmedia/")
        async with http.get(url, proxy=service.url) as answer:
            assert await answer.read() == PNG
    assert {call.host for call in service.seen} == {"img.example.com"}


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.asyncio
async def test_a_netrc_does_not_take_the_place_of_the_signature(netrc: None, open_host: OpenHost) -> None:
    async with open_host() as host:
        await image_url(host)


@pytest.mark.asyncio
async def test_without_the_c_part_of_crcmod_there_is_a_warning_and_uploads_are_checked_all_the_same(
    open_host: OpenHost, service: FakeOss, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_host():
        assert not caplog.records
    monkeypatch.setitem(sys.modules, "crcmod._crcfunext", None)  # as where no compiler was
    async with open_host() as host:
        assert "crcmod was installed without its part in C" in caplog.text
        service.damage_next = 1
        await image_url(host)
        assert "the bytes were damaged on the way; trying again (1)" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [200, 2 * 1024 * 1024, 11 * 1024 * 1024])
async def test_what_was_damaged_on_the_way_is_never_kept_and_is_put_again(
    open_host: OpenHost, service: FakeOss, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    service.damage_next = 1
    async with open_host() as host:
        await host.get_image(PNG + bytes(size))
    assert "the bytes were damaged on the way; trying again (1)" in caplog.text
    (stored,) = service.objects.values()
    assert await asyncio.to_thread(stored.read) == PNG + bytes(size)
    assert not service.uploads


@pytest.mark.asyncio
async def test_no_warning_of_the_sdks_code_stops_anybody(open_host: OpenHost) -> None:
    async with open_host():
        pass
    await asyncio.to_thread(_compile_sdk)  # warnings are errors here
    # What newer Pythons say of `datetime.utcnow`, with which every request is signed.
    warnings.warn_explicit("utcnow is deprecated", DeprecationWarning, "auth.py", 1, module="oss2.auth")
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("so is this", DeprecationWarning, "my_bot.py", 1, module="my_oss2_bot")


def _compile_sdk() -> None:
    spec = importlib.util.find_spec("oss2")
    assert spec is not None
    assert spec.submodule_search_locations
    for file in Path(spec.submodule_search_locations[0]).glob("*.py"):
        compile(file.read_text("utf-8"), str(file), "exec")
