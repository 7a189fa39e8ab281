"""What can be read out of a message's text besides the text itself: digits, bare words, a list of words."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache, lru_cache
from typing import Any, Final

from qqmedia.errors import ConfigurationError

__all__ = ("digits", "unsigned", "words")

# Plain and formal characters, simplified and traditional; units become letters for the patterns below.
_PLAIN: Final = str.maketrans(
    "零〇一壹二贰两兩三叁四肆五伍六陆七柒八捌九玖十拾百佰千仟万萬亿億", "0011222233445566778899ssbbqqwwyy"
)
_BIG_UNITS: Final = {"y": 10**8, "w": 10**4}
# A number begins with a digit or with ten; a lone 百 or 万 is part of a word more often than not.
_RUN: Final = re.compile(
    "[零〇一壹二贰两兩三叁四肆五伍六陆七柒八捌九玖十拾]"
    "[零〇一壹二贰两兩三叁四肆五伍六陆七柒八捌九玖十拾百佰千仟万萬亿億]*"
)
_BELOW_TEN_THOUSAND: Final = re.compile(r"(?:([1-9])q)?(?:0?([1-9])b)?(?:0?([1-9]?s))?(?:0?([1-9]))?")


def digits(text: str) -> str:
    """Return `text` with Chinese numerals as digits: ``三百零五`` is ``305``, ``二零二四`` is ``2024``."""
    return _RUN.sub(_as_digits, text)


def _as_digits(run: re.Match[str]) -> str:
    numeral = run.group().translate(_PLAIN)
    if numeral.isdecimal():
        return numeral
    value = _value(numeral)
    if value is not None:
        return str(value)
    # No number as a whole (三四百): character by character, which loses nothing.
    return "".join(plain if plain.isdecimal() else given for plain, given in zip(numeral, run.group(), strict=True))


def _value(numeral: str) -> int | None:
    """Return what the numeral means, or `None` when it is not well formed."""
    for letter, unit in _BIG_UNITS.items():
        if letter in numeral:
            before, _, after = numeral.rpartition(letter)
            factor, rest = _value(before), _rest(after, unit)
            return None if not factor or rest is None else factor * unit + rest
    return _small_value(numeral)


def _rest(numeral: str, unit: int) -> int | None:
    """Return the value of what stands behind a big unit; one digit counts the next smaller unit: 一万五 is 15000."""
    if not numeral:
        return 0
    if len(numeral) == 1 and numeral != "0" and numeral.isdecimal():
        return int(numeral) * unit // 10
    value = _value(numeral)
    return value if value is not None and value < unit else None


def _small_value(numeral: str) -> int | None:
    found = _BELOW_TEN_THOUSAND.fullmatch(numeral)
    if found is None or not numeral:
        return None
    thousands, hundreds, tens, ones = found.groups()
    value = int(thousands or 0) * 1000 + int(hundreds or 0) * 100
    if tens:
        value += int(tens[:-1] or 1) * 10
    if ones:
        colloquial = {"q": 100, "b": 10}  # 三千五 is 3500, 三百五 is 350
        value += int(ones) * colloquial.get(numeral[-2:-1], 1)
    return value


class _WithoutPunctuation(dict[int, int | None]):
    """A table for `str.translate` that fills itself: punctuation of any language goes, everything else stays."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        gone = character in string.punctuation or unicodedata.category(character).startswith("P")
        self[code] = None if gone else code
        return self[code]


_TABLE: Final = _WithoutPunctuation()


def unsigned(text: str) -> str:
    """Return `text` without punctuation."""
    return text.translate(_TABLE)


def words(text: str) -> list[str]:
    """Return the words of `text`, as it is and with numerals as digits, in lower case, each once.

    The first call loads a dictionary, which takes about a second.

    Raises:
        ConfigurationError: The extra `words` is not installed.
    """
    return list(_words(text))


@lru_cache(maxsize=64)
def _words(text: str) -> tuple[str, ...]:
    segmenter = _segmenter()
    plain = text.lower().replace(" ", "")
    return tuple(dict.fromkeys([*segmenter.lcut(plain), *segmenter.lcut(digits(plain))]))


@cache
def _segmenter() -> Any:
    try:
        import jieba  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'text_words needs a word segmenter, which is not installed; run: pip install "qqmedia[words]"'
        ) from error
    jieba.setLogLevel("INFO")
    return jieba
