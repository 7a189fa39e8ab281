"""Media and decoders for the voice tests: one sound in every format, and PATH with or without ffmpeg."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import voice_media


@pytest.fixture(scope="session")
def ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real ffmpeg, alone in its folder."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    name = "ffmpeg.exe" if sys.platform == "win32" else "ffmpeg"
    link = tmp_path_factory.mktemp("ffmpeg") / name
    if sys.platform == "win32":
        shutil.copy(program, link)
    else:
        link.symlink_to(program)
    return link


@pytest.fixture(scope="session")
def media(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same sound in every format."""
    return voice_media.make_all(ffmpeg, tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def heard(ffmpeg: Path, media: dict[str, Path]) -> Callable[[str], array[int]]:
    """What ffmpeg hears in one of the media."""
    known: dict[str, array[int]] = {}

    def hear(name: str) -> array[int]:
        if name not in known:
            known[name] = voice_media.reference(ffmpeg, media[name])
        return known[name]

    return hear


@pytest.fixture
def with_ffmpeg(ffmpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has an ffmpeg, and no PyAV to fall back on."""
    monkeypatch.setenv("PATH", str(ffmpeg.parent))
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture
def with_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has PyAV, and no ffmpeg."""
    pytest.importorskip("av")
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def without_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has neither."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture(params=["ffmpeg", "pyav"])
def front_end(request: pytest.FixtureRequest) -> str:
    """Each of the two decoders in turn."""
    request.getfixturevalue(f"with_{request.param}")
    return str(request.param)


@pytest.fixture
def temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test's own, to see what is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def broken_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine has PyAV, and an ffmpeg that was built for another machine."""
    pytest.importorskip("av")
    program = tmp_path / ("ffmpeg.exe" if sys.platform == "win32" else "ffmpeg")
    program.write_bytes(b"\x7fELF, but for another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of ffmpeg."""
    if os.name == "nt":
        pytest.skip("a shell script cannot stand in for ffmpeg.exe")
    folder = tmp_path / "stand-in"
    folder.mkdir()

    def put(script: str) -> None:
        program = folder / "ffmpeg"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return put
