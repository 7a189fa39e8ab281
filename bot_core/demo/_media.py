"""Makes what the demo sends: pictures, two sounds and a film, all drawn and computed here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from bot_core.demo import _encode, _sound
from bot_core.demo._sound import Sound

__all__ = ("SILK_RATE", "DemoMedia", "make_media")

SILK_RATE: Final = 24_000  # what arrives is compared at this rate
_MP3_RATE: Final = 44_100
_WAV_RATE: Final = 16_000

_SIZE: Final = (640, 480)
_FILM_SIZE: Final = (320, 240)
_FILM_FRAMES: Final = 36
_FILM_FRAMES_A_SECOND: Final = 15
_MOVIE_BYTES: Final = 12_000_000  # above what goes up in one request
_STICKER_SIZE: Final = (240, 240)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class DemoMedia:
    """The files, and what the sounds among them are.

    Attributes:
        folder: Where they lie.
        sounds: By file name: the sound at `SILK_RATE`.
    """

    folder: Path
    sounds: dict[str, Sound] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Return the path of one of them."""
        return self.folder / name


def make_media(folder: Path) -> DemoMedia:
    """Write all of them into `folder`, over what may lie there from an earlier run.

    Raises:
        ConfigurationError: Nothing is installed that can write mp3 and mp4; the text says what to install.
        OSError: The folder cannot be written.
    """
    _encode.check_encoder()
    folder.mkdir(parents=True, exist_ok=True)
    _cat().save(folder / "cat.png")
    _dusk().save(folder / "dusk.jpg", quality=90)
    _night().save(folder / "night.png")
    _chart().save(folder / "chart.png")
    _sticker().save(folder / "sticker.webp", lossless=True)
    (folder / "speech.wav").write_bytes(_sound.speech(_WAV_RATE).as_wav())
    stereo = folder / "song.wav"
    stereo.write_bytes(_sound.melody(_MP3_RATE).as_wav(channels=2))
    _encode.write_mp3(stereo, folder / "song.mp3")
    stereo.unlink()
    _encode.write_mp4([_ball(number) for number in range(_FILM_FRAMES)], _FILM_FRAMES_A_SECOND, folder / "film.mp4")
    (folder / "movie.mp4").write_bytes(_grown((folder / "film.mp4").read_bytes(), _MOVIE_BYTES))
    return DemoMedia(folder, {"speech.wav": _sound.speech(SILK_RATE), "song.mp3": _sound.melody(SILK_RATE)})


def _cat() -> Image.Image:
    picture = Image.new("RGB", _SIZE, (255, 241, 214))
    draw = ImageDraw.Draw(picture)
    fur, dark, pink = (240, 160, 75), (60, 40, 30), (235, 120, 120)
    for ear in ([(190, 190), (215, 70), (310, 140)], [(450, 190), (425, 70), (330, 140)]):
        draw.polygon(ear, fill=fur, outline=dark, width=6)
    draw.ellipse((170, 110, 470, 410), fill=fur, outline=dark, width=6)
    for left in (235, 355):
        draw.ellipse((left, 210, left + 50, 270), fill=(190, 225, 120), outline=dark, width=4)
        draw.ellipse((left + 18, 215, left + 32, 265), fill=dark)
    draw.polygon([(300, 300), (340, 300), (320, 322)], fill=pink, outline=dark)
    draw.arc((275, 305, 320, 350), 0, 160, fill=dark, width=5)
    draw.arc((320, 305, 365, 350), 20, 180, fill=dark, width=5)
    for height in (-18, 0, 18):
        draw.line((265, 315 + height // 2, 130, 310 + height * 2), fill=dark, width=3)
        draw.line((375, 315 + height // 2, 510, 310 + height * 2), fill=dark, width=3)
    return picture


def _dusk() -> Image.Image:
    picture = _gradient((70, 50, 110), (255, 170, 80))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((230, 200, 410, 380), fill=(255, 230, 120))
    draw.rectangle((0, 330, *_SIZE), fill=(40, 60, 110))
    for row in range(340, _SIZE[1], 18):
        half = 90 - (row - 340) // 3
        draw.line((320 - half, row, 320 + half, row), fill=(255, 200, 110), width=5)
    return picture


def _night() -> Image.Image:
    picture = _gradient((8, 10, 40), (50, 60, 120))
    draw = ImageDraw.Draw(picture)
    for number in range(160):  # spread by two steps that never meet
        x, y, size = number * 197 % _SIZE[0], number * 89 % 400, 1 + number % 3
        draw.ellipse((x, y, x + size, y + size), fill=(255, 255, 220))
    draw.ellipse((440, 60, 540, 160), fill=(250, 245, 210))
    draw.polygon([(0, 480), (0, 380), (180, 260), (330, 400), (470, 300), (640, 420), (640, 480)], fill=(5, 8, 20))
    return picture


def _chart() -> Image.Image:
    picture = Image.new("RGB", _SIZE, (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    draw.line((60, 40, 60, 430, 610, 430), fill=(80, 80, 80), width=4)
    for number, height in enumerate((120, 210, 90, 300, 250, 350)):
        left = 90 + number * 85
        draw.rectangle((left, 428 - height, left + 55, 428), fill=(70, 130 + number * 18, 220 - number * 25))
    return picture


def _sticker() -> Image.Image:
    picture = Image.new("RGB", _STICKER_SIZE, (120, 200, 190))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((30, 30, 210, 210), fill=(255, 220, 90), outline=(90, 60, 20), width=6)
    for left in (80, 140):
        draw.ellipse((left, 90, left + 20, 120), fill=(90, 60, 20))
    draw.arc((75, 90, 165, 175), 20, 160, fill=(90, 60, 20), width=6)
    return picture


def _grown(film: bytes, size: int) -> bytes:
    """Return the film with a box behind it that players skip, so that it has this size."""
    free = size - len(film)
    return film + free.to_bytes(4, "big") + b"free" + bytes(free - 8)


def _ball(number: int) -> Image.Image:
    width, height = _FILM_SIZE
    picture = Image.new("RGB", _FILM_SIZE, (225, 240, 250))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height - 30, width, height), fill=(120, 180, 110))
    left = 20 + number * (width - 80) // _FILM_FRAMES
    top = height - 70 - round(130 * abs(math.sin(number * math.pi / 12)))
    draw.ellipse((left, top, left + 40, top + 40), fill=(220, 60, 60), outline=(120, 20, 20), width=3)
    return picture


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    picture = Image.new("RGB", _SIZE)
    draw = ImageDraw.Draw(picture)
    for row in range(_SIZE[1]):
        share = row / _SIZE[1]
        red, green, blue = (round(low + (high - low) * share) for low, high in zip(top, bottom, strict=True))
        draw.line((0, row, _SIZE[0], row), fill=(red, green, blue))
    return picture
