"""COMPAT, `Chain`, `InlineKeyboard` and the names to export."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pytest

import bot_core
from bot_core import Chain, ChainBuilder, InlineKeyboard
from bot_core.chain import _warn_of_auto_convert
from bot_core.elements import (
    Ark,
    At,
    AtAll,
    Embed,
    Extend,
    Face,
    File,
    Image,
    Markdown,
    MarkdownTemplate,
    Tag,
    Text,
    Video,
    Voice,
)
from bot_core.errors import BotError
from qqmedia.errors import MediaSourceError
from tests.fakes.adapter import FakeAdapter


def test_names_to_export() -> None:
    names = (
        "AmiyaBot MultipleAccounts Message Event Chain ChainBuilder Equal Verify GroupConfig WaitEventCancel"
        " WaitEventOutOfFocus InlineKeyboard qq_group QQGroupChainBuilderOptions QQGroupChainBuilder"
    )
    assert set(names.split()) <= set(bot_core.__all__)
    assert all(callable(getattr(bot_core, name)) for name in names.split())


def test_it_opens_with_a_mention_in_groups_only() -> None:
    adapter = FakeAdapter("1")
    assert Chain(adapter.message("a")).chain == [At("U1", enter=True)]
    assert Chain(adapter.message("a"), at=False).chain == []
    assert Chain(adapter.message("a", direct=True)).chain == []
    assert Chain().chain == []


def test_every_method_returns_the_chain_and_keeps_the_order() -> None:
    chain = Chain(FakeAdapter("1").message("a"), at=False)
    everything: list[Any] = [
        chain.text("a"),
        chain.at(),
        chain.at("U2", True),
        chain.at_all(),
        chain.face(5),
        chain.image(b"png"),
        chain.voice("a.mp3"),
        chain.video("a.mp4"),
        chain.file("a.pdf"),
        chain.markdown_content("# a"),
        chain.markdown_template("t", [{"key": "k", "values": ["v"]}]),
        chain.ark(23, [{"key": "k", "value": "v"}]),
        chain.embed("t", "p", "https://a", ["f"]),
        chain.tag("T"),
        chain.extend({"x": 1}),
    ]
    assert all(result is chain for result in everything)
    assert chain.chain == [
        Text("a"),
        At("U1"),
        At("U2", enter=True),
        AtAll(),
        Face(5),
        Image(content=b"png"),
        Voice("a.mp3", "voice"),
        Video("a.mp4"),
        File("a.pdf"),
        Markdown("# a"),
        MarkdownTemplate("t", [{"key": "k", "values": ["v"]}]),
        Ark(23, [{"key": "k", "value": "v"}]),
        Embed({"title": "t", "prompt": "p", "thumbnail": {"url": "https://a"}, "fields": [{"name": "f"}]}),
        Tag("T"),
        Extend({"x": 1}),
    ]


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("a\n\n", [Text("a")]),
        ("\n\n", [Text("\n\n")]),
        ("a\nb", [Text("a\nb")]),
        ("hi [face:5][face:6]you", [Text("hi "), Face("5"), Face("6"), Text("you")]),
        ("[face:x]", [Text("[face:x]")]),
    ],
)
def test_text(text: str, elements: list[Any]) -> None:
    assert Chain().text(text).chain == elements


def test_auto_convert_is_ignored_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_auto_convert.cache_clear()
    chain = Chain().text("long" * 100, auto_convert=True).text("b", auto_convert=True)
    assert chain.chain == [Text("long" * 100), Text("b")]
    assert caplog.text.count("auto_convert") == 1


def test_at_without_anybody_says_so() -> None:
    with pytest.raises(ValueError, match="whom to mention"):
        Chain().at()


def test_image_takes_bytes_path_url_file_object_or_a_list() -> None:
    stream = io.BytesIO(b"png")
    path = pathlib.Path("a.png")
    chain = Chain().image([b"1", "a.png", "https://a/b.png"], download=True).image(path).image(stream)
    assert chain.image(url="https://c").chain == [
        Image(content=b"1", download=True),
        Image(content="a.png", download=True),
        Image(url="https://a/b.png", download=True),
        Image(content=path),
        Image(content=stream),
        Image(url="https://c"),
    ]


@pytest.mark.parametrize("method", ["image", "voice", "video", "file"])
def test_none_as_a_medium_is_an_error_at_once(method: str) -> None:
    with pytest.raises(MediaSourceError, match=rf"{method}\(\) got None; it takes bytes, a path"):
        getattr(Chain(), method)(None)


def test_none_in_a_list_of_images_is_an_error_too() -> None:
    with pytest.raises(MediaSourceError, match="got None"):
        Chain().image([b"1", None])  # type: ignore[list-item]


def test_its_own_builder_goes_with_every_medium() -> None:
    first, second = ChainBuilder(), ChainBuilder()
    chain = Chain(chain_builder=first).image(b"1").voice("a").text("b")
    assert chain.builder is first
    assert [getattr(element, "builder", None) for element in chain.chain] == [first, first, None]
    chain.builder = second
    chain.video("c")
    assert [getattr(element, "builder", None) for element in chain.chain] == [second, second, None, second]


def test_reference_is_kept() -> None:
    data = FakeAdapter("1").message("a")
    chain = Chain(data, reference=True)
    assert (chain.data, chain.reference) == (data, True)


@pytest.mark.parametrize(
    ("method", "arguments"), [("html", ("a.html", {})), ("markdown", ("# a",)), ("text_image", ("a",))]
)
def test_what_drew_a_picture_says_what_to_do_instead(method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(BotError, match=rf"Chain\.{method} .* pass the bytes to image\("):
        getattr(Chain(), method)(*arguments)


def test_a_keyboard_as_the_platform_takes_it_with_its_zero_values() -> None:
    keyboard = InlineKeyboard("1001")
    row = keyboard.add_row()
    row.add_button("b1", "Yes")
    row.add_button("b2", "No", render_style=1, action_type=1, permission_type=0, permission_specify_user_ids=["U1"])
    chain = Chain().markdown_content("# a", keyboard)
    element = chain.chain[0]
    assert isinstance(element, Markdown)
    assert element.keyboard is not None
    assert element.keyboard["content"]["bot_appid"] == "1001"
    first, second = element.keyboard["content"]["rows"][0]["buttons"]
    assert first == {
        "id": "b1",
        "render_data": {"label": "Yes", "visited_label": "Yes", "style": 0},
        "action": {
            "type": 2,
            "data": "Yes",
            "anchor": 0,
            "unsupport_tips": "",
            "click_limit": 10,
            "reply": False,
            "enter": False,
            "at_bot_show_channel_list": False,
            "permission": {"type": 2},
        },
    }
    assert second["action"]["permission"] == {"type": 0, "specify_user_ids": ["U1"]}


def test_a_sixth_row_or_button_is_an_overflow_error() -> None:
    keyboard = InlineKeyboard()
    row = keyboard.add_row()
    for number in range(5):
        row.add_button(f"b{number}", "label")
    with pytest.raises(OverflowError, match="5 buttons"):
        row.add_button("b5", "label")
    for _ in range(4):
        keyboard.add_row()
    with pytest.raises(OverflowError, match="5 rows"):
        keyboard.add_row()


def test_a_keyboard_of_the_authors_own_goes_out_as_it_is() -> None:
    own = {"id": "template"}
    assert Chain().markdown_content("a", own).chain == [Markdown("a", own)]


@pytest.mark.parametrize("given", [None, {}, 5, b"x"])
def test_what_is_no_text_is_refused_with_advice(given: Any) -> None:
    with pytest.raises(TypeError, match=r"text\(\) takes a str, got \w+; to show a value, give it str\(value\)"):
        Chain().text(given)


def test_the_opening_mention_is_known_and_one_that_was_asked_for_is_not() -> None:
    opening, asked = Chain(FakeAdapter("1").message("a")).at(enter=True).chain
    assert opening == asked
    assert isinstance(opening, At)
    assert isinstance(asked, At)
    assert (opening.opening, asked.opening) == (True, False)
