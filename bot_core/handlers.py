"""What a bot's author registers: handlers, life-cycle hooks, prefixes, timed tasks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from bot_core.adapter import Adapter
from bot_core.arguments import check_called, check_function, check_number, spelled
from bot_core.calls import describe, describe_place
from bot_core.chain import Chain
from bot_core.message import Event, Message
from bot_core.router import GroupConfig, Handler, Keywords, compile_keywords, longest_first, words
from bot_core.tasks import TimedTasks
from bot_core.waits import Waiter

__all__ = ("ALL_EVENTS", "HandlerBook")

ALL_EVENTS: Final = "__all_event__"

MessageFunction: TypeAlias = Callable[[Message], Awaitable[Chain | str | None]]
VerifyFunction: TypeAlias = Callable[[Message], Awaitable[bool | tuple[Any, ...] | None]]
EventFunction: TypeAlias = Callable[[Event, Adapter], Awaitable[object]]
ExceptionFunction: TypeAlias = Callable[[Any, Adapter, Any], Awaitable[object]]
MessageCreated: TypeAlias = Callable[[Message, Adapter], Awaitable[Message | bool | None]]
EventCreated: TypeAlias = Callable[[Event, Adapter], Awaitable[Event | bool | None]]
BeforeHandle: TypeAlias = Callable[[Message, str, Adapter], Awaitable[bool | None]]
BeforeSend: TypeAlias = Callable[[Chain, str, Adapter], Awaitable[Chain | None]]
AfterSend: TypeAlias = Callable[[Chain, str, Adapter], Awaitable[object]]
AfterHandle: TypeAlias = Callable[[Chain | None, str, Adapter], Awaitable[object]]
BeforeWaiterSet: TypeAlias = Callable[[Message, Waiter, Adapter], Awaitable[Message | None]]

TimedFunction: TypeAlias = Callable[[Any], Awaitable[object]]

# A decorator gives back exactly what it was given; a type checker sees there whether it is the right kind of function.
AnyF = TypeVar("AnyF", bound=Callable[..., Any])
MessageF = TypeVar("MessageF", bound=MessageFunction)
EventF = TypeVar("EventF", bound=EventFunction)
ExceptionF = TypeVar("ExceptionF", bound=ExceptionFunction)
TimedF = TypeVar("TimedF", bound=TimedFunction)
MessageCreatedF = TypeVar("MessageCreatedF", bound=MessageCreated)
EventCreatedF = TypeVar("EventCreatedF", bound=EventCreated)
BeforeHandleF = TypeVar("BeforeHandleF", bound=BeforeHandle)
BeforeSendF = TypeVar("BeforeSendF", bound=BeforeSend)
AfterSendF = TypeVar("AfterSendF", bound=AfterSend)
AfterHandleF = TypeVar("AfterHandleF", bound=AfterHandle)
BeforeWaiterSetF = TypeVar("BeforeWaiterSetF", bound=BeforeWaiterSet)

logger = logging.getLogger("bot_core.handlers")


class HandlerBook:
    """What was registered on one bot, or on a `MultipleAccounts`.

    Attributes:
        factory_name: The name under which life-cycle hooks hear of it.
        version: Grows whenever something is registered.
    """

    def __init__(self, factory_name: str) -> None:
        self.factory_name = factory_name
        self.version = 0
        self.message_handlers: list[Handler] = []
        self.event_handlers: dict[str, list[EventFunction]] = {}
        self.exception_handlers: dict[type[Exception], list[ExceptionFunction]] = {}
        self.group_configs: dict[str, GroupConfig] = {}
        self.own_prefix_keywords: list[str] = []
        self.hooks: dict[str, list[Callable[..., Any]]] = {}
        self._timed = TimedTasks(self, self.end_with)
        self._exit: SystemExit | None = None

    def stop(self) -> None:
        """Ask what runs with these handlers to end."""
        raise NotImplementedError

    def end_with(self, error: SystemExit) -> None:
        """End in order, as a handler or a timed task called ``sys.exit``; `start` raises the first such `error`."""
        if self._exit is None:
            logger.info("ending, as sys.exit(%s) was called", "" if error.code is None else repr(error.code))
            self._exit = error
        self.stop()

    @spelled
    def on_message(  # noqa: PLR0917 - AmiyaBot's signature
        self,
        group_id: GroupConfig | str | None = None,
        keywords: Keywords | None = None,
        verify: VerifyFunction | None = None,
        check_prefix: bool | Sequence[str] | None = None,  # noqa: FBT001 - AmiyaBot's signature
        allow_direct: bool | None = None,  # noqa: FBT001 - AmiyaBot's signature
        direct_only: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        level: float | None = None,
    ) -> Callable[[MessageF], MessageF]:
        """Register a handler for messages; it gets a `Message` and returns a `Chain`, a `str` or `None`.

        Args:
            group_id: Takes its defaults from the `GroupConfig` of this name.
            keywords: A `str` that the text contains (case does not count), a pattern to be searched, an `Equal`, or a
                list of these.
            verify: Decides instead of keywords: a coroutine function that returns ``bool``, ``(bool, level)`` or
                ``(bool, level, keypoint)``.
            check_prefix: `False`: no prefix is needed; a list: one of these is; by default one of the bot's.
            allow_direct: Serve private chats too.
            direct_only: Serve private chats only.
            level: Who has the highest gets the message; by default 1, for a pattern the number of its groups.

        Raises:
            TypeError: A keyword, a prefix, the level or `verify` is none, or the decorator was not called.
        """
        check_called("on_message", group_id)
        if level is not None:
            check_number("level", level)
        if verify is not None:
            check_function("verify", verify)
        if check_prefix is not None and not isinstance(check_prefix, bool):
            check_prefix = longest_first(words(check_prefix, "check_prefix"))
        handler = partial(
            Handler,
            factory_name=self.factory_name,
            group=group_id,
            keywords=() if verify is not None else compile_keywords(keywords, level),
            verify=verify,
            check_prefix=check_prefix,
            allow_direct=allow_direct,
            direct_only=direct_only,
        )

        def register(function: MessageF) -> MessageF:
            self._add(handler(function))
            return function

        return register

    def _add(self, handler: Handler) -> None:
        function = handler.function
        check_function("on_message", function)
        if handler.verify is None and not handler.keywords:
            logger.warning(
                "%s%s has neither keywords nor verify, so it never gets a message",
                describe(function), describe_place(function),
            )  # fmt: skip
        self.message_handlers.append(handler)
        self.version += 1

    def on_event(self, events: str | Sequence[str] = ALL_EVENTS) -> Callable[[EventF], EventF]:
        """Register a handler for events, ``(event, instance)``: of one name, of several, by default of all.

        Raises:
            TypeError: A name is none, or the decorator was not called.
        """
        check_called("on_event", events)
        names = words(events, "on_event")

        def register(function: EventF) -> EventF:
            check_function("on_event", function)
            for name in names:
                self.event_handlers.setdefault(name, []).append(function)
            return function

        return register

    def on_exception(
        self, exceptions: type[Exception] | Sequence[type[Exception]] = Exception
    ) -> Callable[[ExceptionF], ExceptionF]:
        """Register a handler for what other handlers raise, ``(error, instance, data)``.

        The handlers of the most specific class that fits are called, and no others. Cancelled waits never arrive.

        Raises:
            TypeError: A class of exceptions is none, or the decorator was not called.
        """
        check_called("on_exception", exceptions)
        classes = _exception_classes(exceptions)

        def register(function: ExceptionF) -> ExceptionF:
            check_function("on_exception", function)
            for kind in classes:
                self.exception_handlers.setdefault(kind, []).append(function)
            return function

        return register

    def set_group_config(self, config: GroupConfig) -> None:
        """Give defaults to every handler with this `group_id`, whether it is registered already or later.

        Raises:
            TypeError: It is no `GroupConfig`.
        """
        if not isinstance(config, GroupConfig):
            raise TypeError(f"set_group_config takes GroupConfig(...); got {config!r:.80}")
        self.group_configs[config.group_id] = config
        self.version += 1

    def set_prefix_keywords(self, keyword: str | Sequence[str]) -> None:
        """Add words, one of which a message must begin with unless it mentions the bot or is private.

        Raises:
            TypeError: One of them is none.
        """
        self.own_prefix_keywords.extend(words(keyword, "set_prefix_keywords"))
        self.version += 1

    def timed_task(
        self,
        each: float | None = None,
        sub_tag: str = "default_tag",
        run_when_added: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        **kwargs: Any,
    ) -> Callable[[TimedF], TimedF]:
        """Register a background task ``task(bot)``, which runs while the bot does.

        Args:
            each: Seconds from one run to the next. Without it and without `kwargs` it runs once.
            sub_tag: A name to remove it by; several may have the same.
            run_when_added: Run at once as well.
            kwargs: For APScheduler, such as ``trigger="cron", hour=0`` (extra `cron`).

        Raises:
            ConfigurationError: `kwargs` are given and the extra `cron` is not installed, or they make no sense.
            TypeError: `each` is no number, or the decorator was not called.
        """
        check_called("timed_task", each)
        if each is not None:
            check_number("each", each)

        def register(function: TimedF) -> TimedF:
            check_function("timed_task", function)
            self._timed.add(function, each=each, tag=sub_tag, at_once=run_when_added, options=kwargs)
            return function

        return register

    def remove_timed_task(self, sub_tag: str) -> None:
        """Remove every timed task with exactly this tag; one that runs just now may finish."""
        self._timed.remove(sub_tag)

    def message_created(self, function: MessageCreatedF) -> MessageCreatedF:
        """Register ``(data, instance)``, called first: a `Message` replaces the message, `False` drops it."""
        return self._hook("message_created", function)

    def message_before_handle(self, function: BeforeHandleF) -> BeforeHandleF:
        """Register ``(data, factory_name, instance)``, called before the handler; any `False` stops it."""
        return self._hook("message_before_handle", function)

    def message_before_send(self, function: BeforeSendF) -> BeforeSendF:
        """Register ``(chain, factory_name, instance)``, called before a chain goes out; a chain replaces it."""
        return self._hook("message_before_send", function)

    def message_after_send(self, function: AfterSendF) -> AfterSendF:
        """Register ``(chain, factory_name, instance)``, called when a chain went out."""
        return self._hook("message_after_send", function)

    def message_after_handle(self, function: AfterHandleF) -> AfterHandleF:
        """Register ``(chain or None, factory_name, instance)``, called when a handler is through."""
        return self._hook("message_after_handle", function)

    def message_before_waiter_set(self, function: BeforeWaiterSetF) -> BeforeWaiterSetF:
        """Register ``(data, waiter, instance)``, called before a wait gets its message; a `Message` replaces it."""
        return self._hook("message_before_waiter_set", function)

    def event_created(self, function: EventCreatedF) -> EventCreatedF:
        """Register ``(event, instance)``, called first: an `Event` replaces the event, `False` drops it."""
        return self._hook("event_created", function)

    def _hook(self, name: str, function: AnyF) -> AnyF:
        check_function(name, function)
        self.hooks.setdefault(name, []).append(function)
        return function


def _exception_classes(given: Any) -> list[type[Exception]]:
    classes = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"on_exception takes classes of exceptions; got {kind!r:.80}")
    return classes


class HandlerBooks:
    """The handlers of one account: its own first, then those of the `MultipleAccounts` that it belongs to."""

    def __init__(self, own: HandlerBook) -> None:
        self._books = [own]

    def __iter__(self) -> Iterator[HandlerBook]:
        return iter(self._books)

    def share(self, book: HandlerBook) -> None:
        """Add handlers that other accounts have too."""
        if book not in self._books:
            self._books.append(book)

    @property
    def version(self) -> tuple[int, ...]:
        """Changes whenever something is registered anywhere."""
        return tuple([book.version for book in self._books])

    def hooks(self, name: str) -> list[Callable[..., Any]]:
        """Return the life-cycle hooks of this name."""
        if len(self._books) == 1:
            return self._books[0].hooks.get(name, _NONE)
        return [hook for book in self._books for hook in book.hooks.get(name, _NONE)]

    def event_handlers(self, name: str) -> list[EventFunction]:
        """Return the handlers for all events, then those for this one."""
        return [
            function
            for wanted in (ALL_EVENTS, name)
            for book in self._books
            for function in book.event_handlers.get(wanted, ())
        ]

    def exception_handlers(self, error: Exception) -> list[ExceptionFunction]:
        """Return the handlers of the most specific class that `error` is one of."""
        for kind in type(error).__mro__:
            found = [function for book in self._books for function in book.exception_handlers.get(kind, ())]
            if found:
                return found
        return []


_NONE: Final[list[Any]] = []
