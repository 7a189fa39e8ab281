"""Makes one sound in every format there is, and measures what came out; shared by the tests and the benchmark."""

from __future__ import annotations

import io
import math
import operator
import struct
import subprocess
import wave
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 2.0
RATE = 24_000
_VIDEO = ("-f", "lavfi", "-i", f"testsrc=size=64x48:rate=10:duration={SECONDS}", "-shortest", "-pix_fmt", "yuv420p")

# name of the file -> what ffmpeg is told to make it
FORMATS: dict[str, tuple[str, ...]] = {
    "mono.mp3": ("-ac", "1"),
    "vbr44.mp3": ("-ar", "44100", "-q:a", "4"),
    "low8.mp3": ("-ar", "8000", "-b:a", "16k"),
    "layer2.mp2": (),
    "adts.aac": (),
    "aac.m4a": (),
    "alac.m4a": ("-c:a", "alac"),
    "vorbis.ogg": ("-c:a", "libvorbis"),
    "opus.ogg": ("-c:a", "libopus"),
    "opus.opus": ("-c:a", "libopus"),
    "flac.ogg": ("-c:a", "flac"),
    "flac.flac": (),
    "s16-44k.wav": ("-ar", "44100"),
    "s16-mono16k.wav": ("-ar", "16000", "-ac", "1"),
    "u8-22k.wav": ("-ar", "22050", "-c:a", "pcm_u8"),
    "s24-51.wav": ("-ac", "6", "-c:a", "pcm_s24le"),
    "f32.wav": ("-c:a", "pcm_f32le"),
    "mulaw8k.wav": ("-ar", "8000", "-ac", "1", "-c:a", "pcm_mulaw"),
    "adpcm.wav": ("-c:a", "adpcm_ms"),
    "wave64.w64": (),
    "aiff.aiff": (),
    "sun.au": (),
    "apple.caf": (),
    "narrow.amr": ("-ar", "8000", "-ac", "1"),
    "windows.wma": (),
    "dolby.ac3": (),
    "dolby.eac3": (),
    "wavpack.wv": (),
    "true.tta": (),
    "audio.webm": ("-c:a", "libopus"),
    "audio.mka": ("-c:a", "flac"),
    "phone.3gp": ("-ar", "8000", "-ac", "1", "-c:a", "libopencore_amrnb"),
    "video.mp4": (*_VIDEO, "-c:v", "mpeg4"),
    "video.mov": (*_VIDEO, "-c:v", "mpeg4"),
    "video.mkv": (*_VIDEO, "-c:v", "mpeg4"),
    "video.avi": (*_VIDEO, "-c:v", "mpeg4"),
    "video.flv": (*_VIDEO, "-c:v", "flv1", "-ar", "44100"),
    "video.ts": (*_VIDEO, "-c:v", "mpeg2video", "-r", "25"),
    "video.mpg": (*_VIDEO, "-c:v", "mpeg2video", "-r", "25"),
}


def speech(seconds: float = SECONDS, rate: int = RATE) -> array[int]:
    """Return something like speech: four syllables a second, within what a telephone passes on."""
    wave_ = array("h")
    for index in range(round(seconds * rate)):
        time = index / rate
        loudness = 0.55 - 0.45 * math.cos(2 * math.pi * 4 * time)
        pitch = 2 * math.pi * (420 + 60 * math.sin(2 * math.pi * 1.5 * time)) * time
        tone = math.sin(pitch) + 0.5 * math.sin(2 * pitch) + 0.25 * math.sin(3 * pitch)
        wave_.append(int(6000 * loudness * tone))
    return wave_


def wav_file(samples: array[int], rate: int = RATE, channels: int = 1) -> bytes:
    """Return 16-bit samples as a WAV file, written by the standard library."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def samples_of(wav: bytes) -> array[int]:
    """Return the samples of a mono WAV file, read by the standard library."""
    with wave.open(io.BytesIO(wav)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, RATE)
        return array("h", reader.readframes(reader.getnframes()))


def loudness(samples: array[int]) -> float:
    """Return the root of the mean square."""
    return math.sqrt(sum(map(operator.mul, samples, samples)) / max(1, len(samples)))


def likeness(one: array[int], other: array[int], rate: int = RATE) -> float:
    """Compare the course of loudness, in steps of 25 ms: 1 is the same, 0 is unrelated. Small shifts do not matter."""
    step = rate // 40
    first = [loudness(one[start : start + step]) for start in range(0, len(one) - step, step)]
    second = [loudness(other[start : start + step]) for start in range(0, len(other) - step, step)]
    return max(_correlation(first[max(0, shift) :], second[max(0, -shift) :]) for shift in range(-4, 5))


def _correlation(one: list[float], other: list[float]) -> float:
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    a, b = sum(one) / size, sum(other) / size
    both = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    alone = math.sqrt(sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other))
    return both / alone if alone else 0.0


def make_all(ffmpeg: Path, folder: Path) -> dict[str, Path]:
    """Make the sound in every format."""
    source = folder / "source-48k-stereo.wav"
    mono = speech(rate=48_000)
    stereo = array("h", bytes(len(mono) * 4))
    stereo[0::2] = stereo[1::2] = mono
    source.write_bytes(wav_file(stereo, 48_000, 2))

    def make(name: str) -> Path:
        run_ffmpeg(ffmpeg, "-i", str(source), *FORMATS[name], str(folder / name))
        return folder / name

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(FORMATS, threads.map(make, FORMATS), strict=True))


def reference(ffmpeg: Path, path: Path) -> array[int]:
    """Return what ffmpeg itself hears in the file."""
    return array("h", run_ffmpeg(ffmpeg, "-i", str(path), "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"))


def run_ffmpeg(ffmpeg: Path, *arguments: str) -> bytes:
    command = [str(ffmpeg), "-nostdin", "-y", "-loglevel", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def raw_wav(coding: int, bits: int, rate: int, channels: int, data: bytes, *, promised: int | None = None) -> bytes:
    """Return a WAV file of any kind, also a wrong one."""
    frame = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, coding, channels, rate, rate * frame, frame, bits)
    size = len(data) if promised is None else promised
    return struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE") + form + struct.pack("<4sI", b"data", size) + data
