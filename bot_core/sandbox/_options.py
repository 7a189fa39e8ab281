"""How the sandbox behaves: every limit of the platform that a bot can meet, as a setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal

from bot_core.openapi.values import FileType, Intents
from bot_core.sandbox._formats import HARD_BYTES, SOFT_BYTES
from bot_core.sandbox._option_groups import ChunkOptions, ImageStoreOptions, LimitOptions
from qqmedia import ConfigurationError

__all__ = ("KNOWN_INTENTS", "SandboxAccount", "SandboxOptions")

MIB: Final = 1024 * 1024

_GUILD_INTENT_BITS: Final = (0, 1, 9, 10, 12, 18, 19, 27, 28, 29, 30)

# Every bit that the platform's tables name; any other bit is "invalid intents" (4013).
KNOWN_INTENTS: Final = (
    Intents.GROUP_MEMBER_EVENT
    | Intents.GROUP_AND_C2C_EVENT
    | Intents.INTERACTION
    | sum(1 << bit for bit in _GUILD_INTENT_BITS)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxAccount:
    """A bot account that the sandbox knows."""

    appid: str = "1020000001"
    secret: str = field(default="sandbox-secret", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What the sandbox allows and how it behaves; the defaults are the platform's, as far as they are known.

    Attributes:
        accounts: Accounts that exist. Empty: every appid exists, with whatever secret comes, so that a bot with its
            real appid and secret (or with dots in their place) can be pointed here. With accounts, a wrong pair is
            refused as the platform does it.
        bot_name: What the bots are called.
        clock: Wall clock in seconds; tests move it to get past windows and lifetimes.
        token_lifetime_seconds: Of an access token.
        allowed_addresses: Addresses that calls with a token may come from, as in the console's list; 401 with 11298 for
            any other. Empty: any.
        fetch_timeout_seconds: The whole budget for downloading a URL given to ``/files``.
        public_names: Names that the sandbox looks up here and nowhere else. They count as public whatever address they
            stand for, so that a server on loopback can be reached while `refuse_private` is on; an empty address: no
            such name.
        fetch_ports: Ports that the platform would fetch from; empty: any.
        refuse_private: Refuse loopback and private addresses in URLs, as the real platform must.
        inline_body_bytes: Request bodies above this get the front proxy's HTML 413 (seen: 5, 10 and 15 MB).
        user_inline_body_bytes: The same in private chats (one report has 10 MB in groups and 15 MB there); 0: as in
            groups.
        soft_bytes: By type of file: above it people see a file card.
        hard_bytes: Above it a file is refused with 850031.
        file_ttl_seconds: `ttl` of a `file_info`; 0: it does not expire.
        lenient_voice: Take mp3, wav and ogg as voice too, as the platform's overview page says; else Tencent silk only.
        strict_images: Take only png, jpg and gif as images, as the platform's API page says; else webp and bmp too.
        chunks: Chunked upload.
        images: The image store for markdown.
        markdown_pictures: What becomes of other addresses of pictures in markdown: `fetch` them, and answer 40034141 if
            that fails; `refuse` them with 40034141; `ignore` them.
        full_receive: The groups' admins let the bot read everything: a mention comes as `GROUP_MESSAGE_CREATE`.
        refuse_links: Refuse ``http(s)`` links in the text of group messages (40054010).
        group_window_seconds: For how long a group message can be answered.
        group_replies: How often.
        user_window_seconds: For how long a private message can be answered.
        user_replies: How often.
        proactive: Messages that answer nothing are allowed; else 40034105 in groups, 40054013 in private.
        limits: How fast and how much a bot may call and speak.
        text_limit: Characters of a text, 40054007 above it; 0: any, since the platform's number is not known.
        audit: Hold every message for audit: 202 with 304023. It arrives (`pass`), or never does (`reject`).
        interaction_seconds: How soon a pressed button is to be acknowledged.
        heartbeat_interval_ms: What Hello tells.
        heartbeat_silence_seconds: A connection without a heartbeat for so long is closed with 4009.
        session_start_total: Identifies in 24 hours; one more is answered with op 9.
        max_concurrency: Identifies of one bot in any `identify_window_seconds`, as ``/gateway/bot`` tells; one more is
            answered with op 9.
        identify_window_seconds: See there; 0: as many as it likes.
        connection_lifetime_seconds: A connection so old is closed with 4009, as it is every half hour; 0: never.
        recommended_shards: What ``/gateway/bot`` tells.
        least_shards: An identify as one of fewer shards gets 4011.
        granted_intents: Bits that the bots may ask for; any other gets 4014.
        resume_window_seconds: For how long a session without a connection can be resumed, and collects events.
        replay_events: How many events a session keeps for a resume.
        connect_timeout_seconds: How long `say` waits for a bot to connect.
        media_memory_bytes: A medium up to this size stays in memory, a larger one goes to a temporary file.
        media_total_bytes: How much media is kept in all; the oldest is dropped first.
        kept: How many arrivals, and how many refused calls, are remembered.
        remembered_messages: How many incoming messages can still be answered, and files be sent.
        allow_remote: Allow listening on an address that other machines reach. The control API stays on loopback.
    """

    accounts: tuple[SandboxAccount, ...] = ()
    bot_name: str = "sandbox-bot"
    clock: Callable[[], float] = field(default=time.time, repr=False)

    token_lifetime_seconds: float = 7200
    allowed_addresses: tuple[str, ...] = ()

    fetch_timeout_seconds: float = 5.0
    public_names: Mapping[str, str] = field(default_factory=dict, repr=False)
    fetch_ports: tuple[int, ...] = ()
    refuse_private: bool = False
    inline_body_bytes: int = 10 * MIB
    user_inline_body_bytes: int = 0
    soft_bytes: Mapping[FileType, int] = field(default_factory=lambda: dict(SOFT_BYTES), repr=False)
    hard_bytes: int = HARD_BYTES
    file_ttl_seconds: int = 3600
    lenient_voice: bool = False
    strict_images: bool = False
    chunks: ChunkOptions = field(default_factory=ChunkOptions)
    images: ImageStoreOptions = field(default_factory=ImageStoreOptions)
    markdown_pictures: Literal["fetch", "refuse", "ignore"] = "fetch"

    full_receive: bool = False
    refuse_links: bool = True
    group_window_seconds: float = 5 * 60
    group_replies: int = 5
    user_window_seconds: float = 60 * 60
    user_replies: int = 4
    proactive: bool = True
    limits: LimitOptions = field(default_factory=LimitOptions)
    text_limit: int = 0
    audit: Literal["", "pass", "reject"] = ""
    interaction_seconds: float = 5.0

    heartbeat_interval_ms: int = 41250
    heartbeat_silence_seconds: float = 60
    session_start_total: int = 1500
    max_concurrency: int = 1
    identify_window_seconds: float = 5.0
    connection_lifetime_seconds: float = 0
    recommended_shards: int = 1
    least_shards: int = 1
    granted_intents: int = KNOWN_INTENTS
    resume_window_seconds: float = 300
    replay_events: int = 2000
    connect_timeout_seconds: float = 10

    media_memory_bytes: int = 2 * MIB
    media_total_bytes: int = 512 * MIB
    kept: int = 10_000
    remembered_messages: int = 50_000
    allow_remote: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigurationError: It names the option.
        """
        for name in ("token_lifetime_seconds", "fetch_timeout_seconds", "inline_body_bytes", "heartbeat_interval_ms",
                     "heartbeat_silence_seconds", "media_total_bytes", "hard_bytes", "kept",
                     "remembered_messages", "max_concurrency", "recommended_shards", "least_shards"):  # fmt: skip
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and value > 0):  # NaN is not
                raise ConfigurationError(f"{name} must be more than 0, got {value!r}")
        for one in fields(self):
            value = getattr(self, one.name)
            number = isinstance(value, (int, float))
            if (number or one.type in ("int", "float")) and not (number and value >= 0):
                raise ConfigurationError(f"{one.name} must be 0 or more, got {value!r}")
        for name, allowed in (("markdown_pictures", ("fetch", "refuse", "ignore")), ("audit", ("", "pass", "reject"))):
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        appids = [account.appid for account in self.accounts]
        if len(set(appids)) != len(appids):
            raise ConfigurationError(f"accounts: an appid is given twice in {', '.join(appids)}")
