"""What the daemon tells of its own accord: its signals as typed values, kept until they are asked for.

Pure: upstart.py and aio.py do the waiting. Source: events specification, sections 1 and 10; lifecycle specification,
section 2; D-Bus specification, Message Bus.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd_clients.errors import BadAnswer, ConnectionLost
from upstartd_clients.interface import INSTANCE, JOB, MANAGER, PEER, call_of, name_in
from upstartd_clients.messages import BUS, BUS_PATH, Call

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from upstartd_clients.errors import ClientError
    from upstartd_clients.interface import Status
    from upstartd_clients.messages import RawSignal

MOST_KEPT = 100_000  # signals that nobody has asked for yet, before the follower is taken to have forgotten them


@dataclass(frozen=True, slots=True)
class EventEmitted:
    """An event is finished. `env` has its variables, each as KEY=VALUE."""

    name: str
    env: list[str]


@dataclass(frozen=True, slots=True)
class JobAdded:
    """There is a job of that name now."""

    job: str


@dataclass(frozen=True, slots=True)
class JobRemoved:
    """The job is not there any more."""

    job: str


@dataclass(frozen=True, slots=True)
class InstanceAdded:
    """A job has this instance now."""

    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class InstanceRemoved:
    """An instance of a job is at rest, and is not there any more."""

    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class GoalChanged:
    """What is wanted of an instance has changed: start, stop or respawn."""

    job: str
    instance: str
    goal: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """An instance has come to another state."""

    job: str
    instance: str
    state: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A process of an instance has failed. `status` is its exit status, or what waitpid(2) gives for a signal."""

    job: str
    instance: str
    status: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """The daemon has executed itself anew."""


Signal = (EventEmitted | JobAdded | JobRemoved | InstanceAdded | InstanceRemoved | GoalChanged | StateChanged | Failed
          | Restarted)


def _of_manager(_: str, *values: Any) -> tuple[Any, ...]:
    return values


def _of_objects(_: str, path: str) -> tuple[str, ...]:
    """The names in the path that is the signal's one value."""
    return _names(path)


def _of_instance(path: str, value: Any) -> tuple[Any, ...]:
    return (*_names(path), value)


# (interface, member): the signature, what it becomes, and what that is made of, from the object's path and the values.
SIGNALS: dict[tuple[str, str], tuple[str, type[Signal], Callable[..., tuple[Any, ...]]]] = {
    (MANAGER, "EventEmitted"): ("sas", EventEmitted, _of_manager),
    (MANAGER, "JobAdded"): ("o", JobAdded, _of_objects),
    (MANAGER, "JobRemoved"): ("o", JobRemoved, _of_objects),
    (MANAGER, "Restarted"): ("", Restarted, _of_manager),
    (JOB, "InstanceAdded"): ("o", InstanceAdded, _of_objects),
    (JOB, "InstanceRemoved"): ("o", InstanceRemoved, _of_objects),
    (INSTANCE, "GoalChanged"): ("s", GoalChanged, _of_instance),
    (INSTANCE, "StateChanged"): ("s", StateChanged, _of_instance),
    (INSTANCE, "Failed"): ("i", Failed, _of_instance),
}
_JOBS = "/com/ubuntu/Upstart/jobs/"


def _names(path: str) -> tuple[str, ...]:
    """The names of the job, and of its instance, that a path is about."""
    return tuple(name_in(element) for element in path.removeprefix(_JOBS).split("/"))


def signal_of(raw: RawSignal) -> Signal | None:
    """What a signal means; None if it is none of the daemon's interface, BadAnswer if its values are not as there."""
    found = SIGNALS.get((raw.interface, raw.member))
    if found is None:
        return None
    signature, kind, values = found
    if raw.signature != signature:
        raise BadAnswer(f'cannot understand Upstart: signal {raw.member} has "{raw.signature}", not "{signature}"')
    try:
        return kind(*values(raw.path, *raw.values))
    except TypeError:
        raise BadAnswer(f"cannot understand Upstart: signal {raw.member} is about {raw.path}") from None


class Following:
    """What one follower gets of the signals that come. `name` is the daemon's on the bus."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._owner = ""  # who has that name; empty where there is no bus
        self._kept: deque[RawSignal] = deque()
        self._end: ClientError | None = None

    def first_calls(self, *, on_bus: bool) -> list[Call]:
        """What is to be called, in order, so that signals come; the last one's answer is for begin()."""
        if on_bus:
            return [*(Call(BUS_PATH, BUS, "AddMatch", "s", (rule,), destination=BUS) for rule in self._rules()),
                    Call(BUS_PATH, BUS, "GetNameOwner", "s", (self._name,), "s", BUS)]
        # Signals come by themselves, to those who are known to be there: after this, we are.
        return [call_of("/", PEER, "Ping")]

    def last_calls(self, *, on_bus: bool) -> list[Call]:
        """What is to be called so that no more come."""
        return [Call(BUS_PATH, BUS, "RemoveMatch", "s", (rule,), destination=BUS)
                for rule in (self._rules() if on_bus else ())]

    def _rules(self) -> tuple[str, ...]:
        return (f"type='signal',sender='{self._name}'",
                f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{self._name}'")

    def begin(self, answer: tuple[Any, ...]) -> None:
        """Give from now on what the daemon says, of which the bus has told who it is. What came before is old."""
        self._owner = answer[0] if answer else ""
        self._kept = deque(raw for raw in self._kept if self._is_leave(raw))

    def _is_leave(self, raw: RawSignal) -> bool:
        """Whether the bus says that the daemon has left it."""
        return ((raw.interface, raw.member, raw.sender, raw.values[:1]) == (BUS, "NameOwnerChanged", BUS, (self._name,))
                and raw.values[2] != self._owner)

    def take(self, raw: RawSignal) -> None:
        """Keep a signal that has come."""
        if len(self._kept) == MOST_KEPT:
            self.end(ConnectionLost(f"cannot follow Upstart: {MOST_KEPT} signals wait to be looked at"))
        elif self._end is None:
            self._kept.append(raw)

    def end(self, why: ClientError) -> None:
        """Have next() raise this when all that came before has been given."""
        self._end = self._end or why

    def next(self) -> Signal | None:
        """The oldest signal that was not given yet; None if there is none now.

        ConnectionLost if there will be none, as when the daemon has left the bus.
        """
        while self._kept:
            raw = self._kept.popleft()
            if self._is_leave(raw):
                self._kept.clear()
                self._end = ConnectionLost(f"lost the connection to Upstart: it has left the bus ({self._name})")
            elif (not self._owner or raw.sender == self._owner) and (signal := signal_of(raw)) is not None:
                return signal
        if self._end is not None:
            raise self._end
        return None


def is_in(status: Status | None, state: str) -> bool:
    """Whether an instance with that status is in that state; one that is not there is at rest."""
    return (status.state if status else "waiting") == state


def reaches(signal: Signal, job: str, instance: str, state: str) -> bool:
    """Whether a signal tells that an instance has come to that state; one that goes comes to rest."""
    come = [StateChanged(job, instance, state)]
    return signal in (come if state != "waiting" else [*come, InstanceRemoved(job, instance), JobRemoved(job)])
