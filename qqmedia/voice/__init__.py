"""Any audio in, a voice message out: the Tencent silk that QQ plays, and what a silk file says about itself.

Importing this costs nothing: the codec and the decoders are loaded when the first voice needs them. How a file becomes
a voice, which decoder reads it and what is refused: ``docs/voice.md``.
"""

from __future__ import annotations

from qqmedia.voice._codec import decode_silk, decode_silk_sync
from qqmedia.voice._encoder import SilkEncoder, SilkVoice
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._silk import SilkInfo, inspect_silk, is_silk, repair_silk
from qqmedia.voice._transform import SilkTransform

__all__ = (
    "SilkEncoder",
    "SilkInfo",
    "SilkTransform",
    "SilkVoice",
    "VoiceOptions",
    "decode_silk",
    "decode_silk_sync",
    "inspect_silk",
    "is_silk",
    "repair_silk",
)
