"""Makes an animated GIF of any animation that Pillow can read."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from qqmedia._jobs import Stop
from qqmedia.pictures._options import ImageOptions

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ("encode_animation",)

# Of all frames that are written: what has more is made smaller, as GIF would take minutes and tens of megabytes.
_MOST_PIXELS_WRITTEN: Final = 40_000_000
_TRANSPARENT: Final = 255  # the palette's last place
_HALF_SEEN: Final = 128  # GIF knows no half
_SMALLEST_SIDE: Final = 32
_DEFAULT_MILLISECONDS: Final = 100
_SHORTEST_MILLISECONDS: Final = 20  # players take less for a mistake, and play slowly
_CLEAR_FIRST: Final = 2  # disposal: a frame with holes must not show the one before


def encode_animation(picture: Image, options: ImageOptions, stop: Stop) -> tuple[bytes, tuple[int, int]]:
    """Return the animation as GIF, within the budget, and its size in pixels."""
    frames: int = getattr(picture, "n_frames", 1)
    width, height = picture.size
    factor = min(
        1.0, options.max_side / max(width, height), math.sqrt(_MOST_PIXELS_WRITTEN / (width * height * frames))
    )
    while True:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        content = _encoded(picture, frames, size, stop)
        if len(content) <= options.max_bytes or max(size) <= _SMALLEST_SIDE:
            return content, size
        factor *= min(0.9, math.sqrt(options.max_bytes / len(content)) * 0.95)


def _encoded(picture: Image, frames: int, size: tuple[int, int], stop: Stop) -> bytes:
    milliseconds: list[int] = []
    made = _frames(picture, frames, size, milliseconds, stop)
    first = next(made)
    more: dict[str, Any] = {"loop": picture.info["loop"]} if "loop" in picture.info else {}
    out = io.BytesIO()
    rest = list(made)  # only then is the list of durations complete
    first.save(
        out, "GIF", save_all=True, append_images=rest, duration=milliseconds, disposal=_CLEAR_FIRST,
        optimize=False, **more,
    )  # fmt: skip
    return out.getvalue()


def _frames(picture: Image, frames: int, size: tuple[int, int], milliseconds: list[int], stop: Stop) -> Iterator[Image]:
    for number in range(1 if picture.info.get("default_image") else 0, frames):  # it is for who cannot play the rest
        stop.check()
        picture.seek(number)
        picture.load()
        given = picture.info.get("duration") or _DEFAULT_MILLISECONDS
        milliseconds.append(max(_SHORTEST_MILLISECONDS, round(float(given))))
        yield _with_palette(picture, size)


def _with_palette(picture: Image, size: tuple[int, int]) -> Image:
    from PIL import Image as Images  # noqa: PLC0415 - loaded by now

    seen = picture.convert("RGBA")
    if seen.size != size:
        seen = seen.resize(size, Images.Resampling.LANCZOS, reducing_gap=2.0)
    alpha = seen.getchannel("A")
    holes = alpha.point(lambda value: 255 if value < _HALF_SEEN else 0)
    frame = seen.convert("RGB").quantize(_TRANSPARENT, Images.Quantize.MEDIANCUT)
    frame.info = {}  # what other formats mean by "background" is not what GIF does
    if holes.getbbox() is not None:
        frame.paste(_TRANSPARENT, (0, 0), holes)
        frame.info["transparency"] = _TRANSPARENT
    return frame
