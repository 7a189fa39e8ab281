"""What can be set, what old bots set, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from qqmedia_drivers.local import qqmedia_register_drivers


@pytest.fixture
def settings() -> Any:
    spec = qqmedia_register_drivers()
    assert callable(spec.settings)
    return spec.settings()


def test_defaults_are_those_of_the_documentation(settings: Any) -> None:
    made = settings()
    assert (made.host, made.port, str(made.resource_path)) == ("0.0.0.0", 8086, "resource")
    assert (made.public_url, made.http_server_options) == (None, None)


def test_asking_for_the_driver_loads_no_server_and_no_pydantic() -> None:
    check = (
        "import sys; from qqmedia_drivers import local, direct; local.qqmedia_register_drivers();"
        "direct.qqmedia_register_drivers(); print([m for m in ('aiohttp', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-Ic", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://", "http://x/?q=1", "http://x/#part"])
def test_a_public_url_must_be_absolute_http(settings: Any, url: str) -> None:
    with pytest.raises(ValidationError, match="must be http://HOST"):
        settings(public_url=url)


@pytest.mark.parametrize("changes", [{"port": -1}, {"port": 65536}, {"resource": "x"}, {"http_server_options": 5}])
def test_nonsense_is_refused(settings: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


TLS = {"ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"}


class OfTheClass:
    uvicorn_options: ClassVar = TLS
    title = None

    def methods_are_no_settings(self) -> None: ...


@dataclasses.dataclass(slots=True)
class InSlots:
    ssl_certfile: str
    ssl_keyfile: str


@pytest.mark.parametrize(
    "given",
    [
        TLS,
        {"uvicorn_options": TLS},
        SimpleNamespace(**TLS),
        SimpleNamespace(uvicorn_options=TLS, title=None),
        {"uvicorn_options": SimpleNamespace(**TLS)},
        OfTheClass(),
        InSlots(**TLS),
    ],
)
def test_a_certificate_is_taken_from_wherever_it_stands(
    settings: Any, given: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings(http_server_options=given).http_server_options == TLS
    assert not caplog.records


def test_keys_without_meaning_are_one_warning_that_names_them(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    given = {"title": "My bot", "auth_key": "x", "uvicorn_options": {"log_level": "info", **TLS}}
    with caplog.at_level(logging.WARNING):
        assert settings(http_server_options=given).http_server_options == TLS
    (record,) = caplog.records
    assert "auth_key, title, uvicorn_options['log_level']" in record.message


def test_an_unknown_key_is_an_error_that_lists_the_known_ones(settings: Any) -> None:
    with pytest.raises(ValidationError, match=r"unknown key certfile; known are ssl_certfile, .*uvicorn_options"):
        settings(http_server_options={"certfile": "x"})


def test_a_key_without_its_certificate_is_an_error(settings: Any) -> None:
    with pytest.raises(ValidationError, match="ssl_keyfile without ssl_certfile"):
        settings(http_server_options={"uvicorn_options": {"ssl_keyfile": "k.pem"}})


def test_the_password_of_the_key_is_in_no_repr(settings: Any) -> None:
    secret = secrets.token_hex()
    made = settings(http_server_options={**TLS, "ssl_keyfile_password": secret})
    assert made.http_server_options["ssl_keyfile_password"] == secret
    assert secret not in f"{made!r} {made}"
