"""Settings: three sources, one order, and no misspelling that goes unnoticed."""

from __future__ import annotations

import secrets
import traceback
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr, model_validator

from qqmedia import ConfigurationError, open_host
from qqmedia.settings import check_names, chosen_driver, load_settings


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
        ({"bucket": "b"}, {"VERIFY": "maybe"}, "", r"QQMEDIA_STORE_VERIFY is wrong \('maybe'\): expected on or off"),
        ({"bucket": "b", "options": 3}, {}, "", r"'options' is wrong \(3\): expected a table .* a JSON object"),
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


def test_the_driver_is_chosen_by_environment_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_driver() is None
    (tmp_path / "qqmedia.toml").write_text('[qqmedia]\ndriver = ["direct", "local"]\n')
    assert chosen_driver() == ["direct", "local"]
    monkeypatch.setenv("QQMEDIA_DRIVER", "local")
    assert chosen_driver() == "local"


def test_another_key_in_the_main_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "qqmedia.toml").write_text('[qqmedia]\ndrivr = "direct"\n')
    with pytest.raises(ConfigurationError, match=r"toml: .drivr. is not a setting of \[qqmedia\]; did you mean"):
        chosen_driver()


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "qqmedia.toml"
    path.write_text('[qqmedia]\ndriver = "direct"\n', "utf-8-sig")
    assert chosen_driver() == "direct", "the mark at the start is no part of the text"
    path.write_bytes("# 图床\n[qqmedia]\n".encode("gbk"))
    with pytest.raises(ConfigurationError, match=r"qqmedia.toml is not in UTF-8 \(byte \d+\); save it as UTF-8"):
        chosen_driver()


INSTALLED = ("cos", "local", "s3", "s3-backup", "watermark")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("QQMEDIA_LOCL_PORT", "QQMEDIA_LOCAL_PORT"),
        ("QQMEDIA_HOSTT_TTL", "QQMEDIA_HOST_TTL"),
        ("QQMEDIA_SLIK_MAX_SECONDS", "QQMEDIA_SILK_MAX_SECONDS"),
        ("QQMEDIA_S3_BACKPU_KEY", "QQMEDIA_S3_BACKUP_KEY"),
        ("QQMEDIA_DRIVR", "QQMEDIA_DRIVER"),
        ("qqmedia_blok", "QQMEDIA_BLOCK"),
    ],
)
def test_a_misspelt_variable_is_an_error(variable: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    names = [name for name in INSTALLED if name != "s3"] if "BACKPU" in variable else INSTALLED
    with pytest.raises(ConfigurationError, match=f"variable {variable} is read by nobody; did you mean {meant}"):
        check_names(names)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[qqmedia.locl]\nport = 1", r"\[qqmedia.locl\] in qqmedia.toml is .*did you mean \[qqmedia.local\]"),
        ("[qqmedia.hst]\nttl = 1", r"did you mean \[qqmedia.host\]"),
        ("[qqmedia.COS]\nbucket = 1", r"did you mean \[qqmedia.cos\]"),
        ("[local]\nport = 1", r"\[local\] in qqmedia.toml is .*did you mean \[qqmedia.local\]"),
        ("[qqmeda.local]\nport = 1", r"did you mean \[qqmedia\]"),
        ('driver = "local"', r"'driver' at the top of qqmedia.toml .*'driver' in \[qqmedia\]"),
        ('[qqmedia]\ndriver = "local"\nport = 8087', r"'port' is not a setting of \[qqmedia\].*\[qqmedia.local\]"),
    ],
)
def test_a_misspelt_table_is_an_error(text: str, wrong: str) -> None:
    Path("qqmedia.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=wrong):
        check_names(INSTALLED)


def test_what_resembles_nothing_is_one_line_and_what_is_known_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = {
        "QQMEDIA_CACHE": "x", "QQMEDIA_DEBUG": "1", "QQMEDIA_COS_BUCKET": "b", "QQMEDIA_S3_BACKUP_KEY": "k",
        "QQMEDIA_IMAGE_CONVERT": "1", "QQMEDIA_WATERMARK_TEXT": "t", "QQMEDIA_LOCL_HOST": "",
    }  # fmt: skip
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    Path("qqmedia.toml").write_text('[qqmedia]\ndriver = "cos"\n[qqmedia.local.second]\nport = 1\n[qqmedia.video]\n')
    check_names(INSTALLED)
    assert caplog.messages == []
    # Perhaps a driver that is installed on another machine.
    monkeypatch.setenv("QQMEDIA_PORT", "8087")
    monkeypatch.setenv("QQMEDIA_BOS_SECRET", secret := secrets.token_hex())
    Path("qqmedia.toml").write_text("port = 8087\n[qqmedia.webdav]\nurl = 1\n[tool.other]\nx = 1\n")
    check_names(INSTALLED)
    assert [message.partition(" is read by no driver")[0] for message in caplog.messages] == [
        "environment variable QQMEDIA_BOS_SECRET", "environment variable QQMEDIA_PORT",
        "'port' at the top of qqmedia.toml", "[tool] in qqmedia.toml", "[qqmedia.webdav] in qqmedia.toml",
    ]  # fmt: skip
    assert secret not in caplog.text


@pytest.mark.asyncio
async def test_a_host_does_not_open_with_a_misspelt_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_LOCL_PORT", "8087")
    with pytest.raises(ConfigurationError, match="did you mean QQMEDIA_LOCAL_PORT"):
        async with open_host("direct"):
            pass
