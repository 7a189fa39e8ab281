"""What stands between the listener and one bot: its key, its time window, and what was let in already."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bot_core.gateway.actions import Dispatch
from bot_core.webhook._refusals import Reason, RefusedError
from bot_core.webhook.signature import SIGNATURE_HEX_LENGTH, BotKey

__all__ = ("Door", "Replays")

# A second since the epoch has ten digits; no clock needs more than this.
_MOST_DIGITS: Final = 12
_KEEP_AT_MOST: Final = 20_000


class Replays:
    """Remembers requests by their signature: the same one twice is one event, whether or not it has an id."""

    def __init__(self) -> None:
        self._signatures: OrderedDict[str, None] = OrderedDict()

    def add(self, signature: str) -> bool:
        """Remember it; return whether it is new."""
        if signature in self._signatures:
            return False
        self._signatures[signature] = None
        if len(self._signatures) > _KEEP_AT_MOST:
            self._signatures.popitem(last=False)
        return True

    def forget(self, signature: str) -> None:
        """Let it come again."""
        self._signatures.pop(signature, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One bot's part of an address.

    Attributes:
        appid: The bot.
        key: Of its secret.
        max_age_seconds: How far a timestamp may be from now.
        take: Takes an event, or returns `False` when there is no room for it now.
        clock: Wall clock in seconds.
        replays: Requests that were let in.
    """

    appid: str
    key: BotKey = field(repr=False)
    max_age_seconds: float | None
    take: Callable[[Dispatch], bool]
    clock: Callable[[], float] = time.time
    replays: Replays = field(default_factory=Replays, repr=False)

    def check_headers(self, signature: str, timestamp: str) -> None:
        """Refuse, before anything is read, what cannot be right.

        Raises:
            RefusedError: The headers are malformed, or the timestamp is outside the window.
        """
        well_formed = len(signature) == SIGNATURE_HEX_LENGTH and timestamp.isascii() and timestamp.isdigit()
        if not well_formed or len(timestamp) > _MOST_DIGITS:
            raise RefusedError(Reason.HEADERS)
        if self.max_age_seconds is not None and abs(self.clock() - int(timestamp)) > self.max_age_seconds:
            raise RefusedError(Reason.TIME)

    def check_body(self, signature: str, timestamp: str, body: bytes) -> None:
        """Let through only what the owner of the secret signed.

        Raises:
            RefusedError: The signature is wrong.
        """
        if not self.key.verify(signature, timestamp, body):
            raise RefusedError(Reason.SIGNATURE)
