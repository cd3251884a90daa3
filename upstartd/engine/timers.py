"""What is due when. The engine has no clock: it is told the time with every input.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


class Timers:
    """At most one deadline for each key."""

    def __init__(self) -> None:
        self._due: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._count = 0  # breaks ties in the order of arming

    def arm(self, key: Hashable, when: float) -> None:
        """Have `key` come due at `when`; an earlier deadline of its is forgotten."""
        self._due[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))

    def cancel(self, key: Hashable) -> None:
        """Forget the deadline of `key`, if it has one."""
        self._due.pop(key, None)

    def deadlines(self) -> dict[Hashable, float]:
        """Every deadline by its key."""
        return dict(self._due)

    def next(self) -> float | None:
        """When the first deadline is; None where nothing is armed."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[Hashable]:
        """The keys whose deadline is at or before `now`, in order; each is forgotten when it is given."""
        while (when := self.next()) is not None and when <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            yield key
