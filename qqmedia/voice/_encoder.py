"""Turns any audio into silk, as heavy work beside everything else."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from qqmedia._jobs import Jobs, Stop
from qqmedia.errors import MediaError, MediaTooLargeError
from qqmedia.voice._cache import Cache
from qqmedia.voice._codec import check_encoder, encode_pcm
from qqmedia.voice._input import Input
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._reading import read_sound
from qqmedia.voice._silk import MAGIC, SilkInfo, cut_silk, inspect_silk, is_silk, repair_silk

__all__ = ("SilkEncoder", "SilkVoice")

_AT_ONCE: Final = os.cpu_count() or 1
# An hour of silk at the highest bit rate has less.
_MOST_SILK_BYTES: Final = 64 * 1024 * 1024
# Above this, hashing a file to look for it in the cache costs more than it saves.
_MOST_CACHED_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SilkVoice:
    """A voice as QQ takes it.

    Attributes:
        data: The silk file.
        info: What it says about itself.
        note: What was done, for people.
    """

    data: bytes = field(repr=False)
    info: SilkInfo
    note: str


class SilkEncoder:
    """Encodes voices, as many at once as there are processors; close it, or use it as an async context manager.

    All encoders of a process together encode no more at once than that, except that each always has one voice in work.
    It belongs to the event loop in which it is used first. It remembers the last few voices: the same sound is encoded
    once.

    Args:
        options: How voices are made.
    """

    def __init__(self, options: VoiceOptions | None = None) -> None:
        self._options = options or VoiceOptions()
        self._jobs = Jobs("voice", at_once=_AT_ONCE, owner="its SilkEncoder")
        self._cache: Cache[SilkVoice] = Cache()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def options(self) -> VoiceOptions:
        """How voices are made."""
        return self._options

    async def encode(self, audio: bytes | Path) -> SilkVoice:
        """Return the audio (or the sound of a video) as silk.

        Silk is passed through, repaired where it must be. A path is read in place; nothing that the audio names is ever
        opened. When cancelled, the decoder is gone within milliseconds.

        Raises:
            MediaSourceError: It is empty, not a file, or cannot be read.
            MediaFormatError: It holds no sound, is damaged, or no decoder is installed that could read it.
            MediaTooLargeError: It is longer than `VoiceOptions.max_seconds`.
            MediaError: It took longer than `VoiceOptions.timeout`, or there is no room for a temporary file.
            ConfigurationError: The encoder is not installed.
        """
        if self._closed:
            raise RuntimeError("this SilkEncoder is closed")
        try:
            return await self._jobs.run(partial(self._encode, audio), timeout=self._options.timeout)
        except TimeoutError:
            raise MediaError(
                f"the voice could not be encoded within {self._options.timeout:g} s; "
                "send a shorter one, or raise timeout (QQMEDIA_SILK_TIMEOUT)"
            ) from None

    async def aclose(self) -> None:
        """Stop what is running, and wait a little for threads and children to end; closing twice is harmless."""
        self._closed = True
        await self._jobs.aclose()

    def _encode(self, audio: bytes | Path, stop: Stop) -> SilkVoice:
        """Do it all, in a thread."""
        stop.check()
        given = Input.of(audio)
        if is_silk(given.head):
            return self._pass_through(given)
        check_encoder(self._options)
        key = _digest(given)
        voice = self._cache.get(key) if key else None
        if voice is None:
            voice = self._make(given, stop)
            if key:
                self._cache.put(key, voice)
        return voice

    def _make(self, given: Input, stop: Stop) -> SilkVoice:
        pcm = read_sound(given, self._options, stop)
        data = encode_pcm(pcm, self._options, stop)
        cut = f", cut to {pcm.seconds:.1f} s" if pcm.trimmed else ""
        note = f"encoded to silk by {self._options.encoder}, read by {pcm.decoder}{cut}"
        return SilkVoice(data=data, info=inspect_silk(data), note=note)

    def _pass_through(self, given: Input) -> SilkVoice:
        if given.size > _MOST_SILK_BYTES:
            raise MediaTooLargeError(f"{given.name} is a silk file of {given.size} bytes, which no voice can have")
        original = given.read()
        data = repair_silk(original)
        notes = ["silk, as it was given"] if data is original else ["silk, " + _repair(original)]
        info = inspect_silk(data)
        longest = self._options.max_seconds
        if info.seconds > longest + 1e-6:
            if not self._options.trim:
                raise MediaTooLargeError(
                    f"{given.name} is {info.seconds:.1f} s long, a voice may have {longest:g} s; send less, raise "
                    "max_seconds (QQMEDIA_SILK_MAX_SECONDS), or have it cut with trim (QQMEDIA_SILK_TRIM=true)"
                )
            data = cut_silk(data, longest)
            info = inspect_silk(data)
            notes.append(f"cut to {info.seconds:.1f} s")
        return SilkVoice(data=data, info=info, note=", ".join(notes))


def _repair(original: bytes) -> str:
    return "repaired: its end was cut" if original.startswith(MAGIC) else "repaired: it was not Tencent's"


def _digest(given: Input) -> bytes | None:
    """Name the sound for the cache; options and codecs are the same for as long as there is this encoder."""
    if given.size > _MOST_CACHED_BYTES:
        return None
    if isinstance(given.content, bytes):
        return hashlib.sha256(given.content).digest()
    with given.content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
