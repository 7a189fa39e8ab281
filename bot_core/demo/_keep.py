"""Saves what arrived, so that a person can look at it and listen to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bot_core.demo._check import Medium, hear
from bot_core.demo._scenes import SCENES
from bot_core.demo._show import Outcome
from qqmedia import MediaError

__all__ = ("forget", "keep")

_SUFFIXES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "video/mp4": ".mp4"}
_UNKNOWN: Final = ".bin"
_SILK: Final = ".silk"
_PLAYABLE: Final = ".wav"


def forget(folder: Path) -> None:
    """Remove what an earlier run left in `folder`, and only that, so that old files never pass for new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem in _every_stem():
        for suffix in (*_SUFFIXES.values(), _UNKNOWN, _SILK, _PLAYABLE):
            (folder / f"{stem}{suffix}").unlink(missing_ok=True)


def keep(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write every medium that arrived into `folder`; a voice as it came and as a WAV."""
    for outcome in outcomes:
        if outcome.expected and outcome.received and outcome.received.medium:
            _save(outcome.received.medium, folder / _stem(SCENES.index(outcome.scene), outcome.expected.medium))


def _every_stem() -> Iterator[str]:
    for number, scene in enumerate(SCENES):
        for step in scene.steps:
            for expected in step.answers:
                yield _stem(number, expected.medium)


def _stem(number: int, name: str | None) -> str:
    return f"{number + 1:02}-{Path(name).stem if name else 'unexpected'}"


def _save(medium: Medium, path: Path) -> None:
    # Not `with_suffix`: it would cut a stem with a dot in it.
    if medium.kind != "voice":
        path.with_name(path.name + _SUFFIXES.get(medium.content_type, _UNKNOWN)).write_bytes(medium.content)
        return
    path.with_name(path.name + _SILK).write_bytes(medium.content)
    try:
        path.with_name(path.name + _PLAYABLE).write_bytes(hear(medium.content).as_wav())
    except MediaError:
        return  # the table says that it cannot be played
