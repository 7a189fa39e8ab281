"""The state machine of a session: frames in, actions out, by a clock that a test moves."""

from __future__ import annotations

from typing import Any

import pytest

from bot_core.errors import AuthenticationError, GatewayError
from bot_core.gateway.actions import Action, AskTurn, Deliver, Dispatch, Online, Reconnect, Stop
from bot_core.gateway.close_codes import CLOSE_CODES, CloseAction, look_up
from bot_core.gateway.session import Phase
from bot_core.openapi.values import Intents
from tests.bot_core.gateway.session_driver import INTENTS, Driver, frame_of, only


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def live(driver: Driver) -> Driver:
    driver.go_live()
    driver.now += 10
    driver.event("X", {}, 2)
    return driver


def test_identify(driver: Driver) -> None:
    data = driver.greet()["d"]
    assert (data["token"], data["intents"], data["shard"]) == ("QQBot T", INTENTS, [0, 2])
    ready = Dispatch("READY:1", "READY", {"session_id": "S"}, 1)
    assert driver.event("READY", {"session_id": "S"}, 1) == [Online(resumed=False, dispatch=ready), Deliver(ready)]
    assert (driver.session.session_id, driver.session.seq) == ("S", 1)


def test_events_move_the_sequence_on_and_never_back(live: Driver) -> None:
    assert live.event("X", [1], 9) == [Deliver(Dispatch("X:9", "X", [1], 9))]
    assert live.event("X", [1], 5) == [Deliver(Dispatch("X:5", "X", [1], 5))]
    assert live.event("X", [1], None) == [Deliver(Dispatch("X:None", "X", [1], None))]
    assert live.session.seq == 9


def test_resume_after_a_cut(live: Driver) -> None:
    ending = live.close(None)
    assert (ending.resume, ending.delay) == (True, 1)
    assert live.again(ending) == {"op": 6, "d": {"token": "QQBot T", "session_id": "S", "seq": 2}}
    assert live.event("X", {}, 3) == [Deliver(Dispatch("X:3", "X", {}, 3))]
    online, deliver = live.event("RESUMED", "", 4)
    assert isinstance(online, Online)
    assert online.resumed
    assert deliver == Deliver(Dispatch("RESUMED:4", "RESUMED", "", 4))


def test_a_session_that_was_kept_is_resumed() -> None:
    assert Driver(kept=("K", 7)).greet()["d"] == {"token": "QQBot T", "session_id": "K", "seq": 7}


def test_op_7_and_the_4009_that_follows_keep_the_session(live: Driver) -> None:
    ending = only(live.receive({"op": 7}))
    assert ending.resume
    assert live.session.closed(4009, live.now) == ()
    assert live.again(ending)["op"] == 6


@pytest.mark.parametrize(
    ("data", "resume"), [(True, True), (False, False), (None, False), ({"resumable": True}, False), (1, False)], ids=str
)
def test_op_9(live: Driver, data: Any, resume: bool) -> None:
    ending = only(live.receive({"op": 9, "d": data}))
    assert ending.resume is resume
    assert ("to be resumed (op 9" in ending.reason) is resume
    assert ending.delay == (1 if resume else 3)
    assert live.again(ending)["op"] == (6 if resume else 2)


def test_op_9_to_an_identify_asks_for_another_token(driver: Driver) -> None:
    driver.greet()
    ending = only(driver.receive({"op": 9, "d": False}))
    assert ending.fresh_token
    assert ending.delay == 5  # two identifies are 5 s apart


def test_a_heartbeat_of_the_server_is_answered(live: Driver) -> None:
    assert [frame_of(action) for action in live.receive({"op": 1, "d": None})] == [{"op": 1, "d": 2}]


def test_two_heartbeats_without_an_answer_are_a_dead_connection(live: Driver) -> None:
    for beat in range(2):
        live.now = live.session.deadline
        assert [frame_of(action)["d"] for action in live.session.tick(live.now)] == [2], beat
    live.now = live.session.deadline
    ending = only(live.session.tick(live.now))
    assert ending.resume
    assert "dead" in ending.reason
    assert live.now <= 1000 + 2 * 41.25 + 10


@pytest.mark.parametrize("beaten", [False, True], ids=["quiet", "a heartbeat was out"])
def test_a_machine_that_slept_finds_its_connection_dead_soon_or_alive(live: Driver, beaten: bool) -> None:
    if beaten:
        live.now = live.session.deadline
        assert frame_of(*live.session.tick(live.now))["op"] == 1
    live.now += 3600
    woke_at = live.now
    actions = live.session.tick(live.now)
    assert frame_of(*actions)["op"] == 1  # it asks before it judges: the answer may lie in the socket
    while not isinstance(actions[0], Reconnect):
        live.now = live.session.deadline
        actions = live.session.tick(live.now)
    assert live.now - woke_at <= 93
    assert actions[0].resume


def test_an_answer_keeps_it_alive(live: Driver) -> None:
    for _ in range(10):
        live.now = live.session.deadline
        assert frame_of(*live.session.tick(live.now))["op"] == 1
        assert live.receive({"op": 11}) == []


def test_a_busy_bot_does_not_blame_the_platform(live: Driver) -> None:
    for _ in range(10):
        live.now = live.session.deadline
        assert frame_of(*live.session.tick(live.now, blocked=True))["op"] == 1
    live.now = live.session.deadline
    assert frame_of(*live.session.tick(live.now))["op"] == 1
    assert live.receive({"op": 11}) == []
    assert live.session.phase is Phase.LIVE


@pytest.mark.parametrize("missing", ["Hello", "READY", "RESUMED"])
def test_each_step_of_the_handshake_has_a_limit(driver: Driver, missing: str) -> None:
    if missing == "Hello":
        driver.session.opened("T", driver.now)
    elif missing == "READY":
        driver.greet()
    else:
        driver.go_live()
        driver.again(driver.close(None))
    started = driver.now
    ending = None
    while ending is None:
        driver.now = driver.session.deadline
        ending = next((a for a in driver.session.tick(driver.now) if isinstance(a, Reconnect)), None)
    assert f"no {missing} within 30 s" in ending.reason
    assert driver.now - started == 30


def test_a_long_replay_is_no_failed_handshake(live: Driver) -> None:
    live.again(live.close(None))
    for seq in range(10, 20):
        live.now += 25
        live.receive({"op": 11})
        assert not [a for a in live.session.tick(live.now) if isinstance(a, Reconnect)]
        live.event("X", {}, seq)
    assert live.session.phase is Phase.RESUMING


def test_the_platform_closing_before_resumed_means_identify(live: Driver) -> None:
    live.again(live.close(None))
    ending = live.close(1000)
    assert not ending.resume
    assert live.again(ending)["op"] == 2


def test_a_cut_before_resumed_means_resume_again_three_times(live: Driver) -> None:
    endings = []
    ending = live.close(None)
    for _ in range(3):
        assert live.again(ending)["op"] == 6
        ending = live.close(None)
        endings.append(ending.resume)
    assert endings == [True, True, False]


def test_five_connections_in_five_minutes_that_bring_nothing_end_the_session(live: Driver) -> None:
    kept = []
    for _ in range(6):  # the first one brought an event
        live.now += 50
        ending = live.close(4009)
        kept.append(ending.resume)
        live.now += ending.delay
        if ending.resume:
            live.resume()
    assert kept == [True] * 5 + [False]


@pytest.mark.parametrize("replayed", [False, True])
def test_a_session_that_delivers_is_kept_however_often_it_is_cut(live: Driver, replayed: bool) -> None:
    for seq in range(20):
        ending = live.close(None)
        assert ending.resume
        live.now += ending.delay
        assert live.greet()["op"] == 6
        if replayed:
            live.event("X", {}, 10 + seq)
        live.event("RESUMED", "", None)
        if not replayed:
            live.event("X", {}, 10 + seq)


def test_disconnects_that_are_far_apart_do_not(live: Driver) -> None:
    for _ in range(20):
        live.now += 80
        ending = live.close(4009)
        assert ending.resume
        live.now += ending.delay
        live.resume()


def test_pauses_grow_and_only_ready_or_resumed_resets_them(driver: Driver) -> None:
    delays = [only(driver.session.unreachable("no", driver.now)).delay for _ in range(7)]
    assert delays == [1, 2, 5, 10, 30, 60, 60]
    driver.greet()
    assert driver.close(None).delay == 60
    driver.go_live()
    driver.event("X", {}, 2)
    assert driver.close(None).delay == 1


def test_connections_that_end_at_once_three_times_wait_a_minute(driver: Driver) -> None:
    delays = []
    for _ in range(3):
        driver.now += 5
        driver.go_live()
        driver.session.session_id = None  # so that the next one identifies too
        delays.append(driver.close(None).delay)
    assert delays == [5, 5, 60]


@pytest.mark.parametrize("code", sorted(code for code, row in CLOSE_CODES.items() if row.action is CloseAction.STOP))
def test_closes_that_end_it(live: Driver, code: int) -> None:
    (stop,) = live.session.closed(code, live.now)
    assert isinstance(stop, Stop)
    assert isinstance(stop.error, GatewayError)
    assert stop.error.close_code == code
    assert look_up(code).reason_zh in str(stop.error)
    assert live.receive({"op": 10, "d": {}}) == []
    assert live.session.unreachable("no", live.now) == ()


def test_the_words_of_a_close_frame_are_told_on_one_line_and_without_the_token(live: Driver) -> None:
    live.close(None)
    live.session.opened("an-access-token", live.now)
    ending = only(live.session.closed(4009, live.now, "go\naway,  an-access-token" + 300 * "!"))
    assert "close code 4009: go away, ***!!!" in ending.reason
    assert len(ending.reason) < 250
    live.again(ending)
    (stop,) = live.session.closed(4915, live.now, "封禁")
    assert isinstance(stop, Stop)
    assert "close code 4915: 封禁)" in str(stop.error)


@pytest.mark.parametrize("code", [4006, 4007, 4900, 4902, 4913, 9001, 9005])
def test_closes_that_end_the_session(live: Driver, code: int) -> None:
    assert live.again(live.close(code))["op"] == 2


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1012, 4009, 4321, 4999])
def test_closes_that_keep_the_session(live: Driver, code: int | None) -> None:
    assert live.again(live.close(code))["op"] == 6


def test_4008_waits_a_minute_and_resumes(live: Driver) -> None:
    ending = live.close(4008)
    assert (ending.delay, ending.resume) == (60, True)


def test_4004_takes_a_new_token_and_keeps_the_session_once(live: Driver) -> None:
    ending = live.close(4004)
    assert ending.fresh_token
    assert live.again(ending)["op"] == 6
    ending = live.close(4004)
    assert ending.fresh_token
    assert live.again(ending)["op"] == 2


def test_4004_after_a_resume_is_one_more_resume(live: Driver) -> None:
    live.now += live.close(4009).delay
    assert live.greet()["op"] == 6
    ending = live.close(4004)
    assert ending.fresh_token
    live.now += ending.delay
    live.resume()
    live.now += live.close(4009).delay
    assert live.greet()["op"] == 6
    assert live.again(live.close(4004))["op"] == 6


def test_4004_is_not_answered_with_new_tokens_for_ever(live: Driver) -> None:
    live.session.closed(4004, live.now)
    live.greet()
    for _ in range(5):
        ending = live.close(4004)
        assert ending.fresh_token
        assert live.again(ending)["op"] == 2
    (stop,) = live.session.closed(4004, live.now)
    assert isinstance(stop, Stop)
    assert isinstance(stop.error, AuthenticationError)


@pytest.mark.parametrize("code", [4013, 4014])
def test_refused_intents_go_one_at_a_time(code: int) -> None:
    driver = Driver(INTENTS | Intents.GROUP_MEMBER_EVENT)
    driver.greet()
    ending = driver.close(code)
    assert "without GROUP_MEMBER_EVENT" in ending.reason
    assert driver.again(ending)["d"]["intents"] == INTENTS
    ending = driver.close(code)
    assert "without INTERACTION" in ending.reason
    assert driver.again(ending)["d"]["intents"] == Intents.GROUP_AND_C2C_EVENT
    (stop,) = driver.session.closed(code, driver.now)
    assert isinstance(stop, Stop)
    assert "GROUP_AND_C2C_EVENT" in str(stop.error)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        "{}",
        '{"op":{}}',
        '{"op":99}',
        '{"op":1e999}',
        '{"op":0}',
        '{"op":0,"t":7,"s":[]}',
        '{"op":12}',
    ],
    ids=range(12),
)
def test_odd_frames_are_said_once_and_ignored(live: Driver, frame: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert live.receive(frame) == []
    assert len(caplog.records) == 1
    assert live.session.phase is Phase.LIVE


def test_bytes_are_read_like_text(live: Driver) -> None:
    assert len(live.session.received(b'{"op":"0","t":"X","s":"12"}', live.now)) == 1
    assert live.session.seq == 12
    assert live.session.received(b"\xff\xfe\x00", live.now) == ()


@pytest.mark.parametrize("hello", [None, [], {}, {"heartbeat_interval": "x"}, {"heartbeat_interval": -1}], ids=str)
def test_a_hello_without_an_interval_is_good_enough(driver: Driver, hello: Any) -> None:
    driver.session.opened("T", driver.now)
    assert driver.receive({"op": 10, "d": hello}) == [AskTurn()]
    assert frame_of(*driver.session.granted(driver.now))["op"] == 2
    assert driver.session.deadline == driver.now + 30


def test_a_second_hello_does_not_identify_again(live: Driver) -> None:
    assert live.receive({"op": 10, "d": {"heartbeat_interval": 1000}}) == []
    assert live.session.deadline == live.now + 1


@pytest.mark.parametrize("data", ["", None, {}, {"session_id": 7}, {"session_id": ""}], ids=repr)
def test_ready_without_a_session_is_live_and_identifies_next_time(driver: Driver, data: Any) -> None:
    driver.greet()
    assert len(driver.event("READY", data, 1)) == 2
    assert driver.again(driver.close(None))["op"] == 2


def test_neither_token_nor_frame_is_shown(driver: Driver) -> None:
    driver.session.opened("T0KEN", driver.now)
    driver.receive({"op": 10, "d": {}})
    (send,) = driver.session.granted(driver.now)
    assert "T0KEN" not in repr(send)
    assert "T0KEN" in send.text  # type: ignore[union-attr]


def test_a_resumed_session_that_delivers_nothing_is_given_up(live: Driver) -> None:
    live.now += live.close(4009).delay
    live.resume()
    resumed_at = live.now
    live.now += live.close(4009).delay  # the next resume does not begin the count anew
    live.resume()
    ending = silent_until_it_ends(live)
    assert 600 <= live.now - resumed_at < 620
    assert "nothing has come for 600 s" in ending.reason
    assert live.again(ending)["op"] == 2


@pytest.mark.parametrize("moment", ["replayed", "live"])
def test_one_event_shows_that_a_session_lives(live: Driver, moment: str) -> None:
    live.now += live.close(4009).delay
    live.greet()
    if moment == "replayed":
        live.event("X", {}, 3)
    live.event("RESUMED", "", 4)
    resumed_at = live.now
    if moment == "live":
        live.event("X", {}, 5)
        assert live.session.deadline - live.now < 60
        for _ in range(20):
            beat(live)
        assert live.now - resumed_at > 700
        assert live.session.phase is Phase.LIVE
    else:  # it came: from here on it is watched again
        silent_until_it_ends(live)
        assert live.now - resumed_at >= 600


def test_a_session_that_a_second_restart_resumes_in_vain_is_given_up_soon() -> None:
    first = Driver(kept=("K", 7))
    first.resume()
    assert first.session.quiet_restarts == 1
    silent_until_it_ends(first)
    assert first.now >= 1600
    second = Driver(kept=("K", 7, 1))
    second.resume()
    assert second.session.quiet_restarts == 2
    ending = silent_until_it_ends(second)
    assert 1010 <= second.now < 1050
    assert "nothing has come for 10 s" in ending.reason
    assert second.again(ending)["op"] == 2
    assert second.session.quiet_restarts == 0


@pytest.mark.parametrize("moment", ["replayed", "live"])
def test_one_event_after_a_restart_makes_up_for_quiet_ones(moment: str) -> None:
    driver = Driver(kept=("K", 7, 5))
    driver.greet()
    if moment == "replayed":
        driver.event("X", {}, 8)
    driver.event("RESUMED", "", None)
    if moment == "live":
        driver.event("X", {}, 8)
    assert driver.session.quiet_restarts == 0
    driver.now += 30
    assert driver.session.tick(driver.now) == ()


def test_a_session_that_never_had_an_event_is_not_suspected() -> None:
    quiet = Driver()
    quiet.go_live()
    quiet.now += quiet.close(4009).delay
    quiet.resume()
    for _ in range(20):
        beat(quiet)
    assert quiet.session.phase is Phase.LIVE


def test_its_turn_is_asked_for_and_may_be_far_off(driver: Driver) -> None:
    driver.session.opened("T", driver.now)
    assert driver.receive({"op": 10, "d": {"heartbeat_interval": 20_000}}) == [AskTurn()]
    driver.now = driver.session.deadline
    assert frame_of(*driver.session.tick(driver.now))["op"] == 1  # a socket that waits is kept alive
    assert driver.session.postponed(25) == (Reconnect(25, "other shards identify first", resume=False),)
    assert driver.session.granted(driver.now) == ()
    assert driver.session.postponed(25) == ()


def test_the_answer_to_a_heartbeat_is_timed(live: Driver) -> None:
    live.now = live.session.deadline
    live.session.tick(live.now)
    live.now += 0.25
    live.receive({"op": 11})
    assert live.session.round_trip == 0.25


def beat(driver: Driver) -> list[Action]:
    """Let the next deadline come; the platform answers heartbeats."""
    driver.now = max(driver.now, driver.session.deadline)
    actions = list(driver.session.tick(driver.now))
    driver.receive({"op": 11})
    return actions


def silent_until_it_ends(driver: Driver) -> Reconnect:
    for _ in range(100):
        for action in beat(driver):
            if isinstance(action, Reconnect):
                return action
    pytest.fail("it is kept for ever")
