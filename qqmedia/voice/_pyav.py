"""Reads sound with PyAV, in this process, where there is no ffmpeg program (extra ``voice``).

The same rules keep a hostile file harmless as for the child: see `qqmedia.voice._ffmpeg`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.voice._ffmpeg import FORMATS, PROMISING_FORMATS
from qqmedia.voice._input import Input, on_disk
from qqmedia.voice._options import VoiceOptions
from qqmedia.voice._pcm import RATE, Collector, Pcm

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

__all__ = ("read_with_pyav",)

_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
# As ffmpeg: a file is given up when more than two thirds of its packets are broken.
_BROKEN_SHARE: Final = 2 / 3
_MICROSECONDS: Final = 1_000_000


def read_with_pyav(given: Input, options: VoiceOptions, stop: Stop) -> Pcm | None:
    """Decode to 24 kHz mono; `None` when PyAV is not installed.

    Raises:
        MediaFormatError: It holds no sound, or cannot be decoded.
        MediaTooLargeError: It is too long.
        Abandoned: `stop` was asked.
    """
    try:
        import av  # noqa: PLC0415 - an extra, and large
    except ImportError:
        return None
    with on_disk(given) as path:
        try:
            # Titles in odd encodings are nobody's business here: by default they would be an error.
            container = av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            raise MediaFormatError(
                f"{given.name} is not an audio or video file that can be read, or its beginning is damaged"
            ) from error
        with container:
            return _Reader(container, given, options, stop).read()


class _Reader:
    def __init__(self, container: InputContainer, given: Input, options: VoiceOptions, stop: Stop) -> None:
        self._container = container
        self._what = given.name
        self._stop = stop
        self._collector = Collector(options, stop, given.name)
        self._packets = 0
        self._broken = 0

    def read(self) -> Pcm:
        if not self._container.streams.audio:
            raise MediaFormatError(f"{self._what} has no sound: it holds no audio stream")
        resampler = _Resampler()
        for frame in self._frames():
            if not all(self._collector.add(samples) for samples in resampler.feed(frame)):
                break
        else:
            for samples in resampler.feed(None):
                self._collector.add(samples)
        if self._broken > self._packets * _BROKEN_SHARE:
            raise MediaFormatError(f"{self._what} cannot be decoded, it is damaged: {self._broken} of its packets are")
        return self._collector.finish("PyAV", self._promised_seconds())

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Decode packet by packet; a broken one is passed over, as a player would."""
        import av  # noqa: PLC0415 - loaded by now

        packets = self._container.demux(self._container.streams.audio[0])
        while True:
            self._stop.check()
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                # The container itself is broken here; what came before it counts.
                self._broken += 1
                return
            if packet is None:
                return
            self._packets += 1
            try:
                frames: list[Any] = packet.decode()
            except av.FFmpegError:
                self._broken += 1
                continue
            yield from frames

    def _promised_seconds(self) -> float | None:
        stream = self._container.streams.audio[0]
        if self._container.format.name.split(",")[0] not in PROMISING_FORMATS:
            return None
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        moving = any(not _is_cover(video) for video in self._container.streams.video)
        if self._container.duration is None or moving:
            return None
        return self._container.duration / _MICROSECONDS


class _Resampler:
    """Turns frames of any kind into 24 kHz mono; starts anew where the kind changes in mid-file."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def feed(self, frame: av.AudioFrame | None) -> list[bytes]:
        """Return what is ready; `None` asks for the rest."""
        import av  # noqa: PLC0415 - loaded by now

        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        ready: list[bytes] = []
        if kind != self._kind:
            if self._resampler is not None:
                ready += _samples(self._resampler.resample(None))
            self._resampler = None if frame is None else av.AudioResampler(format="s16", layout="mono", rate=RATE)
            self._kind = kind
        if frame is not None and self._resampler is not None:
            frame.pts = None  # gaps and jumps in the time stamps do not matter: the sound is played as it comes
            ready += _samples(self._resampler.resample(frame))
        return ready


def _samples(frames: list[av.AudioFrame]) -> list[bytes]:
    # The plane is longer than the sound in it: it is padded for alignment.
    return [bytes(frame.planes[0])[: frame.samples * 2] for frame in frames]


def _is_cover(video: Any) -> bool:
    import av  # noqa: PLC0415 - loaded by now

    return bool(video.disposition & av.stream.Disposition.attached_pic)
