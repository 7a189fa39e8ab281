"""Makes a picture anew with Pillow, in a thread. Nothing is decoded before its pixels are counted."""

from __future__ import annotations

import importlib
import io
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qqmedia._jobs import Abandoned, Stop
from qqmedia.errors import MediaError, MediaFormatError, MediaTooLargeError
from qqmedia.media import Upload
from qqmedia.pictures._animation import encode_animation
from qqmedia.pictures._head import Head
from qqmedia.pictures._inside import size_inside
from qqmedia.pictures._options import ImageOptions

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ("FORMATS", "Made", "make_picture", "make_safe_picture")

# What Pillow may take each type for: it knows formats that run other programs.
FORMATS: Final = {
    "image/png": ("PNG",),
    "image/jpeg": ("JPEG",),
    "image/gif": ("GIF",),
    "image/webp": ("WEBP",),
    "image/bmp": ("BMP",),
    "image/tiff": ("TIFF",),
    "image/x-icon": ("ICO",),
    "image/avif": ("AVIF",),
    "image/heic": ("HEIF",),
}
_MOVING: Final = frozenset({"PNG", "GIF", "WEBP", "AVIF"})  # where more than one picture is an animation
_WAYS_OUT: Final = {
    "image/heic": "run: pip install pillow-heif",
    "image/avif": 'run: pip install "pillow>=11.3", or pillow-avif-plugin where its wheels have no AVIF',
}
# All frames of an animation together, in relation to those of one picture: they are kept at one byte a pixel.
_ANIMATION_FACTOR: Final = 4
# However small they are: each costs some kilobytes and a tenth of a millisecond. This is a quarter of an hour of film.
_MOST_FRAMES: Final = 20_000
_QUALITIES: Final = (90, 80, 70)
_SMALLEST_SIDE: Final = 64
_STRIP_ROWS: Final = 128  # Pillow holds the interpreter while it looks for extrema
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True, slots=True)
class Made:
    """A picture made anew; `note` says what was done, for people."""

    content: bytes = field(repr=False)
    content_type: str
    note: str


def make_picture(upload: Upload, content_type: str, head: Head | None, options: ImageOptions, stop: Stop) -> Made:
    """Return the picture as png, jpg or gif, within the budget.

    Raises:
        MediaTooLargeError: It has too many pixels.
        MediaFormatError: It is damaged, or Pillow cannot decode its format here.
        Abandoned: `stop` was asked.
    """
    what = _called(upload, content_type)
    with _errors(what, options), _judged(upload, content_type, head, options) as (picture, largest):
        frames = getattr(picture, "n_frames", 1) if picture.format in _MOVING else 1
        check_pixels(what, *largest, frames, options)
        stop.check()
        if frames > 1:
            content, size = encode_animation(picture, options, stop)
            made = Made(content, "image/gif", f"{frames} frames")
        else:
            made, size = _still(picture, options, stop)
        return Made(made.content, made.content_type, _note(made, content_type, picture_size(picture, head), size))


def make_safe_picture(upload: Upload, content_type: str, head: Head | None, options: ImageOptions, stop: Stop) -> Made:
    """Return the picture, or the first of its frames, as jpg, or png where one can see through it; else as above."""
    what = _called(upload, content_type)
    with _errors(what, options), _judged(upload, content_type, head, options) as (picture, _):
        stop.check()
        made, size = _still(picture, options, stop, palettes=False)
        return Made(made.content, made.content_type, _note(made, content_type, picture_size(picture, head), size))


@contextmanager
def _judged(
    upload: Upload, content_type: str, head: Head | None, options: ImageOptions
) -> Iterator[tuple[Image, tuple[int, int]]]:
    """Open it, when the sizes that are in it have been judged; give the largest too."""
    what = _called(upload, content_type)
    if head is not None:
        check_pixels(what, head.width, head.height, 1, options)
    with upload.open() as file:
        inside = size_inside(file, content_type)
        check_pixels(what, *inside, 1, options)
        file.seek(0)
        with _opened(file, content_type, what) as picture:
            width, height = max(inside[0], picture.width), max(inside[1], picture.height)
            check_pixels(what, width, height, 1, options)
            yield picture, (width, height)


def _called(upload: Upload, content_type: str) -> str:
    return f"the image {upload.filename!r} ({content_type})"


def check_pixels(what: str, width: int, height: int, frames: int, options: ImageOptions) -> None:
    """Refuse what would take too much memory.

    Raises:
        MediaTooLargeError: It would.
    """
    most = options.max_pixels
    if width * height > most:
        pixels = f"{width * height} pixels ({width}x{height})"
    elif frames > _MOST_FRAMES:
        raise MediaTooLargeError(
            f"{what} has {frames} frames, {_MOST_FRAMES} are allowed; send a shorter one, or a video"
        )
    elif frames * width * height > most * _ANIMATION_FACTOR:
        pixels = f"{frames * width * height} pixels ({frames} frames of {width}x{height})"
        most *= _ANIMATION_FACTOR
    else:
        return
    raise _too_many(what, pixels, most)


def picture_size(picture: Image, head: Head | None) -> tuple[int, int]:
    """Return the size of the file's picture; a JPEG may have been decoded at a smaller one."""
    return (head.width, head.height) if head is not None else picture.size


def _too_many(what: str, pixels: str, most: int) -> MediaTooLargeError:
    return MediaTooLargeError(
        f"{what} has {pixels}, {most} are allowed to be decoded; send a smaller one, or raise max_pixels"
        " (QQMEDIA_IMAGE_MAX_PIXELS)"
    )


@contextmanager
def _errors(what: str, options: ImageOptions) -> Iterator[None]:
    from PIL import Image  # noqa: PLC0415 - only a picture that is made anew needs it

    try:
        yield
    except (MediaError, Abandoned):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_many(what, f"{pixels[0] if pixels else 'too many'} pixels", options.max_pixels) from error
    except Exception as error:  # decoders raise whatever comes; it always means the same
        raise MediaFormatError(
            f"{what} has to be made anew for the platform, and is damaged: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """Return what the decoder says, without the address of the object that it read."""
    return re.sub(r" <[^>]*>$", "", str(error)) or type(error).__name__


def _opened(file: Any, content_type: str, what: str) -> Image:
    from PIL import Image  # noqa: PLC0415 - as above

    formats = FORMATS.get(content_type, ())
    if "HEIF" in formats:
        _register_heif()
    Image.init()
    if not any(name in Image.OPEN for name in formats):
        way_out = _WAYS_OUT.get(content_type, "send it as png, jpg or gif")
        raise MediaFormatError(f"{what} cannot be decoded here, and the platform does not take it as it is; {way_out}")
    return Image.open(file, formats=formats)


def _register_heif() -> None:
    try:
        plugin = importlib.import_module("pillow_heif")  # not among our dependencies
    except ImportError:
        return
    plugin.register_heif_opener()


def _still(picture: Image, options: ImageOptions, stop: Stop, *, palettes: bool = True) -> tuple[Made, tuple[int, int]]:
    from PIL import ImageOps  # noqa: PLC0415 - as above

    flat = palettes and picture.mode in ("P", "1")  # drawn, not photographed
    turned = picture.getexif().get(_ORIENTATION, 1) != 1
    picture.draft(None, (options.max_side, options.max_side))  # a JPEG decodes at half its size for a fraction
    picture.load()
    stop.check()
    upright = ImageOps.exif_transpose(picture) if turned else picture
    profile = picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA") else None
    image = _shrunk(_plain(upright), options.max_side / max(upright.size))
    stop.check()
    see_through = image.mode == "RGBA" and _see_through(image)
    if image.mode == "RGBA" and not see_through:
        image = image.convert("RGB")
    name = "PNG" if see_through or flat else "JPEG"
    content, image = _within_budget(image, name, profile, options, stop)
    notes = "turned upright" if turned else ""
    return Made(content, f"image/{name.lower()}", notes), image.size


def _plain(image: Image) -> Image:
    """Return it as RGB, RGBA or L."""
    if image.mode == "I;16":
        return image.point(lambda value: value * (1 / 257)).convert("L")
    if image.mode in ("I", "F"):  # nobody knows what their white is
        factor = 255 / max(255.0, float(image.getextrema()[1]))  # type: ignore[arg-type]
        return image.point(lambda value: value * factor).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode == "L" else image.convert("RGB")


def _see_through(image: Image) -> bool:
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(image.height, top + _STRIP_ROWS)))
        if strip.getchannel("A").getextrema()[0] != 255:  # noqa: PLR2004 - opaque
            return True
    return False


def _shrunk(image: Image, factor: float) -> Image:
    from PIL import Image as Images  # noqa: PLC0415 - as above

    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Images.Resampling.LANCZOS, reducing_gap=2.0)


def _within_budget(
    image: Image, name: str, profile: bytes | None, options: ImageOptions, stop: Stop
) -> tuple[bytes, Image]:
    """Encode; with less quality, then with fewer pixels, until it fits."""
    while True:
        content = b""
        for quality in _QUALITIES if name == "JPEG" else _QUALITIES[:1]:
            content = _encoded(image, name, quality, profile)
            stop.check()
            if len(content) <= options.max_bytes or max(image.size) <= _SMALLEST_SIDE:
                return content, image
        image = _shrunk(image, min(0.9, math.sqrt(options.max_bytes / len(content)) * 0.95))


def _encoded(image: Image, name: str, quality: int, profile: bytes | None) -> bytes:
    if name != "JPEG":
        out = io.BytesIO()
        image.save(out, name, icc_profile=profile)
        return out.getvalue()
    # A real file: into memory, Pillow encodes JPEG without letting go of the interpreter, and all others wait.
    with tempfile.TemporaryFile() as file:
        image.save(file, name, quality=quality, subsampling=0 if quality == _QUALITIES[0] else 2, icc_profile=profile)
        file.seek(0)
        return file.read()


def _note(made: Made, content_type: str, before: tuple[int, int], after: tuple[int, int]) -> str:
    def shown(size: tuple[int, int]) -> str:
        return f"{size[0]}x{size[1]}"

    sizes = shown(after) if sorted(before) == sorted(after) else f"{shown(before)} to {shown(after)}"
    extra = f", {made.note}" if made.note else ""
    return f"made {made.content_type} of {content_type}, {sizes}{extra}"
