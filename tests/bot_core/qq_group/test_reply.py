from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.errors import ReplyContextError
from bot_core.openapi.values import Scene, Target
from bot_core.qq_group.reply import ReplyBook, ReplyContext, ReplyLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def in_group(msg_id: str = "M1", received: float = 0.0) -> ReplyContext:
    return ReplyContext(Target(Scene.GROUP, "G1"), msg_id, received)


def in_private(msg_id: str = "M1", received: float = 0.0) -> ReplyContext:
    return ReplyContext(Target(Scene.USER, "U1"), msg_id, received)


def test_numbers_count_from_one_for_each_message_of_each_chat() -> None:
    book = ReplyBook()
    assert [book.next_seq(in_group()) for _ in range(3)] == [1, 2, 3]
    assert book.next_seq(in_group("M2")) == 1
    assert book.next_seq(in_private()) == 1


@pytest.mark.parametrize(("context", "allowed"), [(in_group(), 5), (in_private(), 4)])
def test_one_reply_too_many_is_refused_before_it_is_sent(context: ReplyContext, allowed: int) -> None:
    book = ReplyBook()
    for _ in range(allowed):
        book.reserve(context, 1)
    with pytest.raises(ReplyContextError, match=f"takes {allowed} replies, {allowed} are used"):
        book.reserve(context, 1)


def test_a_chain_that_does_not_fit_takes_no_place() -> None:
    book = ReplyBook()
    book.reserve(in_group(), 3)
    with pytest.raises(ReplyContextError):
        book.reserve(in_group(), 3)
    book.reserve(in_group(), 2)


def test_a_message_that_failed_gives_its_place_back() -> None:
    book = ReplyBook()
    book.reserve(in_group(), 5)
    book.give_back(in_group(), 2)
    book.reserve(in_group(), 2)
    with pytest.raises(ReplyContextError):
        book.reserve(in_group(), 1)


@pytest.mark.parametrize(("make", "window"), [(in_group, 300), (in_private, 3600)])
def test_replies_are_taken_for_a_while_only(make: type[ReplyContext], window: int) -> None:
    clock = Clock()
    book = ReplyBook(wall_clock=clock)
    book.reserve(make("M1", clock.now - window + 1), 1)  # type: ignore[arg-type,call-arg]
    with pytest.raises(ReplyContextError, match=f"replies are taken for {window} s"):
        book.reserve(make("M2", clock.now - window - 60), 1)  # type: ignore[arg-type,call-arg]


def test_it_forgets_what_can_no_longer_be_answered() -> None:
    clock = Clock()
    book = ReplyBook(clock=clock)
    for number in range(100):
        book.next_seq(in_group(f"M{number}"))
    book.next_seq(in_private("M0"))
    clock.now += 8 * 60
    book.next_seq(in_group("new"))
    assert len(book) == 2
    assert book.next_seq(in_private("M0")) == 2
    clock.now += 55 * 60
    book.next_seq(in_private("new"))
    book.next_seq(in_group("newer"))
    assert len(book) == 2


def test_with_fewer_as_many_as_there_are_are_set_aside() -> None:
    clock = Clock()
    book = ReplyBook(wall_clock=clock)
    context = in_group(received=clock.now)
    assert book.reserve(context, 3, fewer=True) == 3
    assert book.reserve(context, 3, fewer=True) == 2
    assert book.reserve(context, 3, fewer=True) == 0
    book.give_back(context, 2)
    assert book.left(context) == 2
    clock.now += 400
    assert book.left(context) == 0
    assert book.reserve(context, 1, fewer=True) == 0


def test_what_the_platform_says_is_used_up_is_used_up() -> None:
    book = ReplyBook()
    book.exhaust(in_group())
    assert book.left(in_group()) == 0
    with pytest.raises(ReplyContextError):
        book.reserve(in_group(), 1)


def test_events_are_counted_by_their_own_id_and_a_button_has_its_own_window() -> None:
    clock = Clock()
    book = ReplyBook(ReplyLimits(interaction_seconds=1800), wall_clock=clock)
    target = Target(Scene.GROUP, "G1")
    press = ReplyContext(target, "", clock.now, event_id="E1", event_name="INTERACTION_CREATE")
    other = ReplyContext(target, "", clock.now, event_id="E2", event_name="GROUP_ADD_ROBOT")
    assert (book.next_seq(press), book.next_seq(press), book.next_seq(other)) == (1, 2, 1)
    assert (book.deadline(press), book.deadline(other)) == (clock.now + 1800, clock.now + 300)
    clock.now += 1000
    book.reserve(press, 1)
    with pytest.raises(ReplyContextError, match="event E2 came 1000 s ago"):
        book.reserve(other, 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("reserve"), st.integers(1, 7)),
            st.tuples(st.just("fewer"), st.integers(1, 7)),
            st.tuples(st.just("give back"), st.integers(0, 5)),
        )
    )
)
def test_never_more_is_promised_than_there_is(steps: list[tuple[str, int]]) -> None:
    book, out = ReplyBook(), 0
    for what, number in steps:
        if what == "give back":
            back = min(number, out)
            book.give_back(in_group(), back)
            out -= back
            continue
        left = book.left(in_group())
        if what == "reserve" and number > left:
            with pytest.raises(ReplyContextError):
                book.reserve(in_group(), number)
        else:
            granted = book.reserve(in_group(), number, fewer=what == "fewer")
            assert granted == min(number, left)
            out += granted
        assert book.left(in_group()) == 5 - out >= 0


@given(st.lists(st.sampled_from(["M1", "M2", "M3"])))
def test_numbers_of_a_message_strictly_grow(msg_ids: list[str]) -> None:
    book = ReplyBook()
    last = dict.fromkeys(msg_ids, 0)
    for msg_id in msg_ids:
        number = book.next_seq(in_group(msg_id))
        assert number == last[msg_id] + 1
        last[msg_id] = number
