"""Builders in every shape that is used, under the kit; and what it says of broken ones."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from qqmedia import ChainBuilder
from qqmedia.testing import ChainBuilderConformance, memory_host


class TestHost(ChainBuilderConformance):
    @pytest_asyncio.fixture
    async def builder(self) -> AsyncIterator[Any]:
        async with memory_host() as host:
            yield host


class TestUnchanged(ChainBuilderConformance):
    @pytest.fixture
    def builder(self) -> Any:
        return ChainBuilder  # a class, as many bots give it


class Bytes:
    """Plain functions, static and class methods, that answer with bytes."""

    def __init__(self, reason: str) -> None:
        raise AssertionError(reason)

    @staticmethod
    def get_image(image: bytes) -> bytes:
        return image + b"marked"

    @classmethod
    async def get_voice(cls, voice_file: str) -> None:
        """Answer nothing."""

    @classmethod
    async def get_video(cls, video_file: str) -> Path:
        return Path(video_file)


class TestBytes(ChainBuilderConformance):
    @pytest.fixture
    def builder(self) -> Any:
        return Bytes


class Answers(ChainBuilder):
    """Answers any picture with the same."""

    def __init__(self, answer: Any, seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds

    async def get_image(self, image: str | bytes) -> Any:
        if self.seconds:
            time.sleep(self.seconds)  # noqa: ASYNC251 - what must not be done
        return self.answer


PICTURE = "test_a_picture_is_answered_with_something_to_send"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("builder", "test", "said"),
    [
        (Answers(b"no picture at all"), PICTURE, "which is no image"),
        (Answers(5), PICTURE, "answered 5; a URL, bytes or a path can be sent"),
        (Answers(b"\x89PNG\r\n\x1a\n"), "test_pictures_at_once_do_not_mix", "different pictures got the same answer"),
    ],
)
async def test_a_broken_builder_fails_what_it_breaks(builder: Any, test: str, said: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
        await getattr(ChainBuilderConformance(), test)(builder)


@pytest.mark.asyncio
@pytest.mark.blocking  # that is what must be noticed
async def test_a_builder_that_blocks_is_told() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"stood still for 0\.\d\d s"):
        await ChainBuilderConformance().test_it_does_not_block_the_loop(Answers(None, seconds=0.5))


def test_a_missing_method_is_named() -> None:
    with pytest.raises(AssertionError, match="there is no get_voice"):
        ChainBuilderConformance().test_it_has_the_method_with_one_argument(object(), "get_voice")
