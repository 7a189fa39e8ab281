from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_core.message import Event, Message
from bot_core.qq_group import qq_group
from bot_core.qq_group.events import MESSAGE_EVENTS, incoming, reference_of

adapter = qq_group("secret")("1020", "")


def received(name: str, data: dict[str, Any]) -> Message:
    message = incoming(adapter, name, data, f"{name}:1")
    assert isinstance(message, Message)
    return message


GROUP_AT: dict[str, Any] = {
    "id": "ROBOT1.0_bbbb",
    "group_id": "G1",
    "group_openid": "G1",
    "author": {"id": "M1", "member_openid": "M1", "member_role": "admin", "username": "Ann", "bot": False},
    "content": " /weather ",
    "message_type": 0,
    "timestamp": "2026-07-21T10:00:00+08:00",
    "message_scene": {"source": "default", "ext": ["msg_idx=REFIDX_y=="]},
}


def test_a_mention_in_a_group() -> None:
    message = received("GROUP_AT_MESSAGE_CREATE", GROUP_AT)
    assert message.text == "/weather"
    assert message.text_original == " /weather "
    assert (message.message_id, message.event_id) == ("ROBOT1.0_bbbb", "GROUP_AT_MESSAGE_CREATE:1")
    assert (message.channel_id, message.channel_openid) == ("G1", "G1")
    assert (message.user_id, message.user_openid, message.nickname) == ("M1", "M1", "Ann")
    assert (message.is_at, message.is_at_all, message.is_direct, message.is_admin) == (True, False, False, True)
    assert message.instance is adapter
    assert message.message == GROUP_AT
    assert reference_of(message) == "REFIDX_y=="


def test_a_private_message() -> None:
    message = received(
        "C2C_MESSAGE_CREATE",
        {"id": "R1", "author": {"id": "A1", "user_openid": "A1"}, "content": "hello", "message_type": 0},
    )
    assert (message.is_direct, message.is_at, message.is_admin) == (True, False, False)
    assert (message.user_id, message.user_openid, message.channel_id) == ("A1", "A1", "")
    assert reference_of(message) == "R1"


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("GROUP_AT_MESSAGE_CREATE", {"id": "R1", "group_openid": "G1", "author": {"member_openid": "M1"}}),
        ("GROUP_MESSAGE_CREATE", {"id": "R1", "group_openid": "G1", "author": {"member_openid": "M1"}}),
        ("C2C_MESSAGE_CREATE", {"id": "R1", "author": {"user_openid": "U1"}}),
    ],
)
def test_the_documented_minimum_is_enough(name: str, bare: dict[str, Any]) -> None:
    message = received(name, bare)
    assert message.message_id == "R1"
    assert message.text == ""
    assert message.user_id == message.user_openid == bare["author"].get("member_openid", "U1")


BOT = {"scope": "single", "id": "BOT", "member_openid": "BOT", "username": "mybot", "bot": True, "is_you": True}
ANN = {"scope": "single", "id": "ANN", "member_openid": "ANN", "username": "Ann", "bot": False, "is_you": False}
OTHER_BOT = {"scope": "single", "id": "OTHER", "member_openid": "OTHER", "bot": True, "is_you": False}


@pytest.mark.parametrize(
    ("content", "mentions", "text", "is_at", "at_target"),
    [
        ("<@BOT> show pic", [BOT], "show pic", True, []),
        ("<@!BOT> show <@ANN> pic", [BOT, ANN], "show  pic", True, ["ANN"]),
        ("hi <@ANN>", [ANN], "hi", False, ["ANN"]),
        ("hi <@OTHER>", [OTHER_BOT], "hi", False, ["OTHER"]),
        ("no tags at all", [], "no tags at all", False, []),
        # Some lists leave the bot out; then its tag is the one that nobody explains.
        ("<@B-O.T> <@ANN> go", [ANN], "go", True, ["ANN"]),
        ('<qqbot-at-user id="BOT" /> go', [BOT], "go", True, []),
        # The tag may hold the other of the two ids.
        ("hi <@M2>", [{"id": "U2", "member_openid": "M2", "is_you": False}], "hi", False, ["U2"]),
    ],
)
def test_who_is_meant_under_full_receive(
    content: str, mentions: list[dict[str, Any]], text: str, is_at: bool, at_target: list[str]
) -> None:
    message = received(
        "GROUP_MESSAGE_CREATE",
        {"id": "R1", "group_openid": "G1", "author": {"id": "M1"}, "content": content, "mentions": mentions},
    )
    assert (message.text, message.is_at, message.at_target) == (text, is_at, at_target)


@pytest.mark.parametrize(
    ("content", "mentions"),
    [("<@all> hi", []), ("hi", [{"scope": "all", "is_you": True}]), ("<@everyone>hi", [])],
)
def test_a_mention_of_everybody_is_not_one_of_the_bot(content: str, mentions: list[dict[str, Any]]) -> None:
    message = received(
        "GROUP_MESSAGE_CREATE",
        {"id": "R1", "group_openid": "G1", "author": {"id": "M1"}, "content": content, "mentions": mentions},
    )
    assert (message.is_at_all, message.is_at, message.text) == (True, False, "hi")


def test_faces_are_read_and_taken_out_of_the_text() -> None:
    content = 'nice <faceType=1,faceId="264",ext="eyJ0ZXh0Ijoi5o2C6IS4In0="> one <emoji:4>'
    message = received("GROUP_AT_MESSAGE_CREATE", GROUP_AT | {"content": content})
    assert message.face == ["264", "4"]
    assert message.text == "nice  one"


def test_attachments_go_where_they_belong() -> None:
    message = received(
        "GROUP_AT_MESSAGE_CREATE",
        GROUP_AT
        | {
            "attachments": [
                {"content_type": "image/png", "url": "https://h/a.png"},
                {"content_type": "image/jpeg", "url": "multimedia.nt.qq.com.cn/download?fileid=1&to=http://x"},
                {"content_type": "voice", "url": "https://h/v.amr", "voice_wav_url": "https://h/v.wav", "size": "20"},
                {"content_type": "video/mp4", "url": "//h/c.mp4"},
                {"content_type": "file", "url": "https://h/d", "filename": "d.pdf"},
                {"content_type": "image/gif"},
                "nonsense",
            ]
        },
    )
    assert message.image == ["https://h/a.png", "https://multimedia.nt.qq.com.cn/download?fileid=1&to=http://x"]
    assert message.voice == "https://h/v.wav"
    assert message.video == "https://h/c.mp4"
    assert [(file.url, file.filename) for file in message.files] == [("https://h/d", "d.pdf")]
    assert [one.kind for one in message.attachments] == ["image", "image", "voice", "video", "file"]


@pytest.mark.parametrize(
    "quote",
    [
        {"message_scene": {"ext": ["msg_idx=REFIDX_x==", "ref_msg_idx=REFIDX_q=="]}},
        {"message_scene": None, "msg_elements": [{"msg_idx": "REFIDX_q==", "content": "quoted text"}]},
        {"message_scene": {}, "message_reference": {"message_id": "REFIDX_q=="}},
    ],
)
def test_a_quote_names_what_it_quotes(quote: dict[str, Any]) -> None:
    assert received("GROUP_AT_MESSAGE_CREATE", GROUP_AT | quote).reference_message_id == "REFIDX_q=="


def test_anything_else_is_an_event() -> None:
    data = {"timestamp": 1784600000, "group_openid": "G1", "op_member_openid": "M1"}
    event = incoming(adapter, "GROUP_ADD_ROBOT", data, "GROUP_ADD_ROBOT:7")
    assert isinstance(event, Event)
    assert (event.event_name, event.data, event.event_id) == ("GROUP_ADD_ROBOT", data, "GROUP_ADD_ROBOT:7")
    assert event.appid == "1020"


@pytest.mark.parametrize(
    "data", [None, "", [], {}, {"id": "R1"}, {"group_openid": "G1"}, {"id": {}, "group_openid": []}]
)
def test_what_cannot_be_answered_is_skipped_with_a_line(data: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert incoming(adapter, "GROUP_AT_MESSAGE_CREATE", data) is None
    assert "GROUP_AT_MESSAGE_CREATE skipped" in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "author",
    "content",
    "mentions",
    "attachments",
    "message_scene",
    "msg_elements",
    "message_type",
    "message_reference",
    "group_id",
    "timestamp",
]


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(MESSAGE_EVENTS)),
    st.dictionaries(
        st.sampled_from(FIELDS),
        json_values
        | st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["id", "url", "content_type", "scope", "is_you", "bot", "member_openid", "msg_idx", "size"]
                ),
                json_values,
                max_size=4,
            ),
            max_size=3,
        ),
    ),
)
def test_fields_of_any_type_are_survived(name: str, fields: dict[str, Any]) -> None:
    data = {"id": "R1", "group_openid": "G1", "author": {"user_openid": "U1"}} | fields
    message = incoming(adapter, name, data)
    assert message is None or isinstance(message, Message)
    if isinstance(message, Message):
        assert all(isinstance(one, str) for one in [message.text, message.voice, *message.image, *message.at_target])


def test_a_size_that_is_no_number_does_not_lose_the_message() -> None:
    attachment = {"content_type": "image/png", "url": "https://h/a", "size": float("inf")}
    message = received("GROUP_AT_MESSAGE_CREATE", GROUP_AT | {"attachments": [attachment]})
    assert message.attachments[0].size == 0


@given(st.text(max_size=40))
def test_text_without_tags_arrives_as_it_is(content: str) -> None:
    if "<" not in content:
        assert received("GROUP_AT_MESSAGE_CREATE", GROUP_AT | {"content": content}).text == content.strip()
