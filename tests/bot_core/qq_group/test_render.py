from __future__ import annotations

import itertools
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.elements import (
    Ark,
    At,
    AtAll,
    Element,
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
from bot_core.qq_group.render import PlannedMessage, plan_chain


def planned(*elements: Element, reference: str = "") -> list[tuple[dict[str, Any], Any]]:
    return [(one.body, one.medium) for one in plan_chain(elements, reference=reference).messages]


def test_text_and_one_picture_share_a_message() -> None:
    picture = Image(content=b"png")
    assert planned(At("U1", enter=True), Text("look"), picture) == [
        ({"msg_type": 7, "content": "<@U1>\nlook"}, picture),
    ]


@pytest.mark.parametrize(
    "rest",
    [(), (Text(""),), (Text(" \n"), Face(1)), (Embed({"title": "t"}), Tag(1)), (Extend("raw"),)],
    ids=["none", "no text", "blank", "embed", "raw"],
)
def test_a_chain_of_nothing_but_its_opening_mention_is_not_sent(rest: tuple[Element, ...]) -> None:
    assert planned(At("U1", enter=True, opening=True), *rest) == []
    assert planned(At("U1", enter=True), *rest) == [({"msg_type": 0, "content": ANY}, None)]  # somebody asked for it


@pytest.mark.parametrize("rest", [Text("hi"), At("U2"), AtAll(), Image(content=b"x"), Extend({"a": 1})])
def test_the_opening_mention_goes_with_what_can_have_it(rest: Element) -> None:
    [(body, _)] = planned(At("U1", enter=True, opening=True), rest)
    assert body["content"].startswith("<@U1>\n")


@pytest.mark.parametrize("medium", [Voice(b"x"), Video(b"x"), File(b"x"), Markdown("# b"), Ark(23, [])])
def test_the_opening_mention_is_no_message_of_its_own_before_what_travels_alone(medium: Element) -> None:
    """It would use up a reply."""
    bodies = [body for body, _ in planned(At("U1", enter=True, opening=True), Text(" "), medium, Text("after"))]
    assert [body.get("content") for body in bodies] == [None, "after"]
    [asked, _] = planned(At("U1", enter=True), medium)  # somebody asked for it
    assert asked[0]["content"] == "<@U1>\n"


def test_runs_of_text_are_one_message() -> None:
    assert planned(Text("a"), At("U1"), AtAll(), Text("b")) == [
        ({"msg_type": 0, "content": "a<@U1><@everyone>b"}, None)
    ]


def test_text_behind_a_picture_begins_the_next_message() -> None:
    first, second = Image(content=b"1"), Image(content=b"2")
    assert planned(first, Text("between"), second, Text("end")) == [
        ({"msg_type": 7}, first),
        ({"msg_type": 7, "content": "between"}, second),
        ({"msg_type": 0, "content": "end"}, None),
    ]


@pytest.mark.parametrize("medium", [Voice(b"x"), Video(b"x"), File(b"x")])
def test_voice_video_and_file_travel_alone(medium: Voice | Video | File) -> None:
    assert planned(Text("before"), medium, Text("after")) == [
        ({"msg_type": 0, "content": "before"}, None),
        ({"msg_type": 7}, medium),
        ({"msg_type": 0, "content": "after"}, None),
    ]


def test_markdown_and_ark_are_messages_of_their_own() -> None:
    keyboard = {"content": {"rows": []}}
    assert planned(
        Text("a"),
        Markdown("# b", keyboard=keyboard),
        MarkdownTemplate("t1", [{"key": "k", "values": ["v"]}], keyboard_template_id="kb"),
        Ark(23, [{"key": "#DESC#", "value": "d"}]),
    ) == [
        ({"msg_type": 0, "content": "a"}, None),
        ({"msg_type": 2, "markdown": {"content": "# b"}, "keyboard": keyboard}, None),
        (
            {
                "msg_type": 2,
                "markdown": {"custom_template_id": "t1", "params": [{"key": "k", "values": ["v"]}]},
                "keyboard": {"id": "kb"},
            },
            None,
        ),
        ({"msg_type": 3, "ark": {"template_id": 23, "kv": [{"key": "#DESC#", "value": "d"}]}}, None),
    ]


def test_what_has_no_form_is_left_out_and_named_once() -> None:
    plan = plan_chain([Face(1), Text("hi"), Face(2), Tag("x"), Embed({}), Extend("raw")])
    assert [one.body for one in plan.messages] == [{"msg_type": 0, "content": "hi"}]
    assert plan.left_out == ("Face", "Tag", "Embed", "Extend")


@pytest.mark.parametrize(
    ("elements", "bodies"),
    [
        ([Text("a"), Extend({"x": 1})], [{"msg_type": 0, "content": "a", "x": 1}]),
        ([Extend({"x": 1}), Text("a")], [{"msg_type": 0, "content": "a", "x": 1}]),
        (
            [Text("a"), Markdown("b"), Extend({"x": 1})],
            [{"msg_type": 0, "content": "a"}, {"msg_type": 2, "markdown": {"content": "b"}, "x": 1}],
        ),
        ([Extend({"msg_type": 6, "input_notify": {}})], [{"msg_type": 6, "input_notify": {}}]),
        ([Markdown("b"), Text(" "), Extend({"x": 1})], [{"msg_type": 2, "markdown": {"content": "b"}, "x": 1}]),
    ],
)
def test_raw_fields_join_the_message_where_they_stand(elements: list[Element], bodies: list[dict[str, Any]]) -> None:
    assert [one.body for one in plan_chain(elements).messages] == bodies


def test_the_first_message_quotes() -> None:
    bodies = [body for body, _ in planned(Text("a"), Voice(b"v"), reference="REFIDX_1")]
    assert bodies[0]["message_reference"] == {"message_id": "REFIDX_1"}
    assert "message_reference" not in bodies[1]


@pytest.mark.parametrize("elements", [[], [Text("")], [Text(" \n")], [Face(1)]])
def test_nothing_to_say_is_no_message(elements: list[Element]) -> None:
    assert plan_chain(elements).messages == []


elements_of_any_kind = st.lists(
    st.one_of(
        st.builds(Text, st.text(max_size=12)),
        st.builds(At, st.text("ABC123", min_size=1, max_size=8), st.booleans()),
        st.builds(Image, content=st.binary(max_size=3)),
        st.builds(Voice, st.binary(max_size=3)),
        st.builds(Video, st.binary(max_size=3)),
        st.builds(File, st.binary(max_size=3)),
        st.builds(Markdown, st.text(max_size=5)),
        st.builds(Face, st.integers(0, 300)),
    ),
    max_size=12,
)


def read_back(messages: list[PlannedMessage]) -> list[Any]:
    """What a reader sees, from top to bottom; runs of text joined."""
    seen: list[Any] = []
    for message in messages:
        if "content" in message.body:
            if seen and isinstance(seen[-1], str):
                seen[-1] += message.body["content"]
            else:
                seen.append(message.body["content"])
        if "markdown" in message.body:
            seen.append(("markdown", message.body["markdown"]["content"]))
        if message.medium is not None:
            seen.append(message.medium)
    return seen


def as_written(elements: list[Element]) -> list[Any]:
    seen: list[Any] = []
    for element in elements:
        match element:
            case Text(content):
                piece: Any = content
            case At(target, enter):
                piece = f"<@{target}>" + "\n" * enter
            case Markdown(content):
                piece = ("markdown", content)
            case Face():
                continue
            case _:
                piece = element
        if isinstance(piece, str) and seen and isinstance(seen[-1], str):
            seen[-1] += piece
        else:
            seen.append(piece)
    return [piece for piece in seen if not isinstance(piece, str) or piece.strip()]


@given(elements_of_any_kind)
def test_no_text_is_lost_and_the_order_is_kept(elements: list[Element]) -> None:
    assert read_back(plan_chain(elements).messages) == as_written(elements)


@given(elements_of_any_kind)
def test_no_two_neighbours_could_share_a_message(elements: list[Element]) -> None:
    messages = plan_chain(elements).messages
    for one, following in itertools.pairwise(messages):
        is_text = one.body["msg_type"] == 0
        assert not (is_text and following.body["msg_type"] == 0)
        assert not (is_text and isinstance(following.medium, Image))
    for message in messages:
        assert "content" not in message.body or message.medium is None or isinstance(message.medium, Image)
