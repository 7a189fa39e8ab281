"""What is remembered for a while: events that came, and what the platform has already."""

from __future__ import annotations

import pytest

from bot_core.qq_group.file_info import FileInfoKey, MemoryFileInfoStore, usable_seconds
from bot_core.qq_group.seen import SeenEvents


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def key(sha256: str = "aa", scene: str = "groups") -> FileInfoKey:
    return FileInfoKey("1020", scene, 1, sha256)


def test_an_event_counts_as_repeated_by_either_of_its_ids_for_ten_minutes() -> None:
    clock = Clock()
    seen = SeenEvents(clock=clock)
    assert not seen.repeated("GROUP_AT_MESSAGE_CREATE:1", "M1")
    assert seen.repeated("GROUP_AT_MESSAGE_CREATE:1", "M1")
    assert seen.repeated("GROUP_MESSAGE_CREATE:9", "M1")
    assert not seen.repeated("", "")
    clock.now += 9
    assert not seen.repeated("M2")
    clock.now += 600 - 9
    assert seen.repeated("GROUP_AT_MESSAGE_CREATE:1")
    clock.now += 9
    assert seen.repeated("M2")
    clock.now += 2
    assert not seen.repeated("GROUP_AT_MESSAGE_CREATE:1", "M1")


def test_a_bot_that_nobody_spoke_to_for_long_remembers_nothing_old() -> None:
    clock = Clock()
    seen = SeenEvents(clock=clock)
    for number in range(100):
        seen.repeated(str(number))
        clock.now += 5
    clock.now += 3600
    assert not seen.repeated("99")
    assert len(seen) == 1


@pytest.mark.parametrize("limit", [10, 1000])
def test_events_are_remembered_within_a_limit(limit: int) -> None:
    seen = SeenEvents(limit=limit)
    for number in range(10 * limit):
        assert not seen.repeated(f"E{number}", f"M{number}")
    assert len(seen) <= limit
    assert seen.repeated(f"M{10 * limit - 1}")
    assert seen.repeated(f"E{10 * limit - limit * 4 // 10}")


@pytest.mark.asyncio
async def test_a_file_info_is_good_until_its_time_is_over() -> None:
    clock = Clock()
    store = MemoryFileInfoStore(clock=clock)
    await store.put(key(), "INFO", 240)
    assert await store.get(key()) == "INFO"
    assert await store.get(key(scene="users")) is None
    clock.now += 240
    assert await store.get(key()) is None


@pytest.mark.asyncio
async def test_a_file_info_can_be_dropped_and_may_have_no_end() -> None:
    clock = Clock()
    store = MemoryFileInfoStore(clock=clock)
    await store.put(key(), "INFO", None)
    clock.now += 1e9
    assert await store.get(key()) == "INFO"
    await store.drop(key())
    await store.drop(key())
    assert await store.get(key()) is None


@pytest.mark.asyncio
async def test_those_that_were_not_used_for_longest_go_first() -> None:
    store = MemoryFileInfoStore(limit=2)
    await store.put(key("a"), "A", None)
    await store.put(key("b"), "B", None)
    await store.get(key("a"))
    await store.put(key("c"), "C", None)
    assert [await store.get(key(one)) for one in "abc"] == ["A", None, "C"]


@pytest.mark.parametrize(
    ("ttl", "spent", "usable"), [(300, 0, 240), (3600, 20, 3520), (60, 0, 30), (1, 0, 0.5), (None, 9, None)]
)
def test_a_margin_is_left_before_it_expires(ttl: float | None, spent: float, usable: float | None) -> None:
    assert usable_seconds(ttl, spent=spent) == usable
