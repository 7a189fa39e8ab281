"""Whatever the platform sends, whenever: the session never resumes the dead, never goes back, never falls asleep."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bot_core.gateway.actions import Action, AskTurn, Deliver, Online, Reconnect, Send, Stop
from bot_core.gateway.close_codes import CLOSE_CODES, CloseAction, look_up
from bot_core.gateway.session import GatewaySession, Phase
from bot_core.openapi.values import Intents, as_int

LONGEST_SILENCE = 60  # seconds; with a tick it ends in an action, so that 90 s are never reached
IDENTIFY_GAP = 5
ROUNDING = 1e-6

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "d", "s", "t"]), inner),
    max_leaves=6,
)
sequence_numbers = st.none() | st.integers(-2, 50) | st.integers(0, 50).map(str) | json_values
session_ids = st.sampled_from(["A", "B", "C"])


class GatewayMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        intents = Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION | Intents.GROUP_MEMBER_EVENT
        self.session = GatewaySession(intents=intents, jitter=lambda: 0.0)
        self.connected = False
        self.asked = False
        self.stopped = False
        self.connect_at: float | None = self.now
        self.last_identify = -math.inf
        self.given: set[str] = set()
        self.buried: set[str] = set()
        self.vain_resumes = 0
        self.empty_ends: list[float] = []
        self.brought = 0
        self.phase = self.session.phase
        self.last = (self.session.session_id, self.session.seq)

    def take(self, actions: Iterable[Action]) -> None:
        actions = list(actions)
        went_live = any(isinstance(action, Online) for action in actions)
        for action in actions:
            assert not self.stopped
            match action:
                case Send(_, text):
                    self.sent(json.loads(text))
                case Reconnect(delay, _, resume):
                    assert 0 <= delay <= 60
                    assert resume == (self.session.session_id is not None)
                    self.connected, self.connect_at = False, self.now + delay
                    self.asked = False
                    self.count_an_end()
                case AskTurn():
                    assert self.session.session_id is None
                    self.asked = True
                case Stop():
                    self.connected, self.stopped, self.connect_at = False, True, None
                case Online(resumed):
                    assert self.connected
                    self.vain_resumes = 0
                    if not resumed:
                        self.empty_ends.clear()
                case Deliver():
                    assert self.connected
                    self.brought += not went_live and self.session.phase in {Phase.LIVE, Phase.RESUMING}
        self.phase = self.session.phase
        self.watch_sequence()

    def count_an_end(self) -> None:
        """Five connections of one session in 300 s that brought nothing are the end of it."""
        if self.phase in {Phase.LIVE, Phase.RESUMING}:
            self.empty_ends = [] if self.brought else [*self.empty_ends, self.now]
            recent = [end for end in self.empty_ends if end > self.now - 300]
            assert len(recent) < 5 or self.session.session_id is None
        if self.session.session_id is None:
            self.empty_ends.clear()

    def sent(self, frame: dict[str, Any]) -> None:
        if frame["op"] == 6:
            assert frame["d"]["session_id"] == self.session.session_id
            assert frame["d"]["session_id"] in self.given - self.buried
            assert frame["d"]["seq"] == (self.session.seq or 0)
            self.vain_resumes += 1
            assert self.vain_resumes <= 3
        elif frame["op"] == 2:
            assert self.session.session_id is None
            assert self.asked
            self.asked = False
            assert self.now - self.last_identify >= IDENTIFY_GAP - ROUNDING
            self.last_identify = self.now
        else:
            assert frame == {"op": 1, "d": self.session.seq}

    def watch_sequence(self) -> None:
        session_id, seq = self.last
        self.last = (self.session.session_id, self.session.seq)
        if session_id is not None and session_id == self.session.session_id and seq is not None:
            assert self.session.seq is not None
            assert self.session.seq >= seq

    def frame(self, frame: Any) -> None:
        self.take(self.session.received(json.dumps(frame), self.now))

    @precondition(lambda self: self.connect_at is not None and not self.connected)
    @rule(opens=st.booleans())
    def connect(self, opens: bool) -> None:
        assert self.connect_at is not None
        self.now = max(self.now, self.connect_at)
        if opens:
            self.connected, self.connect_at = True, None
            self.session.opened("T", self.now)
            self.phase, self.brought = self.session.phase, 0
        else:
            self.take(self.session.unreachable("refused", self.now))

    @precondition(lambda self: self.connected)
    @rule(interval=st.sampled_from([10, 1000, 41250, 10**9, None]))
    def hello(self, interval: int | None) -> None:
        self.frame({"op": 10, "d": {"heartbeat_interval": interval}})

    @rule()
    def its_turn_comes(self) -> None:
        was_asked = self.asked and self.connected
        actions = list(self.session.granted(self.now))
        assert bool(actions) == was_asked
        self.take(actions)

    @precondition(lambda self: self.asked and self.connected)
    @rule(wait=st.floats(15, 60))
    def its_turn_is_far_off(self, wait: float) -> None:
        (action,) = self.session.postponed(wait)
        self.take([action])

    @precondition(lambda self: self.connected)
    @rule(session_id=session_ids, seq=st.integers(0, 5))
    def ready(self, session_id: str, seq: int) -> None:
        if self.session.phase in {Phase.IDENTIFYING, Phase.RESUMING}:
            self.last = (None, None)  # a session begins, perhaps under a name that was there before
            self.given.add(session_id)
            self.buried.discard(session_id)
        self.frame({"op": 0, "t": "READY", "s": seq, "d": {"session_id": session_id}})

    @precondition(lambda self: self.connected)
    @rule(kind=st.sampled_from(["RESUMED", "GROUP_AT_MESSAGE_CREATE", "", None, 7]), seq=sequence_numbers)
    def event(self, kind: object, seq: object) -> None:
        self.frame({"op": 0, "t": kind, "s": seq, "d": ""})

    @precondition(lambda self: self.connected)
    @rule()
    def live_quickly(self) -> None:
        self.hello(41250)
        self.its_turn_comes()
        self.ready("A", 1)

    @precondition(lambda self: self.connected)
    @rule(op=st.sampled_from([1, 7, 11, 12, 99]))
    def control(self, op: int) -> None:
        self.frame({"op": op, "d": None})

    @precondition(lambda self: self.connected)
    @rule(data=st.booleans() | json_values)
    def invalid_session(self, data: object) -> None:
        before = self.session.session_id
        self.frame({"op": 9, "d": data})
        if data is not True and before is not None:
            self.buried.add(before)

    @precondition(lambda self: self.connected)
    @rule(frame=json_values | st.text(max_size=8))
    def anything(self, frame: Any) -> None:
        if isinstance(frame, dict) and as_int(frame.get("op"), -1) == 9:
            return  # has a rule of its own, which keeps the books
        self.frame(frame)

    @precondition(lambda self: self.connected)
    @rule(text=st.text(max_size=8) | st.binary(max_size=8))
    def no_json(self, text: str | bytes) -> None:
        self.take(self.session.received(text, self.now))

    @precondition(lambda self: self.connected)
    @rule(code=st.none() | st.sampled_from(sorted(CLOSE_CODES)) | st.integers(1000, 4999))
    def close(self, code: int | None) -> None:
        resuming, before = self.session.phase is Phase.RESUMING, self.session.session_id
        self.take(self.session.closed(code, self.now))
        if resuming and code not in {None, 1006, 4004} and before is not None:  # 4004 is the token's fault
            assert self.session.session_id is None
            self.buried.add(before)
        if code is not None and look_up(code).action is CloseAction.IDENTIFY and before is not None:
            assert self.session.session_id is None
            self.buried.add(before)

    @precondition(lambda self: self.connect_at is not None and self.session.session_id is not None)
    @rule(
        ends=st.lists(st.sampled_from([None, 4004, 4009, 4902, "op 9", "hung"]), min_size=1, max_size=6),
        live=st.booleans(),
    )
    def connections_that_bring_nothing(self, ends: list[int | str | None], live: bool) -> None:
        for end in ends:
            if self.session.session_id is None or self.stopped:
                return
            self.connect(opens=True)
            self.hello(41250)
            if live:
                self.event("RESUMED", None)
            if end == "op 9":
                self.invalid_session(data=True)
            elif end == "hung":
                while self.connected:
                    self.wait_for_the_deadline(blocked=False)
            else:
                self.close(end if isinstance(end, int) else None)

    @precondition(lambda self: self.connect_at is not None and self.session.session_id is None)
    @rule(ends=st.lists(st.sampled_from([None, 4004, 4006, 4900, "op 9"]), min_size=1, max_size=4), live=st.booleans())
    def sessions_that_end_at_once(self, ends: list[int | str | None], live: bool) -> None:
        for end in ends:
            if self.session.session_id is not None or self.stopped:
                return
            self.connect(opens=True)
            self.hello(41250)
            self.its_turn_comes()
            if live:
                self.ready("A", 1)
            if end == "op 9":
                self.invalid_session(data=False)
            else:
                self.close(end if isinstance(end, int) else None)

    @precondition(lambda self: self.connected)
    @rule(blocked=st.booleans())
    def wait_for_the_deadline(self, blocked: bool) -> None:
        assert self.session.deadline < math.inf
        self.now = max(self.now, self.session.deadline)
        actions = list(self.session.tick(self.now, blocked=blocked))
        assert actions or blocked
        self.take(actions)
        assert self.session.deadline > self.now or not self.connected

    @precondition(lambda self: self.connected)
    @rule(part=st.floats(0, 1))
    def time_passes(self, part: float) -> None:
        self.now += max(0.0, self.session.deadline - self.now) * part

    @rule()
    def late_news_of_a_socket_that_is_gone(self) -> None:
        if not self.connected:
            assert list(self.session.closed(4009, self.now)) == []
            assert list(self.session.received('{"op":7}', self.now)) == []
            assert list(self.session.tick(self.now)) == []

    @invariant()
    def something_is_always_due(self) -> None:
        due = self.session.deadline if self.connected else self.connect_at
        assert self.stopped or due is not None
        assert due is None or due - self.now <= LONGEST_SILENCE + ROUNDING


def test_the_session_survives_anything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="bot_core.gateway")
    run_state_machine_as_test(
        GatewayMachine, settings=settings(max_examples=300, stateful_step_count=40, deadline=None)
    )
