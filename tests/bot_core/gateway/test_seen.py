"""What tells that an event came before, whichever way it came."""

from __future__ import annotations

from typing import Any

import pytest

from bot_core.gateway.actions import Dispatch
from bot_core.qq_group.seen import SeenEvents, identities


def message(event_id: str = "E1", message_id: str = "M1", index: str = "I1", group: str = "G1") -> Dispatch:
    data: dict[str, Any] = {
        "id": message_id,
        "group_openid": group,
        "message_scene": {"source": "default", "ext": ["other=1", f"msg_idx={index}"]},
    }
    return Dispatch(event_id, "GROUP_AT_MESSAGE_CREATE", data, 1)


@pytest.mark.parametrize(
    ("again", "repeated"),
    [
        (message(message_id="M2", index="I2"), True),
        (message(event_id="E2", index="I2"), True),
        (message(event_id="E2", message_id="M2"), True),
        (message(event_id="E2", message_id="M2", group="G2"), False),  # the index counts within its chat
        (message(event_id="E2", message_id="M2", index="I2"), False),
        (message(event_id="", message_id="", index=""), False),
    ],
    ids=["envelope", "message", "index", "index of another group", "new", "nothing"],
)
def test_any_of_three_ids_tells_a_repetition(again: Dispatch, repeated: bool) -> None:
    seen = SeenEvents()
    assert not seen.repeated(*identities(message()))
    assert seen.repeated(*identities(again)) is repeated


@pytest.mark.parametrize(
    "data",
    ["", None, [], {"id": 7}, {"id": "M", "message_scene": 7}, {"id": "M", "message_scene": {"ext": {"a": 1}}},
     {"id": "M", "message_scene": {"ext": [7, "msg_idx="]}, "author": 7}],
    ids=repr,
)  # fmt: skip
def test_odd_payloads_are_told_by_what_they_have(data: Any) -> None:
    found = identities(Dispatch("E", "C2C_MESSAGE_CREATE", data, 1))
    assert found[0] == "E"
    assert all(isinstance(one, str) for one in found)


def test_a_private_chat_counts_by_its_user() -> None:
    data = {"id": "M", "author": {"user_openid": "U"}, "message_scene": {"ext": ["msg_idx=7"]}}
    assert identities(Dispatch("E", "C2C_MESSAGE_CREATE", data, 1)) == ("E", "M", "U 7")


def test_a_pressed_button_is_told_by_its_own_id_too() -> None:
    assert identities(Dispatch("E", "INTERACTION_CREATE", {"id": "B"}, 1)) == ("E", "B")
    assert identities(Dispatch("E", "INTERACTION_CREATE", {"id": 7}, 1)) == ("E",)


def test_other_events_are_told_by_their_envelope_alone() -> None:
    assert identities(Dispatch("E", "GROUP_ADD_ROBOT", {"id": "not an id of a message"}, 1)) == ("E",)
