"""Machines with one decoder, the other, or none: what finds ffmpeg on PATH, and PyAV among the modules."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


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
