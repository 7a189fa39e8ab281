"""Times that run for a name: how long a way is not tried again, or a thing not told again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

__all__ = ("REMEMBER_AT_MOST", "Times")

# Each is a name and a time.
REMEMBER_AT_MOST: Final = 1000


class Times:
    """Times that run for a name; bounded: beyond, the one that was set longest ago has ended.

    Args:
        clock: Seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def set(self, name: Hashable, seconds: float) -> None:
        """Let the time of this name run from now on."""
        self._ends[name] = self._clock() + seconds
        self._ends.move_to_end(name)
        if len(self._ends) > REMEMBER_AT_MOST:
            self._ends.popitem(last=False)

    def runs(self, name: Hashable) -> bool:
        """Return whether it has not ended yet."""
        end = self._ends.get(name)
        if end is None:
            return False
        if self._clock() < end:
            return True
        del self._ends[name]
        return False

    def starts(self, name: Hashable, seconds: float) -> bool:
        """Let it run unless it does already; return whether it did not."""
        if self.runs(name):
            return False
        self.set(name, seconds)
        return True
