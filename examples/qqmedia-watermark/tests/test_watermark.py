"""What is marked, and what is left alone; through a host, as a bot would do it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import qqmedia_watermark
from PIL import Image
from qqmedia_watermark import qqmedia_register_transforms

import qqmedia
from qqmedia import MediaKind, Upload
from qqmedia.testing import make_upload


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (120, 60), **how: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **how)
    return out.getvalue()


@pytest.fixture(autouse=True)
def word(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WATERMARK", "my bot")
    return "my bot"


Mark = Callable[..., Awaitable[Upload]]


@pytest.fixture
def marked() -> Iterator[Mark]:
    """Mark a picture; what the transform writes is gone after the test, as a host does it after the send."""
    given_to_it: list[Upload] = []

    async def mark(given: bytes, content_type: str = "image/png") -> Upload:
        (transform,) = qqmedia_register_transforms()
        upload = make_upload(given, kind=MediaKind.IMAGE, content_type=content_type)
        given_to_it.append(upload)
        return await transform.apply(upload)

    yield mark
    for upload in given_to_it:
        upload.workspace.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
async def test_a_picture_is_marked_and_stays_of_its_type(marked: Mark, kind: str, mode: str) -> None:
    upload = await marked(picture(kind, mode), f"image/{kind.lower()}")
    assert upload.content_type == f"image/{kind.lower()}"
    assert "marked 'my bot'" in upload.notes
    with Image.open(io.BytesIO(await asyncio.to_thread(upload.read))) as sent:
        assert (sent.format, sent.size) == (kind, (120, 60))
        assert sent.convert("L").crop((60, 30, 120, 60)).getextrema()[1] > 200  # the word, white on black
        assert sent.convert("L").crop((0, 0, 40, 20)).getextrema()[1] < 50


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("given", "content_type"),
    [
        (picture("PNG", save_all=True, append_images=[Image.new("RGB", (120, 60), "red")]), "image/png"),
        (picture("GIF"), "image/gif"),
        (picture("PNG")[:60], "image/png"),
        (b"\xff\xd8\xff\xe0 not really a picture", "image/jpeg"),
    ],
    ids=["moving", "gif", "cut short", "damaged"],
)
async def test_what_cannot_be_marked_is_sent_as_it_is(marked: Mark, given: bytes, content_type: str) -> None:
    assert (await marked(given, content_type)).content is given


@pytest.mark.asyncio
async def test_without_a_word_nothing_is_changed(marked: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATERMARK")
    given = picture("PNG")
    assert (await marked(given)).content is given


@pytest.mark.asyncio
async def test_small_pictures_and_odd_colours_do_not_fail(marked: Mark) -> None:
    for mode, size in (("RGB", (1, 1)), ("1", (50, 20)), ("P", (50, 20)), ("RGBA", (50, 20)), ("LA", (50, 20))):
        upload = await marked(picture("PNG", mode, size))
        with Image.open(io.BytesIO(await asyncio.to_thread(upload.read))) as sent:
            assert (sent.size, sent.mode) == (size, mode), upload.notes


@pytest.mark.asyncio
async def test_a_host_calls_it_for_pictures_and_for_nothing_else(tmp_path: Path) -> None:
    given = picture("PNG")
    async with qqmedia.open_host("direct", plugins=[qqmedia_watermark], state_dir=tmp_path) as host:
        assert await host.get_image(given) != given
        async with host.prepare(MediaKind.FILE, given) as upload:
            assert upload.read() == given


def test_it_brings_one_transform_and_no_driver() -> None:
    (transform,) = qqmedia_register_transforms()
    assert transform.kinds == {MediaKind.IMAGE}
    assert not hasattr(qqmedia_watermark, "qqmedia_register_drivers")
