"""Any video in, one that phones play out: H.264 and AAC in MP4, within a budget of bytes.

What is so already is not touched. Anything else needs an ``ffmpeg`` on PATH (or, where only the container is wrong, the
extra ``voice``); without it videos are sent as they are. More in ``docs/formats.md``.
"""

from __future__ import annotations

from qqmedia.videos._options import VideoOptions
from qqmedia.videos._transform import VideoTransform

__all__ = ("VideoOptions", "VideoTransform")
