"""Turns any audio into silk, in a few threads of low priority that all encoders share."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from qqmedia.errors import MediaError, MediaTooLargeError
from qqmedia.voice._cache import Cache
from qqmedia.voice._codec import check_encoder, encode_pcm
from qqmedia.voice._input import Input
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import Abandoned, Stop
from qqmedia.voice._reading import read_sound
from qqmedia.voice._silk import MAGIC, SilkInfo, cut_silk, inspect_silk, is_silk, repair_silk
from qqmedia.voice._threads import THREADS, borrow_threads, lower_priority, return_threads

__all__ = ("SilkEncoder", "SilkVoice", "lower_priority")

# For how long a cancelled voice is waited for: a child is gone after milliseconds, PyAV may be in the middle of a call.
_GRACE_SECONDS: Final = 1.0
# An hour of silk at the highest bit rate has less.
_MOST_SILK_BYTES: Final = 64 * 1024 * 1024
# Above this, hashing a file to look for it in the cache costs more than it saves.
_MOST_CACHED_BYTES: Final = 32 * 1024 * 1024

_CLOSED_MEANWHILE: Final = "the voice was not encoded: its SilkEncoder was closed meanwhile"


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

    All encoders of a process do so in the same threads.

    It belongs to the event loop in which it is used first. It remembers the last few voices: the same sound is encoded
    once.

    Args:
        options: How voices are made.
    """

    def __init__(self, options: VoiceOptions | None = None) -> None:
        self._options = options or VoiceOptions()
        self._threads: ThreadPoolExecutor | None = None
        self._slots: asyncio.Semaphore | None = None
        self._stops: set[Stop] = set()
        self._jobs: set[Future[SilkVoice]] = set()
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
        threads, slots = self._workers()
        await slots.acquire()
        if self._closed:
            slots.release()
            raise MediaError(_CLOSED_MEANWHILE)
        return await self._run(audio, threads, slots)

    async def aclose(self) -> None:
        """Stop what is running and wait until its threads and children are gone; closing twice is harmless."""
        self._closed = True
        for stop in self._stops:
            stop.ask()
        for job in list(self._jobs):
            job.cancel()  # what waits for others' voices to be done
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(return_threads, set(self._jobs))

    def _workers(self) -> tuple[ThreadPoolExecutor, asyncio.Semaphore]:
        if self._closed:
            raise RuntimeError("this SilkEncoder is closed")
        if self._slots is None or self._threads is None:
            self._slots = asyncio.Semaphore(THREADS)
            self._threads = borrow_threads()
        return self._threads, self._slots

    async def _run(self, audio: bytes | Path, threads: ThreadPoolExecutor, slots: asyncio.Semaphore) -> SilkVoice:
        stop, loop = Stop(), asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()

        def encode() -> SilkVoice:
            loop.call_soon_threadsafe(begun.set_result, None)
            return self._encode(audio, stop)

        def ended(work: asyncio.Future[SilkVoice]) -> None:
            # Only now: a thread that could not be stopped still takes its place.
            slots.release()
            self._stops.discard(stop)
            if not work.cancelled():
                work.exception()  # nobody may be left to hear of it

        try:
            job = threads.submit(encode)
        except BaseException:
            slots.release()
            raise
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        work = asyncio.wrap_future(job)
        self._stops.add(stop)
        work.add_done_callback(ended)
        try:
            await asyncio.wait((work, begun), return_when=asyncio.FIRST_COMPLETED)  # others may have all the threads
            await asyncio.wait((work,), timeout=self._options.timeout)
            if work.cancelled():
                raise MediaError(_CLOSED_MEANWHILE)
            if work.done():
                return work.result()
            raise MediaError(
                f"the voice could not be encoded within {self._options.timeout:g} s; "
                "send a shorter one, or raise timeout (QQMEDIA_SILK_TIMEOUT)"
            )
        except Abandoned:
            raise MediaError(_CLOSED_MEANWHILE) from None
        finally:
            if not work.done() and not job.cancel():
                stop.ask()
                await asyncio.wait((work,), timeout=_GRACE_SECONDS)

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
