"""What the demo sends is what its name says, whichever encoder is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from bot_core.demo._media import DemoMedia, make_media
from bot_core.demo._sound import compare, melody, speech
from qqmedia import ConfigurationError


def looks_right(media: DemoMedia) -> None:
    for name, kind in {"cat.png": "PNG", "night.png": "PNG", "chart.png": "PNG", "dusk.jpg": "JPEG"}.items():
        with Image.open(media.path(name)) as picture:
            assert picture.format == kind
            assert len(picture.convert("RGB").resize((64, 48)).getcolors(4096) or ()) > 3, f"{name} shows nothing"
    assert media.path("speech.wav").read_bytes()[8:16] == b"WAVEfmt "
    assert media.path("song.mp3").read_bytes()[:3] == b"ID3"
    assert media.path("film.mp4").read_bytes()[4:8] == b"ftyp"
    assert sorted(path.name for path in media.folder.iterdir()) == [
        "cat.png", "chart.png", "dusk.jpg", "film.mp4", "movie.mp4", "night.png", "song.mp3", "speech.wav",
        "sticker.webp",
    ]  # fmt: skip


def played_seconds(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        assert container.duration is not None
        return container.duration / av.time_base


def test_media_are_what_their_names_say(tmp_path: Path) -> None:
    media = make_media(tmp_path / "media")

    looks_right(media)
    assert played_seconds(media.path("film.mp4")) == pytest.approx(2.4, abs=0.2)
    assert played_seconds(media.path("song.mp3")) == pytest.approx(media.sounds["song.mp3"].seconds, abs=0.1)


def test_ffmpeg_stands_in_for_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as where the extra is not installed
    program = tmp_path / ("ffmpeg.exe" if os.name == "nt" else "ffmpeg")
    program.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(tmp_path))

    media = make_media(tmp_path / "media")

    looks_right(media)
    monkeypatch.undo()
    assert played_seconds(media.path("film.mp4")) == pytest.approx(2.4, abs=0.2)
    assert played_seconds(media.path("song.mp3")) == pytest.approx(media.sounds["song.mp3"].seconds, abs=0.1)


def test_without_an_encoder_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[voice\]", or install ffmpeg'):
        make_media(tmp_path / "media")

    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize("sound", [melody, speech])
def test_a_sound_is_the_same_at_every_rate(sound: type) -> None:
    fine, coarse = sound(48_000), sound(24_000)
    halved = type(coarse)(24_000, fine.samples[::2])

    likeness = compare(halved, coarse)

    assert likeness.seconds == 0
    assert likeness.loudness == pytest.approx(1, abs=0.001)
    assert likeness.correlation > 0.999


def test_two_sounds_are_told_apart() -> None:
    assert compare(melody(24_000), speech(24_000)).correlation < 0.1
