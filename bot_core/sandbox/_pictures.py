"""Pictures in markdown: from the image store, or fetched and hosted anew as the platform does (PLATFORM 3.10)."""

from __future__ import annotations

import re
from typing import Final

from bot_core.sandbox._answers import RefusedCallError
from bot_core.sandbox._fetch import Fetcher
from bot_core.sandbox._formats import sniff
from bot_core.sandbox._images import IMAGE_SCHEME, ImageDesk
from bot_core.sandbox._media import StoredMedia
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._values import ArrivedPicture

__all__ = ("PictureDesk",)

_NOT_HOSTED: Final = 40034141

# A picture; or what only looks like one: in code, or behind a backslash.
_PICTURE: Final = re.compile(
    r"```.*?```|~~~.*?~~~|`[^`\n]*`|\\!|!\[([^\]]*)\]\(\s*((?:[^\s()]|\([^\s()]*\))*)[^)]*\)", re.DOTALL
)


class PictureDesk:
    """Finds the pictures of markdown."""

    def __init__(self, options: SandboxOptions, fetcher: Fetcher, images: ImageDesk) -> None:
        self._options = options
        self._fetcher = fetcher
        self._images = images

    async def find(self, appid: str, markdown: str) -> tuple[ArrivedPicture, ...]:
        """Return the pictures that people see.

        Raises:
            RefusedCallError: 40034141, one of them could not be hosted.
        """
        if self._options.markdown_pictures == "ignore":
            return ()
        found = [match.groups() for match in _PICTURE.finditer(markdown) if match[2] is not None]
        return tuple([await self._picture(appid, text, url) for text, url in found])

    async def _picture(self, appid: str, text: str, url: str) -> ArrivedPicture:
        stored = await self._stored(appid, url)
        content_type = sniff(stored.head)
        if not content_type.startswith("image/"):
            raise RefusedCallError(400, _NOT_HOSTED, f"picture in markdown is {content_type}: {url}")
        return ArrivedPicture(
            text=text, url=url, size=stored.size, content_type=content_type, sha256=stored.sha256, stored=stored
        )

    async def _stored(self, appid: str, url: str) -> StoredMedia:
        if url.startswith(IMAGE_SCHEME):
            image = self._images.use(appid, url)
            if image is None:
                raise RefusedCallError(400, _NOT_HOSTED, f"no such picture in the image store of this bot: {url}")
            return image.stored
        if self._options.markdown_pictures == "refuse":
            raise RefusedCallError(400, _NOT_HOSTED, f"pictures in markdown must be in the image store: {url}")
        try:
            return await self._fetcher.fetch(url)
        except RefusedCallError as error:
            raise RefusedCallError(400, _NOT_HOSTED, f"picture in markdown: {error.message}") from error
