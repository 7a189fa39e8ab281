"""Pictures that the platform takes are not touched; others become such, once, without holding anybody up."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, features

from qqmedia import ConfigurationError, MediaFormatError, MediaKind, MediaTooLargeError, Upload
from qqmedia.host import MediaHost
from qqmedia.pictures import ImageOptions
from qqmedia.sniff import sniff
from qqmedia.testing import memory_host
from tests.lag import assert_loop_goes_on

IMAGE = MediaKind.IMAGE
_ORIENTATION = 0x0112


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    plane = Image.effect_noise((width, height), 90)
    return Image.merge(mode, [plane] * len(mode)) if len(mode) > 1 else plane


def encoded(image: Image.Image, name: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **how)
    return out.getvalue()


def animation(name: str, *, side: int = 60, frames: int = 4, mode: str = "RGBA", **how: Any) -> bytes:
    """A square that wanders from left to right, on nothing."""
    pictures = []
    for number in range(frames):
        picture = Image.new(mode, (side, side), (0, 0, 0, 0) if mode == "RGBA" else (10, 120, 200))
        ImageDraw.Draw(picture).rectangle((number * 10, 10, number * 10 + 9, 30), fill=(250, 10, 10, 255))
        pictures.append(picture)
    return encoded(
        pictures[0], name, save_all=True, append_images=pictures[1:], duration=[50, 100, 150, 200][:frames], **how
    )


async def prepared(host: MediaHost, source: Any, filename: str | None = None) -> tuple[Upload, bytes]:
    async with host.prepare(IMAGE, source, filename=filename) as upload:
        return upload, await asyncio.to_thread(upload.read)


async def made(content: bytes, filename: str | None = None) -> tuple[Upload, Image.Image]:
    async with memory_host() as host:
        upload, data = await prepared(host, content, filename)
    picture = Image.open(io.BytesIO(data))
    assert upload.size == len(data)
    return upload, picture


def with_size_of(monkeypatch: pytest.MonkeyPatch, **limits: object) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(f"QQMEDIA_IMAGE_{name.upper()}", str(value))


# --- what is left alone


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        encoded(noise(300, 200), "PNG"),
        encoded(noise(4096, 4), "PNG"),
        encoded(noise(300, 200, "RGBA"), "PNG"),
        encoded(noise(300, 200), "JPEG"),
        encoded(noise(300, 200), "JPEG", progressive=True, exif=b"Exif\x00\x00" + bytes(60_000)),
        animation("GIF"),
        b"\x89PNG\r\n\x1a\n" + b"no picture at all",
        encoded(noise(100, 100), "JPEG")[:900],
        b"GIF89a",
    ],
    ids=len,
)
@pytest.mark.parametrize("by", ["bytes", "path"])
async def test_what_is_acceptable_or_merely_damaged_passes_byte_for_byte(
    content: bytes, by: str, tmp_path: Path
) -> None:
    source: bytes | Path = content
    if by == "path":
        source = tmp_path / "picture"
        await asyncio.to_thread(source.write_bytes, content)
    async with memory_host() as host:
        upload, data = await prepared(host, source)
    assert data == content
    assert upload.notes == ()
    assert len(upload.sha256) == 64


def test_looking_needs_neither_pillow_nor_a_thread() -> None:
    """Nothing else in the way of an ordinary picture may load or start anything."""
    script = """
import asyncio, sys, qqmedia
from qqmedia.testing import memory_host
header = "89504e470d0a1a0a0000000d49484452000000100000001008020000009091683600000000"
png = bytes.fromhex(header) + b"IDAT" + bytes(200_000)
async def main():
    async with memory_host() as host:
        calls = []
        host._parts.preparer.in_thread.__self__._threads.start = lambda *given: calls.append(given)
        async with host.prepare("image", png) as upload:
            assert upload.size == len(png), upload
        assert not calls
asyncio.run(main())
assert "PIL" not in sys.modules and "av" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


@pytest.mark.asyncio
async def test_looking_costs_next_to_nothing() -> None:
    content = encoded(noise(300, 200), "JPEG", exif=b"Exif\x00\x00" + bytes(60_000), icc_profile=bytes(3000))
    async with memory_host() as host:
        transforms = host._parts.preparer.transforms  # type: ignore[union-attr]
        began = time.perf_counter()
        for _ in range(100):
            assert transforms.passes(IMAGE, sniff(content).content_type, content, len(content))
        assert (time.perf_counter() - began) / 100 < 0.0001


@pytest.mark.asyncio
async def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, convert="off", max_bytes=20_000)
    content = encoded(noise(5000, 20), "WEBP")
    async with memory_host() as host:
        upload, data = await prepared(host, content)
    assert (data, upload.content_type, upload.notes) == (content, "image/webp", ())


@pytest.mark.parametrize(
    "wrong",
    [{"convert": 1}, {"max_bytes": 10}, {"max_bytes": True}, {"max_side": 70_000}, {"max_pixels": 0}, {"timeout": 0}],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"image {next(iter(wrong))} must be"):
        ImageOptions(**wrong)


# --- what is made anew


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["WEBP", "BMP", "TIFF", "AVIF"])
async def test_a_type_that_the_platform_does_not_take_becomes_a_jpeg(name: str) -> None:
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    upload, picture = await made(encoded(noise(64, 48), name), f"cat.{name.lower()}")
    assert (picture.format, picture.size, upload.content_type) == ("JPEG", (64, 48), "image/jpeg")
    assert upload.filename == "cat.jpg"
    assert upload.notes == (f"made image/jpeg of image/{name.lower()}, 64x48",)
    assert upload.key.endswith(".jpg")


@pytest.mark.asyncio
async def test_transparency_is_kept_where_there_is_any() -> None:
    half = noise(40, 40, "RGBA")
    half.putalpha(Image.linear_gradient("L").resize((40, 40)))
    _, picture = await made(encoded(half, "WEBP", lossless=True))
    assert (picture.format, picture.mode, picture.getpixel((5, 0))[3]) == ("PNG", "RGBA", half.getpixel((5, 0))[3])  # type: ignore[index]
    opaque = half.copy()
    opaque.putalpha(255)
    _, picture = await made(encoded(opaque, "WEBP", lossless=True))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")


@pytest.mark.asyncio
async def test_what_is_too_long_is_made_smaller() -> None:
    upload, picture = await made(encoded(Image.new("RGB", (6000, 300), (9, 9, 9)), "PNG"))
    assert picture.size == (4096, 205)
    assert upload.notes == ("made image/jpeg of image/png, 6000x300 to 4096x205",)


@pytest.mark.asyncio
async def test_a_drawing_stays_a_drawing() -> None:
    drawing = Image.new("P", (5000, 100))
    drawing.putpalette([255, 0, 0, 0, 0, 255] * 10)
    _, picture = await made(encoded(drawing, "PNG"))
    assert (picture.format, picture.size) == ("PNG", (4096, 82))
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("mode", "name"), [("CMYK", "TIFF"), ("I;16", "TIFF"), ("1", "BMP"), ("LA", "TIFF"), ("F", "TIFF")]
)
async def test_odd_colours_become_plain_ones(mode: str, name: str) -> None:
    image = Image.new(mode, (30, 20), 30_000 if mode == "I;16" else None)  # type: ignore[arg-type]
    _, picture = await made(encoded(image, name))
    assert picture.mode in {"L", "RGB", "RGBA"}
    if mode == "I;16":
        assert abs(int(picture.getpixel((5, 5))) - 30_000 // 257) <= 2  # type: ignore[arg-type, call-overload]


@pytest.mark.asyncio
async def test_exif_is_turned_upright_and_removed() -> None:
    image = Image.new("RGB", (60, 30), (200, 0, 0))
    image.paste((0, 0, 200), (0, 0, 30, 30))  # blue on the left
    exif = Image.Exif()
    exif[_ORIENTATION] = 6  # to be turned clockwise: blue is on top then
    exif[0x010F] = "A camera that nobody needs to know"
    upload, picture = await made(encoded(image, "WEBP", exif=exif, lossless=True))
    assert picture.size == (30, 60)
    red, _, blue = picture.getpixel((15, 5))  # type: ignore[misc]
    assert blue > 150 > red
    assert not picture.getexif()
    assert upload.notes == ("made image/jpeg of image/webp, 30x60, turned upright",)


@pytest.mark.asyncio
@pytest.mark.parametrize(("mode", "name"), [("RGB", "JPEG"), ("RGBA", "PNG")])
async def test_what_is_too_heavy_is_brought_under_the_budget(
    mode: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_size_of(monkeypatch, max_bytes=100_000)
    image = noise(700, 500, mode)
    upload, picture = await made(encoded(image, "PNG"))
    assert (picture.format, upload.size <= 100_000) == (name, True)
    assert picture.size[0] / picture.size[1] == pytest.approx(1.4, rel=0.02)
    assert picture.size[0] > 100


# --- what moves


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("mode", ["RGBA", "RGB"])
async def test_an_animation_becomes_a_gif(name: str, mode: str) -> None:
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    how: dict[str, Any] = {"lossless": True} if name == "WEBP" else {}
    content = animation(name, mode=mode, **how)
    upload, picture = await made(content, "wave.webp")
    given = Image.open(io.BytesIO(content))
    assert (upload.content_type, upload.filename, picture.n_frames) == ("image/gif", "wave.gif", 4)  # type: ignore[attr-defined]
    assert "4 frames" in upload.notes[0]
    lengths = []
    for number in range(4):
        picture.seek(number)
        lengths.append(picture.info["duration"])
        frame = picture.convert("RGBA")
        red, green, _, alpha = frame.getpixel((number * 10 + 5, 20))  # type: ignore[misc]
        assert (red > 200, green < 60, alpha) == (True, True, 255)
        given.seek(number)
        around = (number * 10 + 25, 20)
        assert frame.getpixel(around)[3] == given.convert("RGBA").getpixel(around)[3]  # type: ignore[index]
    assert lengths == [50, 100, 150, 200]


@pytest.mark.asyncio
async def test_a_gif_over_the_budget_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, max_bytes=20_000)
    frames = [noise(200, 100) for _ in range(3)]
    upload, picture = await made(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0))
    assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 3, 0)  # type: ignore[attr-defined]
    assert upload.size <= 20_000
    assert picture.size[0] == pytest.approx(2 * picture.size[1], abs=2)


@pytest.mark.asyncio
async def test_a_picture_for_players_that_cannot_is_no_frame() -> None:
    pictures = [Image.new("RGB", (20, 20), (number * 60, 0, 0)) for number in range(3)]
    content = encoded(
        Image.new("RGB", (20, 20), (0, 255, 0)), "PNG", save_all=True, append_images=pictures, default_image=True
    )
    _, picture = await made(content)
    assert picture.n_frames == 3  # type: ignore[attr-defined]
    assert picture.convert("RGB").getpixel((3, 3)) == (0, 0, 0)


# --- what is refused


def bomb(name: str) -> bytes:
    """A few kilobytes that say they are 30000 x 30000."""
    small = bytearray(encoded(Image.new("1" if name in {"PNG", "TIFF"} else "RGB", (16, 16)), name))
    side = 30_000
    match name:
        case "PNG":
            small[16:24] = side.to_bytes(4, "big") * 2
        case "BMP":
            small[18:26] = side.to_bytes(4, "little") * 2
        case "JPEG":
            at = small.index(b"\xff\xc0") + 5
            small[at : at + 4] = side.to_bytes(2, "big") * 2
        case "GIF":
            small[6:10] = side.to_bytes(2, "little") * 2
        case "TIFF":
            for tag in (256, 257):  # width and length, as one 32-bit number each
                at = small.index(tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0") + 8
                small[at : at + 4] = side.to_bytes(4, "little")
    return bytes(small)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["PNG", "BMP", "JPEG", "GIF", "TIFF"])
@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
async def test_a_bomb_is_refused_before_it_is_decoded(name: str) -> None:
    content = await asyncio.to_thread(bomb, name)
    began = time.perf_counter()
    async with memory_host() as host:
        with pytest.raises(MediaTooLargeError, match=r"has 900000000 pixels.*, 64000000 are allowed") as caught:
            await prepared(host, content)
    assert "QQMEDIA_IMAGE_MAX_PIXELS" in str(caught.value)
    assert time.perf_counter() - began < 2


@pytest.mark.asyncio
async def test_an_animation_counts_with_all_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, max_pixels=3600)  # 60 x 60
    async with memory_host() as host:
        await prepared(host, animation("WEBP"))
        with_frames = encoded(
            noise(60, 60), "WEBP", save_all=True, append_images=[noise(60, 60) for _ in range(4)]
        )  # fmt: skip
        with pytest.raises(MediaTooLargeError, match=r"18000 pixels \(5 frames of 60x60\), 14400 are allowed"):
            await prepared(host, with_frames)


def png_of(width: int, height: int) -> bytes:
    """Black, and only a few kilobytes."""
    content = encoded(Image.new("L", (width, height)), "PNG")
    assert len(content) < 100_000
    return content


def icon_that_lies(inside: bytes) -> bytes:
    """Its table says 16 x 16."""
    entry = bytes((16, 16, 0, 0, 1, 0, 32, 0)) + len(inside).to_bytes(4, "little") + (22).to_bytes(4, "little")
    return b"\0\0\1\0\1\0" + entry + inside


def gif_that_grows(width: int, height: int, *, frames: int = 1) -> bytes:
    """It says 10 x 10, begins with such a frame, and goes on with larger ones."""
    small, large = (encoded(Image.new("P", size), "GIF") for size in ((10, 10), (width, height)))
    begin = large.index(b",\0\0\0\0" + width.to_bytes(2, "little"))
    return small[:-1] + b"!\xfe\x03abc\0" + large[begin:-1] * frames + b";"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        icon_that_lies(png_of(3000, 3000)),
        icon_that_lies(b"\x28\0\0\0" + (3000).to_bytes(4, "little") + (6000).to_bytes(4, "little") + bytes(100)),
        gif_that_grows(3000, 3000),
    ],
    ids=["png in ico", "bitmap in ico", "gif"],
)
async def test_a_bomb_within_is_refused_before_it_is_decoded(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, max_pixels=1_000_000, max_bytes=16_384)
    content += bytes(20_000)  # a gif within the budget is left alone
    async with memory_host() as host:
        with pytest.raises(MediaTooLargeError, match=r"has 9000000 pixels \(3000x3000\), 1000000 are allowed"):
            await prepared(host, content)


@pytest.mark.asyncio
async def test_frames_count_by_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, max_pixels=1_000_000, max_bytes=16_384)
    content = gif_that_grows(1000, 900, frames=9) + bytes(20_000)
    async with memory_host() as host:
        with pytest.raises(MediaTooLargeError, match=r"9000000 pixels \(10 frames of 1000x900\), 4000000 are allowed"):
            await prepared(host, content)


@pytest.mark.asyncio
async def test_an_icon_that_tells_the_truth_becomes_a_png() -> None:
    async with memory_host() as host:
        for size in (16, 256):
            upload, data = await prepared(host, encoded(noise(size, size), "ICO"))
            assert upload.content_type in ("image/png", "image/jpeg")
            assert Image.open(io.BytesIO(data)).size == (size, size)


@pytest.mark.asyncio
async def test_what_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_IMAGE_TIMEOUT", "0.000001")
    async with memory_host() as host:
        with pytest.raises(MediaTooLargeError, match=r"'cat.webp' .* within 1e-06 s; .*QQMEDIA_IMAGE_TIMEOUT"):
            await prepared(host, encoded(noise(300, 300), "WEBP"), "cat.webp")


@pytest.mark.asyncio
async def test_frames_are_counted_however_small_they_are() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    count = 20_001
    head = bytes.fromhex("00000001 00000001 08 00 00 00 00")
    moving = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"acTL", count.to_bytes(4, "big") + bytes(4))
    moving += chunk(b"fcTL", bytes(4) + head[:8] + bytes(14)) + chunk(b"IDAT", zlib.compress(b"\0\0"))
    async with memory_host() as host:
        with pytest.raises(MediaTooLargeError, match="20001 frames, 20000 are allowed; send a shorter one, or a video"):
            await prepared(host, moving + chunk(b"IEND", b""))


@pytest.mark.asyncio
async def test_what_must_be_decoded_and_is_damaged_says_so() -> None:
    content = encoded(noise(200, 200), "WEBP")
    async with memory_host() as host:
        for damaged in (content[: len(content) // 2], content[:40], content[:12] + b"x" * 50):
            with pytest.raises(MediaFormatError, match=r"'cat.webp' .image/webp. has to be .* is damaged: [^<]+$"):
                await prepared(host, damaged, "cat.webp")


@pytest.mark.asyncio
async def test_heic_without_a_decoder_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    async with memory_host() as host:
        with pytest.raises(MediaFormatError, match="pip install pillow-heif"):
            await prepared(host, content)


@pytest.mark.asyncio
async def test_heic_is_decoded_where_it_can_be() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    content = io.BytesIO()
    pillow_heif.from_pillow(noise(64, 48)).save(content)
    _, picture = await made(content.getvalue())
    assert (picture.format, picture.size) == ("JPEG", (64, 48))


# --- nobody is held up


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_a_jpeg_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow must be given a real file: into memory it encodes without letting go of the interpreter."""
    with_size_of(monkeypatch, max_bytes=100_000_000)
    large = await asyncio.to_thread(lambda: [encoded(noise(1500, 1200 + n, "RGB"), "BMP") for n in range(4)])
    async with memory_host() as host:
        await prepared(host, encoded(noise(20, 20), "WEBP"))

        async def make_them() -> None:
            for _ in range(3):
                await asyncio.gather(*(prepared(host, one) for one in large))

        await assert_loop_goes_on(make_them)


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_pictures_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with_size_of(monkeypatch, max_bytes=1_000_000)
    large, moving = await asyncio.gather(
        asyncio.to_thread(lambda: encoded(noise(2000, 1500, "RGBA"), "TIFF")),
        asyncio.to_thread(lambda: animation("WEBP", side=400)),
    )
    async with memory_host() as host:
        await prepared(host, encoded(noise(20, 20), "WEBP"))  # Pillow is loaded
        await assert_loop_goes_on(lambda: asyncio.gather(*(prepared(host, one) for one in (large, moving))))


@pytest.mark.asyncio
async def test_a_picture_that_nobody_waits_for_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")
    content = await asyncio.to_thread(lambda: encoded(noise(2000, 1500, "RGBA"), "TIFF"))
    async with memory_host() as host:
        task = asyncio.create_task(prepared(host, content), name="to be cancelled")
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await prepared(host, encoded(noise(20, 20), "WEBP"))
    assert "never retrieved" not in caplog.text
