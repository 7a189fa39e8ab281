"""Settings: three sources, one order, and no misspelling that goes unnoticed."""

from __future__ import annotations

import secrets
import traceback
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr, model_validator

from qqmedia import ConfigurationError
from qqmedia.settings import chosen_driver, load_settings


class Store(BaseModel):
    bucket: str
    region: str = Field("r1", validation_alias=AliasChoices("area", "region"))
    prefix: str = Field("qqmedia/", validation_alias="path")
    port: int = 80
    verify: bool = True
    url: Literal["public", "presigned"] = "presigned"
    options: dict[str, Any] = {}
    tags: list[str] | None = None
    secret_key: SecretStr | None = None

    @model_validator(mode="after")
    def _fit(self) -> Store:
        if self.bucket == "odd" and self.port == 80:
            raise ValueError("bucket odd needs another port")
        return self


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "qqmedia.toml"
    path.write_text(
        '[qqmedia.store]\nbucket = "file"\nport = 1\narea = "file-area"\n'
        "[qqmedia.store.options]\nclient_max_size = 5\n"
        '[qqmedia.store.backup]\nbucket = "second"\n[qqmedia.other]\nx = 1\n'
    )
    return path


def test_keywords_win_over_environment_over_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_STORE_PORT", "2")
    monkeypatch.setenv("QQMEDIA_STORE_BUCKET", "variable")
    settings = load_settings(Store, "store", {"bucket": "keyword"})
    assert (settings.bucket, settings.port, settings.region) == ("keyword", 2, "file-area")
    assert settings.options == {"client_max_size": 5}
    assert settings.model_fields_set == {"bucket", "port", "region", "options"}


@pytest.mark.parametrize("name", ["area", "region"])
def test_every_name_of_a_setting_works_in_every_source(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(Store, "store", {"bucket": "b", name: "x"}).region == "x"
    with monkeypatch.context() as environment:
        environment.setenv(f"QQMEDIA_STORE_{name.upper()}", "y")
        assert load_settings(Store, "store", {"bucket": "b"}).region == "y"
    (tmp_path / "qqmedia.toml").write_text(f'[qqmedia.store]\n{name} = "z"\n')
    assert load_settings(Store, "store", {"bucket": "b", "prefix": "p"}).region == "z"
    # The alias of one source and the name of another are the same setting.
    monkeypatch.setenv("QQMEDIA_STORE_AREA", "variable")
    assert load_settings(Store, "store", {"bucket": "b", "region": "keyword"}).region == "keyword"


def test_variables_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BUCKET": "b", "OPTIONS": '{"a": [1]}', "TAGS": '["x"]', "VERIFY": "false", "SECRET_KEY": "geheim", "PORT": "",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"QQMEDIA_STORE_{name}", value)
    settings = load_settings(Store, "store", {})
    assert (settings.options, settings.tags, settings.verify, settings.port) == ({"a": [1]}, ["x"], False, 80)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "geheim"
    assert "port" not in settings.model_fields_set, "empty means not given"
    monkeypatch.setenv("QQMEDIA_STORE_OPTIONS", "a=1")
    with pytest.raises(ConfigurationError, match="QQMEDIA_STORE_OPTIONS must be JSON"):
        load_settings(Store, "store", {})


def test_a_section_stands_in_for_the_table(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(Store, "store", {}, "backup").bucket == "second"
    assert load_settings(Store, "store", {}, "backup").port == 80
    monkeypatch.setenv("QQMEDIA_STORE_PORT", "3")
    assert load_settings(Store, "store", {}, "backup").port == 3
    with pytest.raises(ConfigurationError, match=r"no table \[qqmedia.store.bakup\]; did you mean 'backup'"):
        load_settings(Store, "store", {}, "bakup")


def test_variables_of_a_driver_with_a_longer_name_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_STORE_BACKUP_LEVEL", "1")
    with pytest.raises(ConfigurationError, match="QQMEDIA_STORE_BACKUP_LEVEL"):
        load_settings(Store, "store", {"bucket": "b"})
    assert load_settings(Store, "store", {"bucket": "b"}, other_names=["store", "store-backup"]).bucket == "b"


@pytest.mark.parametrize(
    ("keywords", "variables", "file", "text"),
    [
        ({"buckt": 1}, {}, "", r"^'buckt' is not a setting of 'store'; did you mean 'bucket'\?$"),
        ({"zzz": 1}, {}, "", "known are: .*bucket"),
        ({}, {"PROT": "1"}, "", "variable QQMEDIA_STORE_PROT is .*did you mean 'QQMEDIA_STORE_PORT'"),
        ({}, {}, "buket = 1", r"toml: 'buket' in \[qqmedia.store\] is not .*did you mean 'bucket'"),
        ({}, {}, "", r"'bucket' of 'store' is not set: give bucket=..., QQMEDIA_STORE_BUCKET, or bucket in \[qqmedia"),
        ({"bucket": "b"}, {"PORT": "many"}, "", r"variable QQMEDIA_STORE_PORT is wrong \('many'\): .*valid integer"),
        ({"bucket": "b", "port": "x"}, {}, "", "keyword 'port' is wrong"),
        ({"bucket": "b"}, {}, 'port = "x"', r"'port' in \[qqmedia.store\] of qqmedia.toml is wrong"),
        ({"bucket": "b"}, {"URL": "privat"}, "", "Input should be 'public' or 'presigned'"),
        ({"bucket": "odd"}, {}, "", "do not fit together: bucket odd needs another port"),
        ({}, {}, "bucket = ", r"qqmedia.toml is not valid TOML: .*line 2"),
    ],
)
def test_each_mistake_names_setting_source_and_way_out(
    keywords: dict[str, Any], variables: dict[str, str], file: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"QQMEDIA_STORE_{name}", value)
    if file:
        Path("qqmedia.toml").write_text(f"[qqmedia.store]\n{file}\n")
    with pytest.raises(ConfigurationError, match=text):
        load_settings(Store, "store", keywords)


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(Store):
        secret_id: int = 0

    secret = secrets.token_hex()
    monkeypatch.setenv("QQMEDIA_STORE_SECRET_ID", secret)
    with pytest.raises(ConfigurationError, match="QQMEDIA_STORE_SECRET_ID is wrong: ") as caught:
        load_settings(Strict, "store", {"bucket": "b", "secret_key": [secret]})
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_the_file_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "elsewhere.toml"
    monkeypatch.setenv("QQMEDIA_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match=r"QQMEDIA_CONFIG names .*elsewhere.toml, which does not exist"):
        load_settings(Store, "store", {})
    path.write_text('[qqmedia.store]\nbucket = "e"\n')
    assert load_settings(Store, "store", {}).bucket == "e"
    path.write_text("[qqmedia]\nstore = 7\n")
    with pytest.raises(ConfigurationError, match="must be a table"):
        load_settings(Store, "store", {})
    path.write_text("qqmedia = 7\n")
    with pytest.raises(ConfigurationError, match="must be a table"):
        load_settings(Store, "store", {})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_settings(Store, "store", {})


def test_the_driver_is_chosen_by_environment_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_driver() is None
    (tmp_path / "qqmedia.toml").write_text('[qqmedia]\ndriver = ["direct", "local"]\n')
    assert chosen_driver() == ["direct", "local"]
    monkeypatch.setenv("QQMEDIA_DRIVER", "local")
    assert chosen_driver() == "local"


def test_another_key_in_the_main_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "qqmedia.toml").write_text('[qqmedia]\ndrivr = "direct"\n')
    with pytest.raises(
        ConfigurationError, match=r"toml: .drivr. is not a setting of \[qqmedia\]; did you mean"
    ):
        chosen_driver()
