"""The comparison finds whatever was changed on the way."""

from __future__ import annotations

import io
import zipfile
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pysilk
import pytest
from PIL import Image

from bot_core.demo import Expected
from bot_core.demo._check import Medium, Received, Verdict, check
from bot_core.demo._media import SILK_RATE, DemoMedia, make_media
from bot_core.demo._sound import Sound
from tests.examples.distributions import ROOT, build_wheel


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> DemoMedia:
    return make_media(tmp_path_factory.mktemp("media"))


def silk_of(sound: Sound) -> bytes:
    output = io.BytesIO()
    samples = sound.samples.tobytes()
    pysilk.encode(io.BytesIO(samples + bytes(-len(samples) % 960)), output, sound.rate, 24_000)
    return output.getvalue()


def message(
    kind: str, content: bytes, *, text: str = "", way: str = "url", content_type: str = "image/png"
) -> Received:
    medium = Medium(kind=kind, way=way, url="http://127.0.0.1/x", content_type=content_type, content=content)
    return Received(text=text, medium=medium, milliseconds=1)


def fault(expected: Expected, received: Received, media: DemoMedia) -> str:
    verdict = check(expected, received, media)
    assert not verdict.right
    return verdict.text


def test_the_same_bytes_are_right(media: DemoMedia) -> None:
    received = message("image", media.path("cat.png").read_bytes(), text="<@1> Look, a cat! And more")

    assert check(Expected(text="a cat", medium="cat.png", way="url"), received, media) == Verdict(True, "same bytes")


def test_one_changed_byte_is_found(media: DemoMedia) -> None:
    content = bytearray(media.path("cat.png").read_bytes())
    content[-20] ^= 1

    assert "cat.png arrived with other bytes" in fault(
        Expected(medium="cat.png"), message("image", bytes(content)), media
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda right: replace(right, text="Look, a dog!"), "its text is 'Look, a dog!'"),
        (lambda right: replace(right, medium=None), "carries no medium, where cat.png was expected"),
        (lambda right: replace(right, medium=replace(right.medium, kind="file")), "arrived as file, not as image"),
        (lambda right: replace(right, medium=replace(right.medium, way="bytes")), "travelled by bytes, where url"),
        (lambda right: replace(right, medium=replace(right.medium, content=b"")), "arrived with other bytes: 0 bytes"),
    ],
)
def test_what_differs_is_named(media: DemoMedia, change: Callable[[Received], Received], problem: str) -> None:
    right = message("image", media.path("cat.png").read_bytes(), text="Look, a cat!")
    expected = Expected(text="a cat", medium="cat.png", way="url")
    assert check(expected, right, media).right

    assert problem in fault(expected, change(right), media)


def as_jpeg(path: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def test_a_converted_picture_may_lose_what_jpeg_loses(media: DemoMedia) -> None:
    received = message("image", as_jpeg(media.path("sticker.webp")), content_type="image/jpeg")

    assert check(Expected(medium="sticker.webp"), received, media) == Verdict(True, "same picture")


@pytest.mark.parametrize(
    ("content", "content_type", "problem"),
    [
        (
            lambda media: media.path("sticker.webp").read_bytes(),
            "image/webp",
            "arrived as image/webp, which QQ may not",
        ),
        (lambda media: as_jpeg(media.path("cat.png")), "image/jpeg", "with 640 x 480 pixels, not 240 x 240"),
        (lambda media: as_jpeg(upside_down(media.path("sticker.webp"))), "image/jpeg", "does not look like its source"),
    ],
)
def test_another_picture_is_found(
    media: DemoMedia, content: Callable[[DemoMedia], bytes], content_type: str, problem: str
) -> None:
    received = message("image", content(media), content_type=content_type)

    assert problem in fault(Expected(medium="sticker.webp"), received, media)


def upside_down(path: Path) -> Path:
    turned = path.with_name("turned.png")
    with Image.open(path) as picture:
        picture.rotate(180).save(turned)
    return turned


def test_a_picture_where_only_text_was_expected_is_found(media: DemoMedia) -> None:
    assert fault(Expected(text="hi"), message("image", b"x", text="hi"), media) == (
        "it carries a medium (image), none was expected"
    )


@pytest.mark.parametrize("name", ["song.mp3", "speech.wav"])
def test_a_voice_may_lose_what_silk_loses(media: DemoMedia, name: str) -> None:
    verdict = check(Expected(medium=name), message("voice", silk_of(media.sounds[name])), media)

    assert verdict.right, verdict.text
    assert verdict.text.startswith("same sound, 9")


def half_as_loud(sound: Sound) -> Sound:
    return Sound(sound.rate, array("h", (sample // 2 for sample in sound.samples)))


def cut(sound: Sound) -> Sound:
    return Sound(sound.rate, sound.samples[: -sound.rate // 2])


def backwards(sound: Sound) -> Sound:
    return Sound(sound.rate, sound.samples[::-1])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (half_as_loud, "of the loudness of its source"),
        (cut, "song.mp3 plays for 3.10 s, its source for 3.60 s"),
        (backwards, "does not sound like its source"),
    ],
)
def test_a_changed_voice_is_found(media: DemoMedia, change: Callable[[Sound], Sound], problem: str) -> None:
    silk = silk_of(change(media.sounds["song.mp3"]))

    assert problem in fault(Expected(medium="song.mp3"), message("voice", silk), media)


def test_a_voice_that_is_not_silk_is_found(media: DemoMedia) -> None:
    received = message("voice", media.path("song.mp3").read_bytes())

    assert "something that QQ cannot play: not a silk file" in fault(Expected(medium="song.mp3"), received, media)


def test_sounds_are_compared_at_the_rate_of_silk(media: DemoMedia) -> None:
    assert {sound.rate for sound in media.sounds.values()} == {SILK_RATE}


@pytest.mark.blocking  # the wheel is built by a child process
def test_a_wheel_has_the_example_where_the_demo_looks_for_it() -> None:
    with zipfile.ZipFile(build_wheel(ROOT)) as wheel:
        assert wheel.read("bot_core/demo/demo_bot.py") == (ROOT / "examples" / "demo_bot.py").read_bytes()
        assert not [name for name in wheel.namelist() if name.startswith(("examples/", "tests/"))]
