"""Puts H.264 and AAC into an MP4 with PyAV, where there is no ffmpeg (extra ``voice``); nothing is encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from qqmedia._jobs import Stop
from qqmedia.errors import MediaFormatError
from qqmedia.videos._streams import Streams
from qqmedia.voice._ffmpeg import FORMATS

__all__ = ("inspect_with_pyav", "remux_with_pyav")

_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
_MICROSECONDS: Final = 1_000_000


def inspect_with_pyav(path: Path) -> Streams | None:
    """Return what PyAV sees in the file; `None` when it is not installed.

    Raises:
        MediaFormatError: It is not a video that can be read.
    """
    try:
        import av  # noqa: PLC0415 - an extra, and large
    except ImportError:
        return None
    try:
        with av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="ignore") as container:
            video = next((one for one in container.streams.video if not _is_cover(one)), None)
            audio = next(iter(container.streams.audio), None)
            return Streams(
                video=video.codec_context.name if video else None,
                pixels=(video.codec_context.pix_fmt or "") if video else "",
                audio=audio.codec_context.name if audio else None,
                seconds=container.duration / _MICROSECONDS if container.duration else None,
            )
    except (av.FFmpegError, ValueError) as error:
        raise MediaFormatError(f"PyAV cannot read it: {error}") from error


def remux_with_pyav(path: Path, target: Path, stop: Stop) -> None:
    """Write the first picture and sound into an MP4, as they are.

    Raises:
        MediaFormatError: They do not fit there, or the file is damaged.
        Abandoned: `stop` was asked.
    """
    import av  # noqa: PLC0415 - loaded by now

    try:
        with (
            av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="ignore") as source,
            av.open(f"file:{target}", "w", format="mp4", options={"movflags": "+faststart"}) as output,
        ):
            chosen: list[Any] = [next(one for one in source.streams.video if not _is_cover(one))]
            chosen += source.streams.audio[:1]
            streams = {one.index: output.add_stream_from_template(one) for one in chosen}
            for packet in _in_time(source.demux(*chosen)):
                stop.check()
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise MediaFormatError(f"PyAV cannot make it an mp4: {error}") from error


def _in_time(packets: Iterable[Any]) -> Iterator[Any]:
    """Give the first packets of a stream the time to be decoded that Matroska leaves out; MP4 wants to have it."""
    waiting: dict[int, list[Any]] = {}
    for packet in packets:
        early = waiting.setdefault(packet.stream.index, [])
        if not packet.size:  # ends a stream
            continue
        if packet.dts is None:
            early.append(packet)
            continue
        for distance, one in enumerate(reversed(early), start=1):
            one.dts = packet.dts - distance * (one.duration or 1)
        yield from early
        early.clear()
        yield packet


def _is_cover(video: Any) -> bool:
    import av  # noqa: PLC0415 - loaded by now

    return bool(video.disposition & av.stream.Disposition.attached_pic)
