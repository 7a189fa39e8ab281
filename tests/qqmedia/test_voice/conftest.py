"""Media for the voice tests: one sound in every format."""

from __future__ import annotations

import sys
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import voice_media


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
