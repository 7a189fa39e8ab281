from __future__ import annotations

import inspect
import typing
from collections.abc import Callable

import pytest

from bot_core import AmiyaBot
from bot_core.qq_group import QQGroupChainBuilderOptions, qq_group
from bot_core.qq_group.settings import AdapterSettings, Platform
from qqmedia import ConfigurationError


def settings(**given: object) -> AdapterSettings:
    return AdapterSettings(client_secret="s", inline_limit=1, **given)  # type: ignore[arg-type]


def test_the_public_platform_is_the_default() -> None:
    assert Platform.of(settings()) == Platform("https://api.bot.qq.com", "https://api.bot.qq.com/app/getAppAccessToken")


def test_the_token_address_is_below_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Platform("http://127.0.0.1:9000", "http://127.0.0.1:9000/app/getAppAccessToken")
    assert Platform.of(settings(api_base="http://127.0.0.1:9000/")) == expected
    monkeypatch.setenv("QQ_API_BASE", "http://127.0.0.1:9000")
    assert Platform.of(settings()) == expected


def test_the_environment_points_a_bot_at_another_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQ_API_BASE", "http://127.0.0.1:9000")
    monkeypatch.setenv("QQ_TOKEN_URL", "http://127.0.0.1:9001/token")
    assert Platform.of(settings()) == Platform("http://127.0.0.1:9000", "http://127.0.0.1:9001/token")
    # An address in the program does not get its tokens from somewhere else.
    assert Platform.of(settings(api_base="http://h")).token_url == "http://h/app/getAppAccessToken"


@pytest.mark.parametrize(
    ("base", "on_loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("https://api.bot.qq.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_whether_the_platform_is_on_this_machine(base: str, on_loopback: bool) -> None:
    assert Platform.of(settings(api_base=base)).on_loopback is on_loopback


@pytest.mark.parametrize(
    "given",
    [
        {"api_base": "api.bot.qq.com"},
        {"token_url": "ftp://x/y"},
        {"api_base": "http://"},
        {"api_base": "http://127.0.0.1:1\nhttp://x"},
        {"token_url": "http://127.0.0.1:99999/x"},
    ],
)
def test_an_address_that_is_none_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="must be an http"):
        Platform.of(settings(**given))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"client_secret": ""}, "client_secret is empty"),
        ({"client_secret": "s", "shards": 0}, "shards must be"),
        ({"client_secret": "s", "shards": "some"}, "shards must be"),
        ({"client_secret": "s", "shards": "auto", "shard_index": 1}, "leave shard_index out"),
        ({"client_secret": "s", "shards": 2, "shard_index": 2}, "from 0 to 1"),
        ({"client_secret": "s", "max_handlers": 0}, "max_handlers"),
        ({"client_secret": "s", "shutdown_grace": -1}, "shutdown_grace"),
        ({"client_secret": 5}, "client_secret must be text, got int"),
        ({"client_secret": "hush \n"}, "^client_secret has a space or a line break in it; copy it once more$"),
        ({"client_secret": "s", "shards": 2, "shard_index": "0"}, "from 0 to 1"),
        ({"client_secret": "s", "max_handlers": "10"}, "max_handlers must be a whole number"),
        ({"client_secret": "s", "inline_limit": None}, "inline_limit must be a whole number"),
        ({"client_secret": "s", "shutdown_grace": "5"}, "shutdown_grace"),
        ({"client_secret": "s", "shutdown_grace": float("nan")}, "shutdown_grace"),
        ({"client_secret": "s", "intents": "all"}, "intents must be bits"),
        ({"client_secret": "s", "keep_session": "no"}, "keep_session must be True, False or None"),
        (
            {"client_secret": "s", "proactive_fallback": "false"},
            "proactive_fallback must be True or False",
        ),
        ({"client_secret": "s", "reuse_across_chats": None}, "reuse_across_chats must be True or False, got None"),
        ({"client_secret": "s", "subscribe_group_member_event": "no"}, "must be True or False, got 'no'"),
        ({"client_secret": "s", "api_base": 5}, "api_base must be an http"),
        ({"client_secret": "s", "health": 8087}, 'health must be "host:port"'),
        (
            {"client_secret": "s", "default_chain_builder_options": {"port": 8087}},
            r"default_chain_builder_options must be QQGroupChainBuilderOptions\(port=...\), got dict",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        qq_group(**given)  # type: ignore[arg-type]


def test_the_secret_never_shows() -> None:
    adapter = qq_group("very-secret")("1020", "")
    assert "very-secret" not in repr(adapter) + repr(adapter._settings)


def test_only_what_differs_from_the_default_counts_as_given() -> None:
    assert QQGroupChainBuilderOptions("0.0.0.0", 8086, "./resource").server_settings() == {}
    assert QQGroupChainBuilderOptions("127.0.0.1", 9000, public_url="https://m").server_settings() == {
        "host": "127.0.0.1",
        "port": 9000,
        "public_url": "https://m",
    }
    assert QQGroupChainBuilderOptions(server_config={"a": 1}).server_settings() == {"http_server_options": {"a": 1}}


@pytest.mark.parametrize(
    ("given", "words"),
    [(None, "appid is empty"), ("", "appid is empty"), ("102\n", r"appid has .* line break in it: '102")],
)
def test_an_appid_that_is_none_is_told_where_the_bot_is_made(given: str | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        AmiyaBot(given, adapter=qq_group("s"))


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two names of one thing"):
        QQGroupChainBuilderOptions(http_server_options={}, server_config={})
    values: list[object] = [0, "1", None, float("nan")]
    for value in values:
        with pytest.raises(ConfigurationError, match=r"media_max_bytes must be a number greater than 0, got "):
            QQGroupChainBuilderOptions(media_max_bytes=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        ({}, 1 << 25 | 1 << 26),
        ({"subscribe_group_member_event": True}, 1 << 24 | 1 << 25 | 1 << 26),
        ({"intents": 1 << 25}, 1 << 25),
    ],
)
def test_what_is_subscribed_to(given: dict[str, object], bits: int) -> None:
    assert settings(**given).wanted_intents == bits


def test_the_signature_of_qq_group_can_be_read_with_its_types() -> None:
    signature = inspect.signature(qq_group, eval_str=True)
    assert list(signature.parameters)[:6] == [
        "client_secret", "default_chain_builder", "default_chain_builder_options", "shard_index", "shards",
        "subscribe_group_member_event",
    ]  # fmt: skip
    assert typing.get_origin(signature.return_annotation) is Callable
