"""What the platform refuses for its format: remembered for a while where it went as a file card, and told of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from bot_core.errors import OpenAPIError
from bot_core.qq_group.file_info import FileInfoKey
from bot_core.qq_group.media import Ready, name_of
from bot_core.qq_group.times import Times
from qqmedia import Upload

__all__ = ("Cards",)

# The refusal may have been the platform's mistake, or its mistake of a day: then it is a picture again.
_CARD_SECONDS: Final = 600.0
_TELL_AGAIN_SECONDS: Final = 3600.0

logger = logging.getLogger("bot_core.qq_group")


class Cards:
    """Remembers for ten minutes which media go as file cards, and says of each once in an hour that it does.

    Args:
        clock: Seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._until = Times(clock)
        self._told = Times(clock)

    def __contains__(self, key: FileInfoKey) -> bool:
        return bool(self._until) and self._until.runs(key)

    def add(self, key: FileInfoKey) -> None:
        """Let it go as a file card from now on."""
        self._until.set(key, _CARD_SECONDS)

    def tell(self, ready: Ready, upload: Upload, refused: OpenAPIError) -> None:
        """Say that this medium went as a file card in place of what it is."""
        if self._told.starts((ready.kind, upload.sha256), _TELL_AGAIN_SECONDS):
            logger.warning(
                "%s goes as a file card, as the platform does not take its format (%s, %d bytes) as %s; as %s it is "
                "tried again in %g minutes: %s",
                name_of(ready), upload.content_type, upload.size, ready.kind, ready.kind, _CARD_SECONDS / 60, refused,
            )  # fmt: skip

    @staticmethod
    def tell_anew(ready: Ready, upload: Upload, made: Upload, refused: OpenAPIError) -> None:
        """Say that this medium was sent in another format."""
        logger.info(
            "%s was made anew as %s (%d bytes), as the platform does not take it as %s (%d bytes): %s",
            name_of(ready), made.content_type, made.size, upload.content_type, upload.size, refused,
        )  # fmt: skip
