"""Any picture in, one that the platform takes out: png, jpg or gif, within a budget of bytes and pixels.

Importing this costs nothing: Pillow is loaded when the first picture has to be made anew. What is changed, and what is
left alone: ``docs/formats.md``.
"""

from __future__ import annotations

from qqmedia.pictures._options import ImageOptions
from qqmedia.pictures._transform import ImageTransform

__all__ = ("ImageOptions", "ImageTransform")
