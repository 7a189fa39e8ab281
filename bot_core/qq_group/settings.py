"""What `qq_group(...)` was given, checked, and where the platform is."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from bot_core.health import parse_address
from bot_core.openapi.pace import Pace
from bot_core.openapi.values import DEFAULT_API_BASE, DEFAULT_TOKEN_URL, Intents
from bot_core.qq_group.builders import Builder
from bot_core.qq_group.options import QQGroupChainBuilderOptions, check_options
from bot_core.qq_group.reply import ReplyLimits
from bot_core.qq_group.timing import Timing
from bot_core.webhook import WebhookOptions
from qqmedia import ConfigurationError
from qqmedia.guard import NameResolver
from qqmedia.proxy import check_proxy

__all__ = ("AdapterSettings", "Platform", "check_appid")

# Shorter pieces would be mentions and nothing else.
_LEAST_TEXT: Final = 100
_TOKEN_PATH: Final = "/app/getAppAccessToken"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """Settings of one adapter; refuses what makes no sense when built. `bot_core.qq_group.qq_group` explains them."""

    client_secret: str = field(repr=False)
    builder: str | Sequence[str] | Builder | None = None
    options: QQGroupChainBuilderOptions = field(default_factory=QQGroupChainBuilderOptions)
    shard_index: int = 0
    shards: int | Literal["auto"] = 1
    subscribe_group_member_event: bool = False
    api_base: str | None = None
    token_url: str | None = None
    proxy: str | None = field(default=None, repr=False)
    intents: int | None = None
    max_handlers: int = 256
    inline_limit: int = 0
    reuse_across_chats: bool = True
    resolver: NameResolver | None = None  # for tests: links are judged by what it says, wherever the platform is
    fetch_timeout: float = 60.0  # for the platform to fetch a URL; it is said to give up after about 5 s
    shutdown_grace: float = 10.0
    proactive_fallback: bool = False
    pace: Pace = "adaptive"
    reply_limits: ReplyLimits = field(default_factory=ReplyLimits)
    text_limit: int | None = None
    markdown_images: Literal["host", "store"] = "host"
    markdown_protect: Collection[str] = ()
    timing: Timing = field(default_factory=Timing)
    receive: Literal["ws", "webhook", "both"] = "ws"
    webhook: WebhookOptions | None = None
    keep_session: bool | None = None
    health: str | None = None

    def __post_init__(self) -> None:
        check_secret(self.client_secret)
        check_shards(self.shard_index, self.shards)
        check_proxy(self.proxy)
        check_options("default_chain_builder_options", self.options)
        self._check_values()
        self._check_switches()
        self._check_sending()
        self._check_receive()

    def _check_values(self) -> None:
        for name in ("max_handlers", "inline_limit"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be a whole number from 1, got {getattr(self, name)!r}")
        grace: object = self.shutdown_grace
        if not (isinstance(grace, (int, float)) and grace >= 0):  # NaN is not
            raise ConfigurationError(f"shutdown_grace must be 0 or more seconds, got {self.shutdown_grace!r}")
        intents: object = self.intents
        if intents is not None and not (isinstance(intents, int) and intents > 0):
            raise ConfigurationError(
                f"intents must be bits, such as 1 << 25, or None for the usual, got {self.intents!r}"
            )
        for name in ("api_base", "token_url"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise ConfigurationError(f"{name} must be an http(s) URL, got {getattr(self, name)!r}")
        if self.health:
            parse_address(self.health)

    def _check_switches(self) -> None:
        """Refuse what is neither: "false", out of the environment, would switch on."""
        for name in ("proactive_fallback", "reuse_across_chats", "subscribe_group_member_event"):
            if getattr(self, name) not in (True, False):
                raise ConfigurationError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.keep_session not in (True, False, None):
            raise ConfigurationError(f"keep_session must be True, False or None, got {self.keep_session!r}")

    def _check_sending(self) -> None:
        if self.pace not in ("adaptive", "documented", None):
            raise ConfigurationError(f"pace must be 'adaptive', 'documented' or None, got {self.pace!r}")
        if self.markdown_images not in ("host", "store"):
            raise ConfigurationError(f"markdown_images must be 'host' or 'store', got {self.markdown_images!r}")
        if isinstance(self.markdown_protect, str):
            raise ConfigurationError(
                f"markdown_protect must be several names, got {self.markdown_protect!r}; put it into a list"
            )
        if not isinstance(self.reply_limits, ReplyLimits):
            raise ConfigurationError(f"reply_limits must be ReplyLimits(...), got {type(self.reply_limits).__name__}")
        if self.text_limit is not None and (type(self.text_limit) is not int or self.text_limit < _LEAST_TEXT):
            raise ConfigurationError(
                f"text_limit must be a whole number of at least {_LEAST_TEXT} characters, or None, got"
                f" {self.text_limit!r}"
            )

    def _check_receive(self) -> None:
        if self.receive not in ("ws", "webhook", "both"):
            raise ConfigurationError(f"receive must be 'ws', 'webhook' or 'both', got {self.receive!r}")
        if self.webhook is not None and not isinstance(self.webhook, WebhookOptions):
            raise ConfigurationError(f"webhook must be WebhookOptions(...), got {type(self.webhook).__name__}")
        if self.webhook is not None and self.receive == "ws":
            raise ConfigurationError("webhook=... is given, but receive is 'ws'; set receive='webhook' or 'both'")
        if self.receive != "ws" and self.shards not in (1, "auto"):
            raise ConfigurationError(
                f"receive={self.receive!r} gets the events of all shards in one place, and shards={self.shards} does "
                "not go with that; leave shards away"
            )

    @property
    def keeps_session(self) -> bool:
        """Whether a restart resumes the session of the last process."""
        if self.keep_session is not None:
            return self.keep_session
        return os.environ.get("QQBOT_KEEP_SESSION", "").lower() in ("1", "true", "yes", "on", "new")

    @property
    def resumes(self) -> bool:
        """Whether this process may resume the session of the last one, where that was kept."""
        return os.environ.get("QQBOT_KEEP_SESSION", "").lower() != "new"

    @property
    def wanted_intents(self) -> int:
        """The events to subscribe to."""
        if self.intents is not None:
            return self.intents
        wanted = Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION
        return wanted | Intents.GROUP_MEMBER_EVENT if self.subscribe_group_member_event else wanted


def check_secret(secret: object) -> None:
    """Refuse what cannot be an AppSecret, without showing it.

    Raises:
        ConfigurationError: It says where there is one.
    """
    if not secret:
        raise ConfigurationError("client_secret is empty; it is the AppSecret of the bot's page on q.qq.com")
    if not isinstance(secret, str):
        raise ConfigurationError(f"client_secret must be text, got {type(secret).__name__}")
    if any(one.isspace() for one in secret):
        raise ConfigurationError("client_secret has a space or a line break in it; copy it once more")


def check_appid(appid: str) -> None:
    """Refuse what cannot be an AppID.

    Raises:
        ConfigurationError: It says where there is one.
    """
    if not appid:
        raise ConfigurationError("appid is empty; it is the AppID of the bot's page on q.qq.com: AmiyaBot(appid=...)")
    if any(one.isspace() for one in appid):
        raise ConfigurationError(f"appid has a space or a line break in it: {appid!r:.80}; copy it once more")


def check_shards(index: int, shards: int | str) -> None:
    """Refuse shards that do not exist.

    Raises:
        ConfigurationError: It says which there are.
    """
    if shards == "auto":
        if index != 0:
            raise ConfigurationError(
                f'shards="auto" runs all shards in this process: leave shard_index out, got {index!r}'
            )
        return
    if type(shards) is not int or shards < 1:
        raise ConfigurationError(f'shards must be a whole number from 1, or "auto", got {shards!r}')
    if type(index) is not int or not 0 <= index < shards:
        raise ConfigurationError(f"shard_index must be from 0 to {shards - 1} (shards={shards}), got {index!r}")


def _is_address(url: str) -> bool:
    if any(one.isspace() or not one.isprintable() for one in url):  # urlsplit drops some of these in silence
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port has such a number
        return False


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the platform is.

    Attributes:
        api_base: Address of the API, without a slash at the end.
        token_url: Whole address where tokens are given.
    """

    api_base: str
    token_url: str

    @classmethod
    def of(cls, settings: AdapterSettings) -> Platform:
        """Take it from the settings, else from ``QQ_API_BASE`` and ``QQ_TOKEN_URL``, else the public platform.

        Raises:
            ConfigurationError: An address is no http(s) URL.
        """
        base = settings.api_base or os.environ.get("QQ_API_BASE") or ""
        token_url = settings.token_url or ("" if settings.api_base else os.environ.get("QQ_TOKEN_URL")) or ""
        for name, url in (("api_base (QQ_API_BASE)", base), ("token_url (QQ_TOKEN_URL)", token_url)):
            if url and not _is_address(url):
                raise ConfigurationError(f"{name} must be an http(s) URL, got {url!r}")
        if not base:
            return cls(DEFAULT_API_BASE, token_url or DEFAULT_TOKEN_URL)
        base = base.rstrip("/")
        return cls(base, token_url or base + _TOKEN_PATH)

    @property
    def on_loopback(self) -> bool:
        """Whether it runs on this machine, so that it can fetch what is served on loopback."""
        host = urlsplit(self.api_base).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False
