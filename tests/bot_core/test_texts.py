from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.texts import digits, unsigned

_UNITS = ("", "十", "百", "千")


def spoken(number: int) -> str:
    """Say a number as people do, with every zero in its place."""
    if number >= 10**8:
        high, low = divmod(number, 10**8)
        return spoken(high) + "亿" + joined(low, 10**7)
    if number >= 10**4:
        high, low = divmod(number, 10**4)
        return spoken(high) + "万" + joined(low, 10**3)
    words, zero = "", False
    for position in range(3, -1, -1):
        digit = number // 10**position % 10
        if digit:
            words += ("零" if zero and words else "") + "零一二三四五六七八九"[digit] + _UNITS[position]
            zero = False
        else:
            zero = True
    return words or "零"


def joined(low: int, full: int) -> str:
    return "" if not low else ("零" if low < full else "") + spoken(low)


@given(st.integers(min_value=1, max_value=10**12 - 1))
def test_every_number_is_read_as_it_is_spoken(number: int) -> None:
    assert digits(f"给我{spoken(number)}个") == f"给我{number}个"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("十", "10"),
        ("十二", "12"),
        ("二十", "20"),
        ("二零二四年", "2024年"),
        ("零零七", "007"),
        ("两千零五", "2005"),
        ("三百五", "350"),
        ("三千五", "3500"),
        ("一万五", "15000"),
        ("一万亿", "1000000000000"),
        ("壹佰贰拾", "120"),
        ("兩萬", "20000"),
        ("三四百", "34百"),
        ("百度千万", "百度千万"),
        ("plain 5 text", "plain 5 text"),
        ("第一名和第十二名", "第1名和第12名"),
    ],
)
def test_digits(text: str, expected: str) -> None:
    assert digits(text) == expected


@given(st.text(alphabet="零〇一二两九十百千万亿拾佰字a", max_size=12))
def test_digits_never_fails_and_keeps_everything_else(text: str) -> None:
    result = digits(text)
    assert [character for character in result if character in "字a"] == [
        character for character in text if character in "字a"
    ]


def test_unsigned() -> None:
    assert unsigned("你好，world! a_b（好）~ 👍 5%") == "你好world ab好 👍 5"
