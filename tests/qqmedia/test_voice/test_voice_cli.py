from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from voice_media import loudness, samples_of, speech, wav_file

from qqmedia.cli._silk import silk
from qqmedia.errors import ConfigurationError, MediaFormatError, MediaSourceError, MediaTooLargeError

app = typer.Typer()
app.command()(silk)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav_file(speech(1.0)))
    return path


def test_there_and_back_and_what_is_in_it(sound: Path, tmp_path: Path) -> None:
    made, back = tmp_path / "sound.silk", tmp_path / "back.wav"
    assert "1.00 s, 50 packets" in run(sound, made)
    assert "Tencent silk, 1.00 s, 50 packets" in run("--info", made)
    assert "WAV, 24 kHz" in run("--decode", made, back)
    assert loudness(samples_of(back.read_bytes())) / loudness(speech(1.0)) == pytest.approx(1.0, abs=0.08)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.wav", "sound.silk", "sound.wav"]
    if os.name == "posix":
        assert made.stat().st_mode == sound.stat().st_mode


def test_info_says_what_is_wrong_with_a_file(sound: Path, tmp_path: Path) -> None:
    made = tmp_path / "sound.silk"
    run(sound, made)
    made.write_bytes(made.read_bytes() + b"\xff\xff")
    assert "after repair; as it is, QQ refuses it: the silk file has an end mark" in run("--info", made)
    made.write_bytes(made.read_bytes()[1:-2])
    assert "silk without Tencent's header" in run("--info", made)
    with pytest.raises(MediaFormatError, match="not a silk file"):
        run("--info", sound)


def test_settings_come_from_the_environment_and_options_win(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_SILK_MAX_SECONDS", "0.5")
    with pytest.raises(MediaTooLargeError):
        run(sound, tmp_path / "x.silk")
    assert not (tmp_path / "x.silk").exists()
    assert "cut to 0.5 s" in run(sound, tmp_path / "x.silk", "--trim")
    assert "1.00 s" in run(sound, tmp_path / "x.silk", "--max-seconds", "2")


def test_neither_the_source_nor_a_folder_is_overwritten(sound: Path, tmp_path: Path) -> None:
    before = sound.read_bytes()
    for target, said in (
        (sound, "OUT is IN itself"),
        (tmp_path, "OUT is a folder"),
        (tmp_path / "nowhere" / "x.silk", "folder of OUT does not exist"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            run(sound, target)
    assert sound.read_bytes() == before


def test_wrong_arguments_are_named(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="OUT is missing"):
        run(sound)
    with pytest.raises(ConfigurationError, match="give it alone"):
        run("--info", sound, tmp_path / "x")
    with pytest.raises(MediaSourceError, match="cannot be read"):
        run("--decode", tmp_path / "missing", tmp_path / "x")
    with pytest.raises(ConfigurationError, match="bitrate must be"):
        run(sound, tmp_path / "x", "--bitrate", "3")
