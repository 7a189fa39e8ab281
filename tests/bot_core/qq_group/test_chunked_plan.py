"""Chunked upload before its first byte: the digests of a file, and the plan that the platform answers with."""

from __future__ import annotations

import hashlib
import io
import random
from typing import Any

import pytest

from bot_core.errors import OpenAPIError
from bot_core.openapi.chunks import read_plan
from bot_core.qq_group.digests import digests_of

BEGINNING = 10_002_432


# --- digests


@pytest.mark.parametrize("size", [1, 1024 * 1024, BEGINNING - 1, BEGINNING, BEGINNING + 1, BEGINNING + 3_000_000])
def test_all_digests_come_from_one_pass(size: int) -> None:
    content = random.Random(size).randbytes(size)

    class Once(io.BytesIO):
        def seek(self, *_: Any) -> int:
            raise AssertionError("one pass")

    found = digests_of(Once(content))
    assert found.size == size
    assert found.md5 == hashlib.md5(content).hexdigest()
    assert found.sha1 == hashlib.sha1(content).hexdigest()
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.md5_10m == hashlib.md5(content[:BEGINNING]).hexdigest()


# --- the plan


def plan(size: int = 25, **answer: Any) -> Any:
    return read_plan({"upload_id": "U", "block_size": 10} | answer, size=size, path="/p")


def part(index: Any, **fields: Any) -> dict[str, Any]:
    return {"index": index, "presigned_url": f"https://s/{index}"} | fields


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("form", [int, str])
def test_parts_lie_one_behind_the_other_in_the_order_of_their_numbers(first: int, form: type) -> None:
    parts = [part(form(first + number), block_size=form(size)) for number, size in ((2, 9), (0, 12), (1, 4))]
    found = plan(parts=parts).parts
    assert [(one.index, one.offset, one.size) for one in found] == [
        (first, 0, 12),
        (first + 1, 12, 4),
        (first + 2, 16, 9),
    ]
    assert found[0].url == f"https://s/{first}"
    assert "https" not in repr(found)


def test_a_part_without_size_has_the_common_one_and_the_last_has_what_is_left() -> None:
    found = plan(parts=[part(1), part(2), part(3)]).parts
    assert [one.size for one in found] == [10, 10, 5]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([part(1), part(2)], "make up 20 of 25"),
        ([part(1), part(2), part(3), part(4)], "more than the 25 bytes"),
        ([part(1), part(1), part(2)], "no number of its own"),
        ([part(None)], "no number of its own"),
        (["part"], "no number of its own"),
        ([part(1, block_size=0)], "make up 10 of 25"),
        (None, "make up 0 of 25"),
    ],
)
def test_a_plan_that_is_no_plan_of_this_file_is_refused(parts: Any, says: str) -> None:
    with pytest.raises(OpenAPIError, match=says):
        plan(parts=parts)


def test_a_plan_without_any_size_is_refused() -> None:
    with pytest.raises(OpenAPIError, match="no block_size"):
        plan(block_size="soon", parts=[part(1)])


@pytest.mark.parametrize("answer", [None, [], "x", {"parts": []}, {"upload_id": 5}])
def test_an_answer_that_is_no_plan_is_refused(answer: Any) -> None:
    with pytest.raises(OpenAPIError, match="no upload_id"):
        read_plan(answer, size=1, path="/p")


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (1, 300, 1)),
        ({"concurrency": "4", "retry_timeout": "60", "retry_delay": 2}, (4, 60, 2)),
        ({"concurrency": 99, "retry_timeout": 9999, "retry_delay": 0.25}, (10, 600, 0.25)),
        ({"concurrency": 0, "retry_timeout": -1, "retry_delay": float("nan")}, (1, 0, 1)),
    ],
)
def test_how_many_at_once_and_how_long_is_read_from_either_place(
    config: dict[str, Any], expected: tuple[float, ...], nested: bool
) -> None:
    found = plan(10, parts=[part(1)], **({"upload_config": config} if nested else config))
    assert (found.concurrency, found.retry_seconds, found.retry_delay) == expected
