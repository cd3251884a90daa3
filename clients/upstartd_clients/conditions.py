"""How to read a condition as the bus has it: its operators, and the job that a job event is about.

A condition is a flat list in postfix order: [event, argument...], or an operator after its two operands. Nothing here
builds a tree of it, so no condition is too deep. Not responsible for text (render.py) or judgement (check_config.py).
Source: configuration specification, sections 4, 10 and 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.errors import BadAnswer

if TYPE_CHECKING:
    from upstartd_clients.interface import Condition

# The operators, and the words for them in job files.
OPERATORS = {"/AND": "and", "/OR": "or"}
JOB_EVENTS = frozenset({"starting", "started", "stopping", "stopped"})


class Operator(NamedTuple):
    """An operator, where its left and its right operand begin, and where it stands itself."""

    word: str
    left: int
    right: int
    at: int


def operators(condition: Condition) -> list[Operator]:
    """Each operator of a condition, inner ones before outer ones; BadAnswer if this is no condition.

    Events may have the names of operators as well: what has no two operands before it is such an event.
    """
    found = []
    operands: list[int] = []  # where each operand begins that no operator has joined yet
    for at, item in enumerate(condition):
        if not item:
            raise BadAnswer("cannot understand Upstart: a condition has an event without a name")
        if len(item) == 1 and item[0] in OPERATORS and len(operands) >= 2:
            right = operands.pop()
            found.append(Operator(OPERATORS[item[0]], operands[-1], right, at))
        else:
            operands.append(at)
    if len(operands) > 1:
        raise BadAnswer("cannot understand Upstart: a condition has operands without an operator")
    return found


class Event(NamedTuple):
    """An event of a condition. `job` is the job that a job event is about, None where that is left open;
    `others` are the other arguments."""

    name: str
    job: str | None
    others: list[str]


def event_of(item: list[str]) -> Event:
    """The event that an item of a condition is.

    The job of a job event is its first argument, if that has no `=`, or else what the first `JOB=` says.
    """
    name, *arguments = item
    if name in JOB_EVENTS:
        for position, argument in enumerate(arguments):
            if argument.startswith("JOB=") or (position == 0 and "=" not in argument):
                return Event(name, argument.removeprefix("JOB="), arguments[:position] + arguments[position + 1 :])
    return Event(name, None, arguments)


def events(condition: Condition) -> dict[int, Event]:
    """Each event of a condition by the place where it stands, in the order of the file; BadAnswer as of operators()."""
    places = {operator.at for operator in operators(condition)}
    return {at: event_of(item) for at, item in enumerate(condition) if at not in places}
