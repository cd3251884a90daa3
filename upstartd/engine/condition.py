"""A condition over time: which of its places are filled, by which events, and whether it is true.

Source: events specification, section 7. A place is the index of an operand in the postfix condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.conf.model import EventPattern, Operator
from upstartd.engine.matching import operand_matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from upstartd.conf.model import Condition
    from upstartd.engine.event import Event, EventQueue


def event_names(condition: Condition) -> frozenset[str]:
    """The names of the events that the condition mentions."""
    return frozenset(part.name for part in condition if isinstance(part, EventPattern))


class Places:
    """The places of one condition, each empty or filled by an event that it holds."""

    __slots__ = ("_queue", "condition", "filled")

    def __init__(self, condition: Condition, queue: EventQueue) -> None:
        self.condition = condition
        self.filled: dict[int, Event] = {}
        self._queue = queue

    def take(self, event: Event, variables: Mapping[str, str]) -> bool:
        """Let `event` fill every empty place that it matches; whether there was one."""
        found = False
        for place in self.matching(event, variables):
            if place not in self.filled:
                self.filled[place] = event
                self._queue.hold(event)
                found = True
        return found

    def matching(self, event: Event, variables: Mapping[str, str]) -> list[int]:
        """The places that `event` matches, filled or not."""
        return [
            place
            for place, part in enumerate(self.condition)
            if isinstance(part, EventPattern)
            and part.name == event.name
            and operand_matches(part, event.env, variables)
        ]

    def is_operand(self, place: int) -> bool:
        """Whether there is such a place."""
        return 0 <= place < len(self.condition) and isinstance(self.condition[place], EventPattern)

    def true_places(self) -> list[int]:
        """The filled places under operators that are all true, in the order of the text; empty if it is not true."""
        values: list[bool] = []
        # The length of the part of the condition that ends at each index: where its left operand ends follows.
        lengths: list[int] = []
        for index, part in enumerate(self.condition):
            if isinstance(part, EventPattern):
                values.append(index in self.filled)
                lengths.append(1)
                continue
            right = index - 1
            left = right - lengths[right]
            both = values[left] and values[right]
            values.append(both if part is Operator.AND else values[left] or values[right])
            lengths.append(1 + lengths[left] + lengths[right])
        found: list[int] = []
        open_parts = [len(self.condition) - 1] if self.condition else []
        while open_parts:
            index = open_parts.pop()
            if not values[index]:
                continue
            if isinstance(self.condition[index], EventPattern):
                found.append(index)
            else:
                open_parts += [index - 1 - lengths[index - 1], index - 1]
        return sorted(found)

    def events(self) -> Iterator[Event]:
        """The events that fill places, each once, in the order of the text."""
        yield from dict.fromkeys(self.filled[place] for place in sorted(self.filled))

    def clear(self) -> None:
        """Empty all places and let their events go."""
        filled, self.filled = self.filled, {}
        for event in filled.values():
            self._queue.release(event)
