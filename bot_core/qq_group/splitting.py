"""Cuts long text into pieces that the platform takes, at the best place there is."""

from __future__ import annotations

import re
from typing import Final

__all__ = ("split_text",)

# Where to cut, best first: behind a paragraph, a line, a sentence, a word.
_BREAKS: Final = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"[。！？；!?;.]\s?"), re.compile(r"[\s,，、]"))
# A cut so near to the beginning would make one message too many.
_LEAST_SHARE: Final = 0.25
# Mentions and emoji tags; who cuts one shows its source.
_LONGEST_TAG: Final = 200
# What belongs to the character before it: variation selectors, the joiner of emoji, combining marks, skin tones.
_JOINED: Final = re.compile("[\u200d\ufe00-\ufe0f\u0300-\u036f\u20d0-\u20ff\U0001f3fb-\U0001f3ff]")


def split_text(text: str, limit: int) -> list[str]:
    """Return the text in pieces of at most `limit` characters; put together again they are the text.

    Only white space that would be a message of its own is left out.
    """
    pieces: list[str] = []
    start = 0
    while len(text) - start > limit:
        end = start + _cut(text[start : start + limit + 1], limit)
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]


def _cut(window: str, limit: int) -> int:
    """Return where to cut: 1 to `limit`. The window shows one character more than fits."""
    least = int(limit * _LEAST_SHARE)
    for place in _BREAKS:
        ends = [found.end() for found in place.finditer(window) if least < found.end() <= limit]
        if ends and not _within_tag(window, ends[-1]):
            return ends[-1]
    end = _within_tag(window, limit) or limit
    while end > 1 and end < len(window) and (_JOINED.match(window[end]) or window[end - 1] == "\u200d"):
        end -= 1
    return end


def _within_tag(window: str, end: int) -> int:
    """Return where the tag begins that a cut at `end` would go through; 0 where there is none."""
    begin = window.rfind("<", max(0, end - _LONGEST_TAG), end)
    return (
        begin if begin > 0 and ">" not in window[begin:end] and window[begin + 1 : begin + 2] in {"@", "q", "f"} else 0
    )
