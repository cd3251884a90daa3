"""Which conditions wait for events or jobs that nothing provides: the judgement behind `check-config`.

Pure: the conditions of all jobs in, complaints out. Source: configuration specification, section 11; clients
specification, section 2, check-config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upstartd.engine.matching import glob_matches
from upstartd_clients.conditions import JOB_EVENTS, events, operators

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upstartd_clients.conditions import Event
    from upstartd_clients.interface import Condition, Conditions

# What the daemon emits itself.
OWN_EVENTS = JOB_EVENTS | {"startup", "debug", "control-alt-delete", "keyboard-request", "power-status-changed"}
SESSION_EVENT = "session-end"  # emitted by a user's own daemon only


class Complaint(NamedTuple):
    """What is unknown in a condition (`start on` or `stop on`): an event or a job, as `kind` says."""

    condition: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"  {self.condition}: unknown {self.kind} {self.name}"


class Checker:
    """Knows every job and event there is, and tells what of a condition is neither."""

    def __init__(self, jobs: Iterable[Conditions], known_events: Iterable[str] = (), *, warn: bool = False) -> None:
        """`known_events` are events besides those that jobs emit; `warn` has both sides of an `or` looked at."""
        self._known = {*OWN_EVENTS, *known_events}
        self._jobs = set()
        self._patterns = set()
        for job in jobs:
            self._jobs.add(job.name)
            self._patterns.update(job.emits)
        self._warn = warn

    def complaints(self, job: Conditions) -> Iterator[Complaint]:
        """One for each unknown event or job under the first operator that cannot hold, of either condition."""
        for words, condition in (("start on", job.start_on), ("stop on", job.stop_on)):
            for event in reversed(self._first_that_fails(condition)):
                for kind, name in self._unknown(event):
                    yield Complaint(words, kind, name)

    def _first_that_fails(self, condition: Condition) -> list[Event]:
        """The events below the operator that does not hold; outer ones are looked at first, and right sides before
        left ones, which is postfix order read backwards. Of a single event, that event. Else nothing."""
        leaves = events(condition)
        holds = [at in leaves and not any(self._unknown(leaves[at])) for at in range(len(condition))]
        found = operators(condition)
        for operator in found:
            left, right = holds[operator.right - 1], holds[operator.at - 1]
            holds[operator.at] = left and right if operator.word == "and" or self._warn else left or right
        for operator in reversed(found):
            if not holds[operator.at]:
                return [event for at, event in leaves.items() if operator.left <= at < operator.at]
        return list(leaves.values()) if holds == [False] else []

    def _unknown(self, event: Event) -> Iterator[tuple[str, str]]:
        """What of one event is unknown: the event, the job it is about, or both."""
        if event.name not in self._known:
            if any(glob_matches(pattern, event.name) for pattern in self._patterns):
                self._known.add(event.name)
            else:
                yield "event", event.name
        if event.job is not None and event.job not in self._jobs and not event.job.startswith("$"):
            yield "job", event.job
