"""Options that belong together, each group with the platform's own behaviour as its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from qqmedia import ConfigurationError

__all__ = ("ChunkOptions", "ImageStoreOptions", "LimitOptions")

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOptions:
    """How chunked upload behaves (PLATFORM 2.5); where reports differ, each of them can be had.

    Attributes:
        block_bytes: Size of a part; 5 MiB and 10 MiB were seen.
        index_base: Index of the first part: 1 as observed, 0 as documented.
        block_size_form: How `block_size` is served: `mixed` as observed (a number for all, a string at each part).
        full_last_block: The last part claims a whole block, though less is left.
        upload_config: Where `concurrency` and the two retry values are: `nested` in `upload_config`, `top_level`, or
            `absent`.
        concurrency: How many parts a bot may upload at once, as served. It is noted, not enforced.
        retry_timeout_seconds: For how long a bot may repeat after 40093001, as served.
        retry_delay_seconds: How long it waits in between, as served; tests give a fraction.
        take_int_size: Take `file_size` as a number; else that is 850012, as one report has it.
        finish_block_size: Form of `block_size` that ``upload_part_finish`` takes; the other one is 850012.
        busy_finishes: So often every part is answered with 40093001 first.
        daily_bytes: Volume that a bot may upload in a day, 40093002 above it; 0: any.
        reuse_file_info: Answer ``upload_prepare`` with a `file_info` when the same file is already there.
        raw_url: Answer a merge of an image, video or voice with a link to the bytes.
        url_lifetime_seconds: For how long presigned addresses are good.
    """

    block_bytes: int = 5 * _MIB
    index_base: int = 1
    block_size_form: Literal["mixed", "number", "string"] = "mixed"
    full_last_block: bool = False
    upload_config: Literal["nested", "top_level", "absent"] = "nested"
    concurrency: int = 1
    retry_timeout_seconds: float = 300
    retry_delay_seconds: float = 1
    take_int_size: bool = False
    finish_block_size: Literal["either", "number", "string"] = "either"
    busy_finishes: int = 0
    daily_bytes: int = 0
    reuse_file_info: bool = False
    raw_url: bool = True
    url_lifetime_seconds: float = 3600

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigurationError: It names the option.
        """
        block: object = self.block_bytes
        if not (isinstance(block, int) and block > 0):
            raise ConfigurationError(f"chunks: block_bytes must be more than 0, got {self.block_bytes!r}")
        for name, allowed in (
            ("block_size_form", ("mixed", "number", "string")),
            ("upload_config", ("nested", "top_level", "absent")),
            ("finish_block_size", ("either", "number", "string")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(f"chunks: {name} must be one of {', '.join(allowed)}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """How fast and how much a bot may call and speak; nothing is limited by default, see `documented`.

    Attributes:
        calls_per_second: By kind of call, for each bot: 429 with 40023001 above it.
        gateway_per_minute: Calls of ``/gateway`` and ``/gateway/bot`` together, after 10 at once: 429 with 40023001
            above it; 0: any.
        chat_messages_per_second: In each chat: 429 with 20028 above it; 0: any.
        proactive_per_minute: Messages of one bot that answer nothing: 40034100 above it; 0: any.
        proactive_per_chat_minute: The same in one chat.
        proactive_per_chat_day: In one chat, 22009 above it; 0: any.
    """

    calls_per_second: Mapping[str, float] = field(default_factory=dict)
    gateway_per_minute: float = 0
    chat_messages_per_second: float = 0
    proactive_per_minute: int = 0
    proactive_per_chat_minute: int = 0
    proactive_per_chat_day: int = 0

    @classmethod
    def documented(cls) -> LimitOptions:
        """Return what the documents say of a bot that is not certified."""
        fifty = dict.fromkeys(("files", "interactions", "me", "stream"), 50.0)
        ten = dict.fromkeys(("upload_prepare", "upload_part_finish", "recall"), 10.0)
        return cls(
            calls_per_second={"messages": 100.0, **fifty, **ten},
            gateway_per_minute=2.0,
            proactive_per_minute=30,
            proactive_per_chat_minute=20,
            proactive_per_chat_day=1000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStoreOptions:
    """The platform's own image store for markdown (PLATFORM 2.7).

    Attributes:
        available: Whether these bots may use it; else 11253.
        capacity: How many images a bot may have; 40035007 above it.
        max_bytes: Size of one image.
        lifetime_seconds: After so long without use an image is gone.
        upload_seconds: For how long an upload may be completed.
        page: How many images one call of the list gives.
    """

    available: bool = True
    capacity: int = 100
    max_bytes: int = 10 * _MIB
    lifetime_seconds: float = 7_776_000
    upload_seconds: float = 4 * 3600
    page: int = 20
