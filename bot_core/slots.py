"""Knows which handler the running code belongs to, and whether that handler only waits for a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ("Delivery", "Slot", "current_delivery", "current_slot", "may_be_answered", "waiting")


class Delivery:
    """An event on its way to its handlers, whose sender wants to know when they have finished.

    Attributes:
        again: Whether another process may have worked on it, and answered, before it died.
        final: Whether its sender takes it for done already, and will not send it to the next process.
        taken: Whether somebody will call `finish`; else it counts as finished when it was handed over.
    """

    __slots__ = ("_on_finish", "again", "final", "taken")

    def __init__(self, on_finish: Callable[[], None], *, again: bool = False, final: bool = False) -> None:
        self.again = again
        self.final = final
        self.taken = False
        self._on_finish = on_finish

    def take(self) -> None:
        """Promise to call `finish`."""
        self.taken = True

    def finish(self) -> None:
        """Its handlers have finished."""
        self._on_finish()


# Set around the hand-over, and in the handlers: neither adapters nor messages need to carry it.
current_delivery: ContextVar[Delivery | None] = ContextVar("current_delivery", default=None)


def may_be_answered() -> bool:
    """Return whether the handler that runs may repeat what another process had done before it died."""
    delivery = current_delivery.get()
    return delivery is not None and delivery.again


class Slot:
    """The place that one running handler takes.

    Attributes:
        owner: The bot or `MultipleAccounts` that runs it.
    """

    __slots__ = ("_on_change", "_waits", "owner")

    def __init__(self, owner: object, on_change: Callable[[int], None] | None = None) -> None:
        self.owner = owner
        self._on_change = on_change
        self._waits = 0

    @property
    def parked(self) -> bool:
        """Whether it only waits for a message, and so takes no place."""
        return self._waits > 0

    def end(self) -> None:
        """Give the place up, as the handler has returned; what its tasks wait for afterwards counts no more."""
        on_change, self._on_change = self._on_change, None
        if on_change is not None and not self.parked:
            on_change(-1)

    def _count(self, step: int) -> None:
        was_parked = self.parked
        self._waits += step
        if self._on_change is not None and self.parked != was_parked:
            self._on_change(-1 if self.parked else 1)


# Inherited by the tasks that a handler makes, so that a wait inside `asyncio.wait_for` is known as its handler's too.
current_slot: ContextVar[Slot | None] = ContextVar("current_slot", default=None)


@contextmanager
def waiting() -> Iterator[None]:
    """Give up the place of the current handler while the block runs, so that the awaited message gets through."""
    slot = current_slot.get()
    if slot is None:
        yield
        return
    slot._count(1)  # noqa: SLF001 - this module's own
    try:
        yield
    finally:
        slot._count(-1)  # noqa: SLF001 - this module's own
