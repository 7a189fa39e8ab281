"""Proves a `ChainBuilder`: the narrow face, as bots call it."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path
from typing import Any, ClassVar, Final

import aiohttp
import pytest

from qqmedia._reach import is_url
from qqmedia.media import MediaKind
from qqmedia.sniff import sniff
from qqmedia.testing._fetching import new_client
from qqmedia.testing._lag import heartbeat
from qqmedia.testing._uploads import make_content

__all__ = ("ChainBuilderConformance",)

_AT_ONCE: Final = 8
_MOST_LAG_SECONDS: Final = 0.2
_TRIES: Final = 3
_METHODS: Final = ("get_image", "get_video", "get_voice")


class ChainBuilderConformance:
    """Proves an object (or a class) with `get_image`, `get_voice` and `get_video`.

    Inherit it, and write one fixture::

        class TestMyBuilder(ChainBuilderConformance):
            @pytest.fixture
            def builder(self) -> Any:
                return MyBuilder()         # or MyBuilder itself, where its methods are class or static methods

    Each answer must be a URL that serves the medium, bytes or a path of one, or nothing (falsy: "unchanged"). Methods
    may be plain or coroutine functions, of the object or of the class.

    Attributes:
        fetches: Whether URLs answer in tests; `False` looks at their form only.
    """

    fetches: ClassVar[bool] = True

    def voice(self) -> bytes:
        """Return the content of the voice file that is asked for: silk. Override it where your builder takes none."""
        return make_content(500, kind=MediaKind.VOICE)

    def client(self) -> aiohttp.ClientSession:
        """Return a new client that fetches URLs."""
        return new_client()

    @pytest.mark.parametrize("method", _METHODS)
    def test_it_has_the_method_with_one_argument(self, builder: Any, method: str) -> None:
        """By position, as AmiyaBot calls it."""
        function = getattr(_instance(builder), method, None)
        assert callable(function), f"there is no {method}"
        inspect.signature(function).bind("medium")

    @pytest.mark.asyncio
    async def test_a_picture_is_answered_with_something_to_send(self, builder: Any) -> None:
        """Given as bytes."""
        content = make_content(2000)
        await self._assert_good(await _asked(builder, "get_image", content), MediaKind.IMAGE, content)

    @pytest.mark.asyncio
    async def test_a_voice_is_answered_with_something_to_send(self, builder: Any, tmp_path: Path) -> None:
        """Given as the path of a file."""
        path = tmp_path / "voice.silk"
        await asyncio.to_thread(path.write_bytes, self.voice())
        await self._assert_good(await _asked(builder, "get_voice", str(path)), MediaKind.VOICE, str(path))

    @pytest.mark.asyncio
    async def test_a_video_is_answered_with_something_to_send(self, builder: Any, tmp_path: Path) -> None:
        """Given as the path of a file."""
        path = tmp_path / "video.mp4"
        await asyncio.to_thread(path.write_bytes, make_content(3000, kind=MediaKind.VIDEO))
        await self._assert_good(await _asked(builder, "get_video", str(path)), MediaKind.VIDEO, str(path))

    @pytest.mark.asyncio
    async def test_pictures_at_once_do_not_mix(self, builder: Any) -> None:
        """Different pictures have different answers, in the order in which they were asked for."""
        contents = [make_content(500 + number) for number in range(_AT_ONCE)]
        answers = await asyncio.gather(*(_asked(builder, "get_image", content) for content in contents))
        alone = [await _asked(builder, "get_image", content) for content in contents]
        bodies = [await self._body(answer) for answer in answers]
        assert bodies == [await self._body(answer) for answer in alone]
        if all(answers):
            assert len(set(bodies)) == len(contents), "different pictures got the same answer"

    @pytest.mark.asyncio
    async def test_it_does_not_block_the_loop(self, builder: Any) -> None:
        """A bot answers others meanwhile; the best of three, for busy machines."""
        worst = []
        for number in range(_TRIES):
            content = make_content(1_000_000 + number)
            async with heartbeat() as heart:
                await _asked(builder, "get_image", content)
            worst.append(heart.worst_seconds)
            if worst[-1] <= _MOST_LAG_SECONDS:
                return
        pytest.fail(f"the event loop stood still for {min(worst):.2f} s")

    async def _assert_good(self, answer: object, kind: MediaKind, given: object) -> None:
        if not answer or answer == given:
            return  # unchanged
        content = await self._content(answer)
        if content is not None:
            found = sniff(content)
            assert found.kind is kind, f"the answer is {found.content_type}, which is no {kind}"

    async def _content(self, answer: object) -> bytes | None:
        """Return what would be sent; `None` where that cannot be seen from here."""
        match answer:
            case bytes() | bytearray() | memoryview():
                return bytes(answer)
            case str() if is_url(answer):
                return await self._download(answer) if self.fetches else None
            case str() | os.PathLike():
                return await asyncio.to_thread(Path(answer).read_bytes)
            case _:
                pytest.fail(f"answered {answer!r:.80}; a URL, bytes or a path can be sent")

    async def _body(self, answer: object) -> object:
        return answer if not answer else await self._content(answer) or answer

    async def _download(self, url: str) -> bytes:
        async with self.client() as client, client.get(url) as response:
            assert response.status == 200, f"{url} answered {response.status}"
            return await response.read()


async def _asked(builder: Any, method: str, medium: object) -> Any:
    answer = getattr(_instance(builder), method)(medium)
    return await answer if inspect.isawaitable(answer) else answer


def _instance(builder: Any) -> Any:
    """Make one of a class, as a bot does, unless it wants arguments: then its methods are class or static methods."""
    if not isinstance(builder, type):
        return builder
    try:
        return builder()
    except TypeError:
        return builder
