"""The conversation that the demo plays: who says what, and what must come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ("SCENES", "Expected", "Scene", "Step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One message that must arrive.

    Attributes:
        text: Words that it must contain; empty for a message without text of its own.
        medium: Name of the file whose content it must carry, or `None`.
        way: How the medium must have travelled: `url`, `bytes`, `chunks` or `cache`.
    """

    text: str = ""
    medium: str | None = None
    way: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a person says, and the messages that answer it."""

    says: str
    answers: tuple[Expected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A small conversation.

    Attributes:
        title: What it shows, in a word or two: it stands in a table.
        user: Who speaks.
        private: In a private chat, not in the group.
        driver: Driver of the bot that answers; `cos` is a storage that is down.
        trouble: What befalls the platform before: it can fetch no URL (`unreachable`), or every `file_info` has run out
            (`expired`).
    """

    title: str
    steps: tuple[Step, ...]
    user: str = "Ann"
    private: bool = False
    driver: str = "local"
    trouble: Literal["", "unreachable", "expired"] = ""


_CAT: Final = "Look, a cat!"

SCENES: Final = (
    Scene(title="text", steps=(Step(says="hello", answers=(Expected(text="Hello!"),)),)),
    Scene(
        title="text + picture",
        steps=(Step(says="picture", answers=(Expected(text=_CAT, medium="cat.png", way="url"),)),),
    ),
    Scene(
        title="three pictures",
        steps=(
            Step(
                says="album",
                answers=(
                    Expected(text="Three pictures.", medium="dusk.jpg", way="url"),
                    Expected(medium="night.png", way="url"),
                    Expected(medium="chart.png", way="url"),
                ),
            ),
        ),
    ),
    Scene(
        title="voice from mp3",
        steps=(Step(says="song", answers=(Expected(medium="song.mp3", way="url"),)),),
    ),
    Scene(
        title="voice from wav",
        steps=(Step(says="语音", answers=(Expected(medium="speech.wav", way="url"),)),),
    ),
    Scene(
        title="video",
        steps=(Step(says="video", answers=(Expected(medium="film.mp4", way="url"),)),),
    ),
    Scene(
        title="private chat",
        steps=(Step(says="图片", answers=(Expected(text=_CAT, medium="cat.png", way="url"),)),),
        user="Bob",
        private=True,
    ),
    Scene(
        title="wait + answer",
        steps=(
            Step(says="quiz", answers=(Expected(text="Which animal"),)),
            Step(says="A cat?", answers=(Expected(text="Right!"),)),
        ),
    ),
    Scene(
        title="picture again",
        steps=(Step(says="picture", answers=(Expected(text=_CAT, medium="cat.png", way="cache"),)),),
    ),
    Scene(
        title="webp picture",
        steps=(Step(says="sticker", answers=(Expected(text="A sticker.", medium="sticker.webp", way="url"),)),),
    ),
    Scene(
        title="expired file_info",
        steps=(Step(says="picture", answers=(Expected(text=_CAT, medium="cat.png", way="url"),)),),
        trouble="expired",
    ),
    Scene(
        title="unreachable URL",
        steps=(Step(says="图片", answers=(Expected(text=_CAT, medium="cat.png", way="bytes"),)),),
        user="Bob",
        private=True,
        trouble="unreachable",
    ),
    Scene(
        title="bytes: picture",
        steps=(Step(says="picture", answers=(Expected(text=_CAT, medium="cat.png", way="bytes"),)),),
        driver="direct",
    ),
    Scene(
        title="bytes: voice",
        steps=(Step(says="song", answers=(Expected(medium="song.mp3", way="bytes"),)),),
        driver="direct",
    ),
    Scene(
        title="12 MB behind NAT",
        steps=(Step(says="movie", answers=(Expected(medium="movie.mp4", way="chunks"),)),),
        driver="direct",
    ),
    Scene(
        title="storage down",
        steps=(Step(says="picture", answers=(Expected(text=_CAT, medium="cat.png", way="bytes"),)),),
        driver="cos",
    ),
)
"""Scenes of one driver stand together: the bot is started once for each."""
