"""Transforms: those of plugins and the built-in ones come through the same hook, and run in one order."""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path

import pytest

from qqmedia import MediaFormatError, MediaKind, SupportsPass, Transform, Upload, hookimpl
from qqmedia._transforms import BuiltIn
from qqmedia.plugins import Plugins
from qqmedia.testing import memory_host

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20  # no head that could be read
REAL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
)
IMAGES = frozenset({MediaKind.IMAGE})


def wav() -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(24_000)
            sound.writeframes(bytes(4_800))
        return file.getvalue()


class Shout:
    """A transform of pictures that appends a byte; two of them show their order."""

    def __init__(self, name: str, order: int, kinds: frozenset[MediaKind]) -> None:
        self.name, self.order, self.kinds = name, order, kinds

    @hookimpl
    def qqmedia_register_transforms(self) -> list[Shout]:
        return [self]

    async def apply(self, upload: Upload, /) -> Upload:
        assert (upload.sha256, upload.key) == ("", "")
        return upload.with_content(upload.read() + self.name.encode(), content_type="x/y", note=self.name)


@pytest.mark.asyncio
async def test_transforms_run_in_their_order_before_the_hash(tmp_path: Path) -> None:
    plugins = [Shout("a", 10, IMAGES), Shout("b", 20, IMAGES), Shout("v", 5, frozenset({MediaKind.VIDEO}))]
    state = tmp_path
    async with memory_host(plugins=plugins, state_dir=state) as host, memory_host(state_dir=state) as plain:  # noqa: SIM117 - one line would not hold it
        async with host.prepare(MediaKind.IMAGE, PNG) as upload, plain.prepare(MediaKind.IMAGE, PNG + b"ab") as same:
            assert upload.read() == PNG + b"ab"
            assert upload.notes == ("a", "b")
            assert upload.content_type == "image/png"
            assert (upload.sha256, upload.key, upload.size) == (same.sha256, same.key, same.size)


class Spoil:
    name, order, kinds = "spoil", 1, IMAGES

    @hookimpl
    def qqmedia_register_transforms(self) -> list[Spoil]:
        return [self]

    async def apply(self, upload: Upload, /) -> Upload:
        return upload.with_content(b"text", content_type="image/png", note="spoiled")


@pytest.mark.asyncio
async def test_a_transform_must_leave_a_picture_a_picture() -> None:
    async with memory_host(plugins=[Spoil()]) as host:
        with pytest.raises(MediaFormatError, match=r"application/octet-stream when it is to be sent \(spoiled\)"):
            await host.get_image(PNG)


async def no_thread(*_: object) -> None:
    raise AssertionError


def test_the_built_in_ones_are_registered_like_a_plugins() -> None:
    class Plugin:
        @hookimpl
        def qqmedia_register_transforms(self) -> list[Transform]:
            return [Shout("late", 300, frozenset()), Shout("same", 200, frozenset()), Shout("early", 1, frozenset())]

    transforms = Plugins([("(built in)", BuiltIn(no_thread)), ("plugin", Plugin())]).transforms()
    assert [one.name for one in transforms] == ["early", "silk", "same", "image", "video", "late"]
    assert [one.name for one in transforms if isinstance(one, SupportsPass)] == ["image", "video"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("order", "seen"), [(99, b"RIFF"), (101, b"\x02#!SILK")])
async def test_a_plugin_runs_before_or_after_a_built_in_one(order: int, seen: bytes) -> None:
    starts: list[bytes] = []

    class Look(Shout):
        async def apply(self, upload: Upload, /) -> Upload:
            starts.append(upload.read())
            return upload

    async with memory_host(plugins=[Look("look", order, frozenset({MediaKind.VOICE}))]) as host:
        await host.get_voice(wav())
    assert [one[: len(seen)] for one in starts] == [seen]


class Stamp(Shout):
    """It leaves small pictures alone, and says so; a picture that it saw has its note."""

    def passes(self, content_type: str, start: bytes, size: int, /) -> bool:
        assert (content_type, start[:4], size) == ("image/png", PNG[:4], size)
        return size <= len(REAL_PNG)


@pytest.mark.asyncio
async def test_a_transform_that_passes_a_medium_is_not_run() -> None:
    async with memory_host(plugins=[Stamp("stamp", 10, IMAGES)]) as host:
        async with host.prepare(MediaKind.IMAGE, REAL_PNG) as small:
            assert (small.read(), small.notes) == (REAL_PNG, ())
        async with host.prepare(MediaKind.IMAGE, REAL_PNG + b"+") as large:
            assert (large.read(), large.notes) == (REAL_PNG + b"+stamp", ("stamp",))


@pytest.mark.asyncio
async def test_where_one_cannot_tell_all_are_run() -> None:
    plugins = [Stamp("stamp", 10, IMAGES), Shout("a", 20, IMAGES)]
    async with memory_host(plugins=plugins) as host, host.prepare(MediaKind.IMAGE, REAL_PNG) as upload:
        assert upload.notes == ("stamp", "a")
