"""Options that belong together, each group with the platform's own behaviour as its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from qqmedia import ConfigurationError

__all__ = ("ChunkOptions", "NumberForm")

NumberForm: TypeAlias = Literal["number", "string"]

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
        if self.block_bytes <= 0:
            raise ConfigurationError(f"chunks: block_bytes must be more than 0, got {self.block_bytes!r}")
        for name, allowed in (
            ("block_size_form", ("mixed", "number", "string")),
            ("upload_config", ("nested", "top_level", "absent")),
            ("finish_block_size", ("either", "number", "string")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(f"chunks: {name} must be one of {', '.join(allowed)}, got {value!r}")
