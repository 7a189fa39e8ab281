"""The silk codecs themselves, loaded when the first voice needs them."""

from __future__ import annotations

import asyncio
import io
import threading
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Final

from qqmedia._jobs import Stop
from qqmedia.errors import ConfigurationError, MediaFormatError
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import FRAME_SECONDS, RATE, SAMPLE_BYTES, Pcm
from qqmedia.voice._silk import inspect_silk, repair_silk
from qqmedia.voice._wav import ENCODER_RATES, write_wav

__all__ = ("check_encoder", "decode_silk", "decode_silk_sync", "encode_pcm", "encoder_takes")

_loading = threading.Lock()
_SILENCE: Final = bytes(int(RATE * FRAME_SECONDS) * SAMPLE_BYTES)


def encoder_takes(rate: int, options: VoiceOptions) -> bool:
    """Whether the encoder can be given samples of this rate."""
    return rate == RATE if options.encoder == "graiax" else rate in ENCODER_RATES


def check_encoder(options: VoiceOptions) -> None:
    """Load the encoder.

    Raises:
        ConfigurationError: It is not installed or cannot be loaded; the text names the way out.
    """
    _load_graiax() if options.encoder == "graiax" else _load_silk_python()


def encode_pcm(pcm: Pcm, options: VoiceOptions, stop: Stop) -> bytes:
    """Encode to Tencent silk; the last packet is filled up with silence.

    Raises:
        ConfigurationError: The encoder is not installed or cannot be loaded.
        Abandoned: `stop` was asked. Only `silk-python` can be stopped in the middle.
    """
    frame_bytes = int(pcm.rate * FRAME_SECONDS) * SAMPLE_BYTES
    samples = pcm.data + bytes(-len(pcm.data) % frame_bytes)
    stop.check()
    if options.encoder == "graiax":
        silk: bytes = _load_graiax()(samples, rate=options.bitrate, tencent=True)
    else:
        output = _Stream(stop)
        _load_silk_python().encode(_Stream(stop, samples), output, pcm.rate, int(options.bitrate))
        silk = output.getvalue()
    stop.check()
    return repair_silk(silk)


async def decode_silk(data: bytes) -> bytes:
    """Return what a silk file sounds like: a WAV file, 24 kHz, mono, 16 bits.

    A file that `repair_silk` can repair is taken too.

    Raises:
        MediaFormatError: It is not silk, or it is damaged.
        ConfigurationError: silk-python is not installed or cannot be loaded.
    """
    return await asyncio.to_thread(decode_silk_sync, data)


def decode_silk_sync(data: bytes) -> bytes:
    """Decode like `decode_silk`, in the calling thread: a minute takes about a tenth of a second."""
    data = repair_silk(data)
    packets = inspect_silk(data).packets
    codec = _load_silk_python()
    output = io.BytesIO()
    try:
        codec.decode(io.BytesIO(data), output, RATE)
    except codec.SilkError as error:
        raise MediaFormatError(f"the silk file is damaged: one of its {packets} packets cannot be decoded") from error
    return write_wav(output.getvalue(), RATE)


class _Stream(io.BytesIO):
    """A stream as silk-python wants it (both `read` and `write`) that ends the encoding when asked to stop."""

    def __init__(self, stop: Stop, content: bytes = b"") -> None:
        super().__init__(content)
        self._stop = stop

    def read(self, size: int | None = -1, /) -> bytes:
        self._stop.check()
        return super().read(size)


def _load_silk_python() -> Any:
    with _loading:
        try:
            import pysilk  # noqa: PLC0415 - a native library, wanted only for voices
        except ImportError as error:
            raise ConfigurationError(
                f"voices need silk-python, and it cannot be loaded ({error}); run: pip install silk-python"
            ) from error
        _refuse_another_pysilk(pysilk)
        return pysilk


@cache
def _refuse_another_pysilk(codec: ModuleType) -> None:
    """Tell silk-python from pysilk-mod, which installs a module of the same name over it."""
    try:
        output = io.BytesIO()
        codec.encode(io.BytesIO(_SILENCE), output, RATE, 24_000)
        inspect_silk(output.getvalue())
        codec.decode(io.BytesIO(output.getvalue()), io.BytesIO(), RATE)
        issubclass(codec.SilkError, Exception)
    except Exception as error:  # whatever a stranger's module does with our arguments
        raise ConfigurationError(
            f"the module pysilk ({getattr(codec, '__file__', 'unknown place')}) is not silk-python's: another package, "
            "most likely pysilk-mod, has installed its own under this name; run: pip uninstall -y pysilk-mod "
            "silk-python, then pip install silk-python"
        ) from error


def _load_graiax() -> Callable[..., bytes]:
    """Load graiax-silkcoder; only its encoder is used, and only for samples that were decoded here."""
    with _loading:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it imports audioop, which is deprecated; that is not our user's fault
                from graiax.silkcoder import silk_encode  # noqa: PLC0415 - an extra
        except (ImportError, RuntimeError, OSError) as error:
            raise ConfigurationError(
                f'encoder "graiax" cannot be loaded ({error}); run: pip install "qqmedia[graiax]" '
                '(Python 3.11 only), or use encoder "silk-python" (QQMEDIA_SILK_ENCODER), which gives the same bytes'
            ) from error
    encode: Callable[..., bytes] = silk_encode
    return encode
