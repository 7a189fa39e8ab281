"""Whether a `file_info` that was uploaded for one chat may be used in another, as far as the platform lets it.

That it may is documented (2025) and widely relied on, and could change. When two media that were uploaded elsewhere are
refused the first time that they are used in another chat, and nothing was taken in between, it has.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bot_core.openapi.values import Target
from bot_core.qq_group.file_info import FileInfoKey

__all__ = ("Reuse",)

_STRIKES: Final = 2
# Some 200 bytes each; beyond, a refusal counts as that of an expired one.
_REMEMBER_AT_MOST: Final = 10_000

logger = logging.getLogger("bot_core.qq_group")


@dataclass(slots=True)
class _Handed:
    key: FileInfoKey
    openid: str
    abroad: int = 0


class Reuse:
    """Keeps where each `file_info` comes from, and how it fared elsewhere.

    Args:
        on: Whether to use them across chats at all.
    """

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        self._strikes = 0
        self._handed: OrderedDict[str, _Handed] = OrderedDict()

    @property
    def on(self) -> bool:
        """Whether they are used across chats."""
        return self._on

    def uploaded(self, file_info: str, key: FileInfoKey, target: Target) -> None:
        """Note for which chat it was uploaded."""
        self._handed[file_info] = _Handed(key, target.openid)
        if len(self._handed) > _REMEMBER_AT_MOST:
            self._handed.popitem(last=False)

    def used(self, file_info: str, target: Target) -> None:
        """Note that it is being used in a chat."""
        handed = self._handed.get(file_info)
        if handed is None or handed.openid == target.openid:
            return
        handed.abroad += 1
        if handed.abroad > 1:  # it was not refused the first time
            self._strikes = 0

    def refused(self, file_info: str, target: Target) -> FileInfoKey | None:
        """Note that the platform would not have it in this chat; return its key, if it is known."""
        handed = self._handed.pop(file_info, None)
        if handed is None:
            return None
        if self._on and handed.openid != target.openid and handed.abroad == 1:
            self._strikes += 1
            if self._strikes >= _STRIKES:
                self._on = False
                logger.warning(
                    "the platform does not take media in a chat that were uploaded for another; each chat gets its own "
                    "upload from now on (reuse_across_chats=False does that from the start)"
                )
        return handed.key
