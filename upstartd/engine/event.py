"""Events, and the queue in which they wait, are offered and finish.

What an offered event does to jobs is not decided here (engine/offering.py). Source: events
specification, sections 2 to 4.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from upstartd.engine.inputs import Caller
    from upstartd.engine.instance import Instance


class Event:
    """One event, from its emission until it has finished.

    `holds` counts its holders: filled places of conditions, and instances it has helped to start or stop.
    `blocks` is the instance whose `starting` or `stopping` it is.
    """

    __slots__ = ("blocks", "caller", "env", "failed", "file", "holds", "name", "number", "offered", "queued")

    def __init__(
        self,
        name: str,
        env: tuple[str, ...] = (),
        *,
        blocks: Instance | None = None,
        caller: Caller | None = None,
        file: int | None = None,
    ) -> None:
        self.name = name
        self.env = env
        self.blocks = blocks
        self.caller = caller
        self.file = file
        self.failed = False
        self.offered = False
        self.holds = 0
        self.number = 0
        self.queued = False


class EventQueue:
    """All events that have not finished, in the order of their emission.

    The queue is run in rounds from its front to its end. An event needs looking at only when it is new or
    when its last holder has let it go; only such events are kept in the two heaps, so that running the queue
    costs nothing for those that are held.
    """

    def __init__(self) -> None:
        self.events: dict[int, Event] = {}
        self.last_number = 0
        self.at = 0  # the number of the event that is being looked at, or was last; 0 between rounds
        self._this_round: list[int] = []
        self._next_round: list[int] = []

    def add(self, event: Event) -> None:
        """Put a new event at the end of the queue."""
        self.last_number += 1
        event.number = self.last_number
        self.events[event.number] = event
        self._wake(event)

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to offer and nothing to finish."""
        return not (self._this_round or self._next_round)

    def restore(self, events: Iterable[Event], last_number: int, at: int) -> None:
        """Make this the queue that held these events, had given `last_number` last, and had come to `at`."""
        self.last_number, self.at = last_number, at
        for event in events:
            self.events[event.number] = event
            if not event.offered or not event.holds:
                self._wake(event)

    def hold(self, event: Event) -> None:
        """Count one more holder."""
        event.holds += 1

    def release(self, event: Event, *, failed: bool = False) -> None:
        """One holder lets the event go. With `failed` the event has failed."""
        event.holds -= 1
        event.failed = event.failed or failed
        if not event.holds and event.offered:
            self._wake(event)

    def _wake(self, event: Event) -> None:
        if event.queued:
            return
        event.queued = True
        heap = self._this_round if self.at and event.number > self.at else self._next_round
        heapq.heappush(heap, event.number)

    def run(self, offer: Callable[[Event], None], finish: Callable[[Event], None], most: int) -> None:
        """Offer what is new and finish what nothing holds, round after round, until neither is left.

        Jobs can start and stop one another without end: after `most` events the run stops where it is, and
        the next one goes on from there.
        """
        for _ in range(most):
            if self.is_at_rest:
                return
            if not self._this_round:
                self._this_round, self._next_round = self._next_round, []
            self.at = heapq.heappop(self._this_round)
            event = self.events[self.at]
            event.queued = False
            if not event.offered:
                event.offered = True
                # It may be let go by the last of its holders while it is still being offered.
                event.queued = True
                offer(event)
                event.queued = False
            if not event.holds:
                del self.events[event.number]
                finish(event)
            if not self._this_round:
                self.at = 0
