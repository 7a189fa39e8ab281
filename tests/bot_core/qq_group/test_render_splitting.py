"""Long text becomes several messages, and nothing of it gets lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.elements import At, Element, Image, Text
from bot_core.openapi.values import MsgType
from bot_core.qq_group.render import plan_chain
from bot_core.qq_group.splitting import split_text

ANY = st.text(st.one_of(st.characters(), st.sampled_from("  \n\n.。<>@\u200d")), max_size=400)


@given(ANY, st.integers(1, 80))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert all(piece.strip() for piece in pieces)
    rest = text
    for piece in pieces:  # in order, and only white space between them
        before, found, rest = rest.partition(piece)
        assert found
        assert not before.strip()
    assert not rest.strip()


@given(ANY, st.integers(8, 80))
def test_where_no_piece_is_white_space_they_are_the_text(text: str, limit: int) -> None:
    words = "x".join(["", *text, ""])
    assert "".join(split_text(words, limit)) == words


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("short", ["short"]),
        ("one two\n\nthree four", ["one two\n\n", "three four"]),
        ("one two\nthree four", ["one two\n", "three four"]),
        ("你好。再见了朋友们", ["你好。再见了朋友们"]),
        ("你好世界啊啊。再见了朋友们再见", ["你好世界啊啊。", "再见了朋友们再见"]),
        ("one two three four", ["one two ", "three four"]),
        ("x" * 25, ["x" * 10, "x" * 10, "x" * 5]),
        ("abcdef <@0123> x", ["abcdef ", "<@0123> x"]),
        ("abcdefgh<@0123>", ["abcdefgh", "<@0123>"]),
        ("abcdefghi\U0001f468\u200d\U0001f469", ["abcdefghi", "\U0001f468\u200d\U0001f469"]),
        ("abcdefghie\u0301x", ["abcdefghi", "e\u0301x"]),
    ],
)
def test_it_is_cut_at_the_best_place(text: str, pieces: list[str]) -> None:
    assert split_text(text, 10) == pieces


def test_the_last_piece_shares_its_message_with_the_picture() -> None:
    elements: list[Element] = [At("U1", enter=True), Text("a" * 150), Image(content=b"x"), Text("b" * 90)]
    plan = plan_chain(elements, text_limit=100)
    bodies = [message.body for message in plan.messages]
    assert [body["msg_type"] for body in bodies] == [MsgType.TEXT, MsgType.MEDIA, MsgType.TEXT]
    assert "".join(body["content"] for body in bodies) == "<@U1>\n" + "a" * 150 + "b" * 90
    assert plan.messages[1].medium is elements[2]


def test_without_a_limit_nothing_is_cut() -> None:
    [message] = plan_chain([Text("a" * 10_000)]).messages
    assert len(message.body["content"]) == 10_000
