"""Decides which handler gets a message.

Handlers are compiled once: patterns, prefixes and possible levels are worked out when the set of handlers changes, so
that a message costs one look at its text per handler, and none at all once nothing can beat the match at hand.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from bot_core.calls import call
from bot_core.message import Message, Verify

if TYPE_CHECKING:
    from bot_core.handlers import HandlerBook

__all__ = (
    "Candidate",
    "Equal",
    "GroupConfig",
    "Handler",
    "Keywords",
    "Router",
    "compile_keywords",
    "cut_prefix",
    "longest_first",
    "words",
)

_DEFAULT_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Equal:
    """A keyword that must be the whole text, case included; it needs no prefix."""

    content: str


@dataclass
class GroupConfig:
    """Defaults for every handler with this `group_id`.

    Attributes:
        group_id: Any name; handlers are registered with it, or with this object.
        check_prefix: Whether a message must begin with a prefix keyword, where there are any.
        allow_direct: Whether private chats are served too.
        direct_only: Whether only private chats are served.
    """

    group_id: str
    check_prefix: bool = True
    allow_direct: bool = False
    direct_only: bool = False

    def __str__(self) -> str:
        return self.group_id


Keyword: TypeAlias = str | Equal | re.Pattern[str]
Keywords: TypeAlias = Keyword | Sequence[Keyword]


class _Keyword(NamedTuple):
    """One keyword, ready for use: `part` (lower case) is looked for in the text, or `test` is asked."""

    level: float
    part: str | None
    test: Callable[[str], Any]
    keypoint: Any  # None for a pattern: its groups


def compile_keywords(keywords: Any, level: float | None) -> tuple[_Keyword, ...]:
    """Make keywords ready for use.

    Raises:
        TypeError: One of them is no keyword.
    """
    if keywords is None:
        return ()
    if isinstance(keywords, (list, tuple)):
        return tuple(ready for keyword in keywords for ready in compile_keywords(keyword, level))
    plain = _DEFAULT_LEVEL if level is None else level
    if isinstance(keywords, str):
        return (_Keyword(plain, keywords.lower(), bool, keywords),)
    if isinstance(keywords, Equal):
        return (_Keyword(plain, None, partial(operator.eq, keywords.content), keywords),)
    if isinstance(keywords, re.Pattern) and isinstance(keywords.pattern, str):
        weight = level if level is not None else keywords.groups or _DEFAULT_LEVEL
        return (_Keyword(weight, None, keywords.search, None),)
    raise TypeError(f"keywords are str, re.Pattern, Equal, or a list of them; got {keywords!r}")


@dataclass(slots=True, eq=False)
class Handler:
    """A function as it was registered by `on_message`."""

    function: Callable[[Message], Any]
    factory_name: str
    group: GroupConfig | str | None
    keywords: tuple[_Keyword, ...]
    verify: Callable[[Message], Any] | None
    check_prefix: bool | tuple[str, ...] | None
    allow_direct: bool | None
    direct_only: bool


class Candidate(NamedTuple):
    """The handler that was chosen, why, and the prefix keyword to cut off."""

    handler: Handler
    verify: Verify
    prefix: str


class _Entry(NamedTuple):
    """A handler with everything resolved that does not depend on the message."""

    top_level: float
    order: int
    handler: Handler
    prefixes: tuple[str, ...]  # longest first; empty: none is needed
    keywords: tuple[_Keyword, ...]
    equals: tuple[_Keyword, ...]  # those that need no prefix


class _Match(NamedTuple):
    """A keyword or a `verify` that matched."""

    level: float
    order: int
    entry: _Entry
    keypoint: Any

    def beaten_by(self, level: float, order: int) -> bool:
        return level > self.level or (level == self.level and order < self.order)


OnError: TypeAlias = Callable[[Exception, Handler], Awaitable[None]]


class Router:
    """The compiled handlers of one account; they do not change any more."""

    def __init__(self, books: Sequence[HandlerBook]) -> None:
        prefixes = longest_first(prefix for book in books for prefix in book.own_prefix_keywords)
        configs: dict[str, GroupConfig] = {}
        for book in books:
            configs = book.group_configs | configs  # the account's own go before those it shares
        self._for_groups = _Table()
        self._for_direct = _Table()
        for order, handler in enumerate(handler for book in books for handler in book.message_handlers):
            config = _config_of(handler, configs)
            entry = _compile(handler, order, config, prefixes)
            direct_only = handler.direct_only or config.direct_only
            allow_direct = config.allow_direct if handler.allow_direct is None else handler.allow_direct
            if direct_only or allow_direct:
                self._for_direct.add(entry)
            if not direct_only:
                self._for_groups.add(entry)
        self._for_groups.sort()
        self._for_direct.sort()

    async def choose(self, data: Message, on_error: OnError) -> Candidate | None:
        """Return the handler with the highest level, the first registered among equals, or `None`.

        Every handler with a `verify` of its own is asked, with a copy of the message. One that raises counts as no
        match, and `on_error` is awaited.
        """
        table = self._for_direct if data.is_direct else self._for_groups
        best: _Match | None = None
        for entry in table.with_verify:
            found = await _ask(entry, data, on_error)
            if found is not None and (best is None or best.beaten_by(found.level, found.order)):
                best = found
        best = _look_up(table.with_keywords, data, best)
        if best is None:
            return None
        prefix = _prefix(best.entry, data)
        return Candidate(best.entry.handler, Verify(result=True, weight=best.level, keypoint=best.keypoint), prefix)


class _Table:
    """The handlers for one kind of chat."""

    def __init__(self) -> None:
        self.with_verify: list[_Entry] = []
        self.with_keywords: list[_Entry] = []

    def add(self, entry: _Entry) -> None:
        (self.with_verify if entry.handler.verify else self.with_keywords).append(entry)

    def sort(self) -> None:
        self.with_keywords.sort(key=lambda entry: -entry.top_level)  # stable: the first registered stays first


def _look_up(entries: Sequence[_Entry], data: Message, best: _Match | None) -> _Match | None:
    """Find the best match by keywords, if it is better than `best`."""
    text = data.text
    lowered = text.lower()
    excused = data.is_at or data.is_direct
    for entry in entries:
        if best is not None and not best.beaten_by(entry.top_level, entry.order):
            if entry.top_level < best.level:
                break  # nothing further on can be better
            continue
        allowed = excused or not entry.prefixes or text.startswith(entry.prefixes)
        for level, part, test, keypoint in entry.keywords if allowed else entry.equals:
            hit: Any = part in lowered if part is not None else test(text)
            if not hit:
                continue
            if best is None or best.beaten_by(level, entry.order):
                best = _Match(level, entry.order, entry, list(hit.groups()) if keypoint is None else keypoint)
            break
    return best


async def _ask(entry: _Entry, data: Message, on_error: OnError) -> _Match | None:
    """Ask a handler's own `verify`, which sees the text without its prefix."""
    excused = data.is_at or data.is_direct
    if entry.prefixes and not excused and not data.text.startswith(entry.prefixes):
        return None
    copy = data.copy()
    cut_prefix(copy, _prefix(entry, data))
    verify = entry.handler.verify
    try:
        answer = await call(verify, copy) if verify is not None else False
    except Exception as error:  # noqa: BLE001 - a stranger's code; the bot must look at its other handlers
        await on_error(error, entry.handler)
        return None
    result, level, keypoint = _read_answer(answer)
    return _Match(level, entry.order, entry, keypoint) if result else None


def _read_answer(answer: object) -> tuple[bool, float, Any]:
    """Read ``bool``, ``(bool, level)`` or ``(bool, level, keypoint)``; anything else does not match."""
    match answer:
        case bool():
            return answer, _DEFAULT_LEVEL, None
        case (result, (int() | float()) as level) if isinstance(answer, tuple):
            return bool(result), level, None
        case (result, (int() | float()) as level, keypoint) if isinstance(answer, tuple):
            return bool(result), level, keypoint
        case _:
            return False, 0, None


_NO_CONFIG: Final = GroupConfig("")


def _config_of(handler: Handler, configs: Mapping[str, GroupConfig]) -> GroupConfig:
    own = handler.group if isinstance(handler.group, GroupConfig) else _NO_CONFIG
    return own if handler.group is None else configs.get(str(handler.group), own)


def _compile(handler: Handler, order: int, config: GroupConfig, prefixes: tuple[str, ...]) -> _Entry:
    wanted = config.check_prefix if handler.check_prefix is None else handler.check_prefix
    return _Entry(
        top_level=max((keyword.level for keyword in handler.keywords), default=_DEFAULT_LEVEL),
        order=order,
        handler=handler,
        prefixes=wanted if isinstance(wanted, tuple) else prefixes if wanted else (),
        keywords=handler.keywords,
        equals=tuple(keyword for keyword in handler.keywords if isinstance(keyword.keypoint, Equal)),
    )


def words(given: object, name: str) -> list[str]:
    """Return a word, or several, as a list.

    Raises:
        TypeError: It is anything else; `name` is where it was given.
    """
    if isinstance(given, str):
        return [given]
    if isinstance(given, Iterable):
        several = list(given)
        if all(isinstance(word, str) for word in several):
            return several
    raise TypeError(f"{name} takes a word or a list of words; got {given!r}")


def longest_first(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return each prefix once, so that of ``bot`` and ``bot!`` the longer one is cut off."""
    return tuple(sorted({prefix for prefix in prefixes if prefix}, key=lambda prefix: (-len(prefix), prefix)))


def _prefix(entry: _Entry, data: Message) -> str:
    if data.is_at:
        return ""
    return next((prefix for prefix in entry.prefixes if data.text.startswith(prefix)), "")


def cut_prefix(data: Message, prefix: str) -> None:
    """Take the prefix off the text, and keep it."""
    if prefix:
        data.text_prefix = prefix
        data.set_text(data.text.removeprefix(prefix), set_original=False)
