"""Settings of `s3`: their names, where they come from, and what is right for each service."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from qqmedia import ConfigurationError, Reach
from qqmedia.settings import load_settings
from qqmedia.testing import open_driver
from qqmedia_drivers.s3 import qqmedia_register_drivers
from qqmedia_drivers.s3._client import connect
from qqmedia_drivers.s3._settings import S3Settings

SPEC = qqmedia_register_drivers()
KEYS = {"access_key_id": "AKTEST", "secret_access_key": "a-secret-of-the-test"}


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "ENDPOINT_URL", "ENDPOINT_URL_S3", "ACCESS_KEY_ID"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


def load(section: str | None = None, **given: Any) -> S3Settings:
    return load_settings(S3Settings, "s3", {"bucket": "pics"} | given, section)


def address(**given: Any) -> str:
    """Where an object of these settings would be fetched; nothing is sent."""
    connected = connect(load(**KEYS, **given))
    try:
        url: str = connected.client.generate_presigned_url(
            "get_object", Params={"Bucket": "pics", "Key": "qqmedia/a.png"}
        )
    finally:
        connected.client.close()
    parts = urlsplit(url)
    assert f"%2F{connected.region}%2Fs3%2Faws4_request" in parts.query
    return f"{parts.scheme}://{parts.netloc}{parts.path} {connected.region}"


def test_defaults_are_those_of_the_page() -> None:
    settings = load()
    assert (settings.prefix, settings.public_base_url, settings.url, settings.presigned) == (
        "qqmedia/", None, None, True,
    )  # fmt: skip
    assert (settings.threads, settings.connect_timeout, settings.read_timeout, settings.part_size_mib) == (6, 5, 30, 5)
    assert (settings.verify, settings.acl, settings.cache_control) == (True, None, None)
    assert not load(public_base_url="https://cdn.example.com").presigned


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("path", "prefix", "img/"),
        ("public_url", "public_base_url", "https://cdn.example.com"),
        ("custom_url", "public_base_url", "https://cdn.example.com"),
        ("endpoint", "endpoint_url", "https://s3.example.com"),
        ("region_name", "region", "eu-north-1"),
        ("ca_bundle", "verify", False),
        ("profile_name", "profile", "work"),
    ],
)
def test_other_names_are_accepted(monkeypatch: pytest.MonkeyPatch, alias: str, name: str, value: Any) -> None:
    assert getattr(load(**{alias: value}), name) == value
    monkeypatch.setenv(f"QQMEDIA_S3_{alias.upper()}", str(value).lower() if value is False else value)
    assert getattr(load(), name) == value
    Path("qqmedia.toml").write_text(f"[qqmedia.s3]\n{alias} = {str(value).lower() if value is False else repr(value)}")
    monkeypatch.delenv(f"QQMEDIA_S3_{alias.upper()}")
    assert getattr(load(), name) == value


def test_what_a_copy_from_a_console_brings_along_is_taken_off() -> None:
    settings = load(
        bucket=" pics ", region="eu-north-1\n", access_key_id=" AK\n", secret_access_key="very-secret\r\n",
        endpoint_url=" minio.example.com:9000 ", public_base_url="cdn.example.com/", provider="MinIO",
    )  # fmt: skip
    assert (settings.bucket, settings.region, settings.provider) == ("pics", "eu-north-1", "minio")
    assert (settings.access_key_id, settings.secrets()) == ("AK", ("very-secret",))
    assert settings.endpoint_url == "https://minio.example.com:9000"
    assert settings.public_base_url == "https://cdn.example.com"


def test_credentials_have_the_names_of_boto3_too() -> None:
    settings = load(aws_access_key_id="AK", aws_secret_access_key="very-secret", aws_session_token="token-too")
    assert settings.access_key_id == "AK"
    assert set(settings.secrets()) == {"very-secret", "token-too"}
    assert "very-secret" not in repr(settings)
    assert "token-too" not in repr(settings)


def test_a_section_of_the_file_is_settings_of_its_own() -> None:
    Path("qqmedia.toml").write_text('[qqmedia.s3]\nprefix = "a/"\n[qqmedia.s3.backup]\nprefix = "b/"\nthreads = 2\n')
    assert load().prefix == "a/"
    assert (load("backup").prefix, load("backup").threads) == ("b/", 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "https://pics.s3.amazonaws.com/qqmedia/a.png us-east-1"),
        ({"region": "eu-north-1"}, "https://pics.s3.eu-north-1.amazonaws.com/qqmedia/a.png eu-north-1"),
        (
            {"provider": "r2", "endpoint_url": "https://acc.r2.cloudflarestorage.com"},
            "https://acc.r2.cloudflarestorage.com/pics/qqmedia/a.png auto",
        ),
        (
            {"endpoint_url": "https://acc.r2.cloudflarestorage.com"},
            "https://acc.r2.cloudflarestorage.com/pics/qqmedia/a.png auto",
        ),
        ({"endpoint_url": "http://minio:9000"}, "http://minio:9000/pics/qqmedia/a.png us-east-1"),
        (
            {"provider": "seaweedfs", "endpoint_url": "http://localhost:8333"},
            "http://localhost:8333/pics/qqmedia/a.png us-east-1",
        ),
        (
            {"endpoint_url": "https://s3.us-west-004.backblazeb2.com"},
            "https://s3.us-west-004.backblazeb2.com/pics/qqmedia/a.png us-west-004",
        ),
        (
            {"provider": "b2", "region": "eu-central-003"},
            "https://s3.eu-central-003.backblazeb2.com/pics/qqmedia/a.png eu-central-003",
        ),
        (
            {"provider": "cos", "region": "ap-guangzhou"},
            "https://pics.cos.ap-guangzhou.myqcloud.com/qqmedia/a.png ap-guangzhou",
        ),
        (
            {"endpoint_url": "https://cos.ap-shanghai.myqcloud.com"},
            "https://pics.cos.ap-shanghai.myqcloud.com/qqmedia/a.png ap-shanghai",
        ),
        (
            {"provider": "oss", "region": "cn-hangzhou"},
            "https://pics.s3.oss-cn-hangzhou.aliyuncs.com/qqmedia/a.png cn-hangzhou",
        ),
        (
            {"endpoint_url": "https://s3.oss-cn-beijing.aliyuncs.com"},
            "https://pics.s3.oss-cn-beijing.aliyuncs.com/qqmedia/a.png cn-beijing",
        ),
        (
            {"endpoint_url": "https://s3.oss-cn-beijing-internal.aliyuncs.com"},
            "https://pics.s3.oss-cn-beijing-internal.aliyuncs.com/qqmedia/a.png cn-beijing",
        ),
        (
            {"provider": "cos", "endpoint_url": "http://127.0.0.1:9", "region": "x-1"},
            "http://127.0.0.1:9/pics/qqmedia/a.png x-1",
        ),
        (
            {"provider": "aws", "endpoint_url": "http://localhost:4566"},
            "http://localhost:4566/pics/qqmedia/a.png us-east-1",
        ),
        (
            {"endpoint_url": "https://s3.example.com", "addressing_style": "virtual"},
            "https://pics.s3.example.com/qqmedia/a.png us-east-1",
        ),
    ],
)
def test_each_service_has_its_addresses(given: dict[str, Any], expected: str) -> None:
    assert address(**given) == expected


def test_the_region_comes_from_the_nearest_that_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "aws-config").write_text("[profile work]\nregion = sa-east-1\n")
    assert address(profile="work").endswith(" sa-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert address().endswith(" eu-west-3")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert address().endswith(" eu-west-2")
    # That variable is meant for AWS.
    assert address(endpoint_url="https://acc.r2.cloudflarestorage.com").endswith(" auto")
    assert address(region="eu-west-1").endswith(" eu-west-1")


def test_the_address_comes_from_the_vendors_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://all.example.com")
    assert load().endpoint_url == "https://all.example.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
    assert load().endpoint_url == "https://s3.example.com"
    assert load(endpoint="https://mine.example.com").endpoint_url == "https://mine.example.com"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bucket": ""}, "bucket"),
        ({"access_key_id": "AK"}, "access_key_id and secret_access_key belong together"),
        ({"session_token": "t"}, "session_token belongs to"),
        ({"provider": "r2"}, "give endpoint_url"),
        ({"provider": "gcs"}, "provider"),
        ({"url": "presigned", "public_base_url": "https://cdn.example.com"}, "leave out public_base_url"),
        ({"public_base_url": "ftp://cdn.example.com"}, "public_base_url"),
        ({"endpoint_url": "http://s3.example.com:s3"}, "'endpoint_url' is wrong"),
        ({"bucket": "my pics!"}, "'bucket' is wrong"),
        ({"access_key_id": "AK", "secret_access_key": "秘密hunter2"}, "'secret_access_key' is wrong: must be ASCII"),
        ({**KEYS, "session_token": "hunter2\nrest"}, "'session_token' is wrong: must be ASCII"),
        ({"endpoint_url": "https://u:p@s3.example.com"}, "no user name and no password"),
        ({"verify": "no-such-file.pem"}, "there is no such file"),
        ({"prefix": "a//b"}, "no part may be empty"),
        ({"prefix": "../x/"}, "no part may be empty"),
        ({"part_size_mib": 1}, "part_size_mib"),
        ({"threads": 0}, "threads"),
        ({"addressing_style": "host"}, "addressing_style"),
        ({"region": "eu west"}, "region"),
        ({"secret_key": "hunter2"}, "did you mean 'secret_access_key'"),
    ],
)
def test_nonsense_is_refused_by_name(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        load(**given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_profile_that_does_not_exist_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"profile \(nobody\).*check profile \(AWS_PROFILE\)"):
        async with open_driver(SPEC, bucket="pics", profile="nobody"):
            pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("given", "on_loopback", "reach"),
    [
        ({}, False, Reach.UNKNOWN),
        ({"endpoint_url": "http://127.0.0.1:9"}, False, Reach.PRIVATE),
        ({"endpoint_url": "http://127.0.0.1:9"}, True, Reach.PUBLIC),
        ({"endpoint_url": "http://10.0.0.7:9"}, False, Reach.PRIVATE),
        ({"endpoint_url": "http://10.0.0.7:9", "public_base_url": "https://cdn.example.com"}, False, Reach.PUBLIC),
        ({"public_base_url": "http://127.0.0.1:9"}, False, Reach.PRIVATE),
    ],
)
async def test_reach_is_told_by_the_address(given: dict[str, Any], on_loopback: bool, reach: Reach) -> None:
    async with open_driver(SPEC, platform_on_loopback=on_loopback, bucket="pics", **KEYS, **given) as driver:
        assert getattr(driver, "reach", None) is reach
