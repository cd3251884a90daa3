"""All that the engine knows, as values: taken from one engine, put into another.

What a re-execution hands on, so what a client sees afterwards is what it would have seen without; only the
callers that wait are not in it, since their connections end. Between two steps every event has been offered and
is held by somebody, unless there were too many for one step. Not responsible for the text that the values become
(state/). Source: runtime specification, 9.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - state/codec.py reads the annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd.conf.model import Definition, ProcessName  # noqa: TC001 - as above
from upstartd.engine import environment
from upstartd.engine.condition import Places
from upstartd.engine.ending import Progress  # noqa: TC001 - as above
from upstartd.engine.event import Event
from upstartd.engine.instance import Failure, Instance, Supplies
from upstartd.engine.job_class import JobClass
from upstartd.engine.states import Goal, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upstartd.engine.core import Engine
    from upstartd.engine.world import World


class SnapshotError(ValueError):
    """A state that cannot have been taken from an engine: it contradicts itself. The message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventState:
    """An event that is held, or that its turn has not come to yet. `blocks` is the uid of an instance."""

    id: int
    name: str
    env: tuple[str, ...] = ()
    failed: bool = False
    offered: bool = True
    blocks: int | None = None
    file: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """An instance. Events are named by their ids, places by their index in the condition."""

    uid: int
    name: str
    goal: Goal
    state: State
    env: tuple[str, ...] = ()
    files: tuple[int, ...] = ()
    next_env: tuple[str, ...] | None = None
    next_files: tuple[int, ...] = ()
    stop_env: tuple[str, ...] = ()
    pids: Mapping[ProcessName, int | None]
    failure: Failure | None = None
    holding: tuple[int, ...] = ()
    awaited: int | None = None
    stop_places: Mapping[int, int]
    respawns: int = 0
    respawn_window: int | None = None
    kill_due: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassState:
    """A job. Definitions are named by their index; the path of the one in force is there for readers."""

    name: str
    path: str
    definition: int
    definitions: tuple[int, ...] = ()
    start_places: Mapping[int, int]
    jobs: tuple[InstanceState, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """Everything. Times are seconds of the monotonic clock, which goes on over a re-execution."""

    job_environment: tuple[str, ...]
    events: tuple[EventState, ...]
    last_event: int
    event_at: int = 0
    definitions: tuple[Definition, ...]
    job_classes: tuple[ClassState, ...]
    last_uid: int
    may_start: bool
    may_respawn: bool
    ending: Progress
    ending_due: float | None


# -- taking ---------------------------------------------------------------------------------------------------


def take(engine: Engine) -> EngineState:
    """The state of an engine between two steps."""
    world = engine.world
    due = world.timers.deadlines()
    definitions: dict[Definition, int] = {}
    for job_class in world.classes.values():
        for definition in (job_class.definition, *job_class.definitions):
            definitions.setdefault(definition, len(definitions))
    return EngineState(
        job_environment=_strings(world.environment),
        events=tuple(_take_event(event) for event in world.queue.events.values()),
        last_event=world.queue.last_number,
        event_at=world.queue.at,
        definitions=tuple(definitions),
        job_classes=tuple(
            ClassState(
                name=one.name,
                path=one.definition.path,
                definition=definitions[one.definition],
                definitions=tuple(definitions[each] for each in one.definitions),
                start_places=_take_places(one.start_places),
                jobs=tuple(_take_instance(each, due.get(each.uid)) for each in one.instances.values()),
            )
            for one in world.classes.values()
        ),
        last_uid=world.uids.last,
        may_start=world.may_start,
        may_respawn=world.may_respawn,
        ending=engine.ending.progress,
        ending_due=due.get(engine.ending),
    )


def waiting_callers(engine: Engine) -> int:
    """How many callers wait for an answer, which no state can have."""
    world = engine.world
    waiting = sum(len(instance.waiting) for instance in world.instances.values())
    return waiting + sum(event.caller is not None for event in world.queue.events.values())


def _strings(variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in variables.items())


def _take_places(places: Places) -> dict[int, int]:
    return {place: event.number for place, event in places.filled.items()}


def _take_event(event: Event) -> EventState:
    return EventState(
        id=event.number,
        name=event.name,
        env=event.env,
        failed=event.failed,
        offered=event.offered,
        blocks=event.blocks.uid if event.blocks is not None else None,
        file=event.file,
    )


def _take_instance(instance: Instance, kill_due: float | None) -> InstanceState:
    following = instance.next_supplies
    return InstanceState(
        uid=instance.uid,
        name=instance.name,
        goal=instance.goal,
        state=instance.state,
        env=_strings(instance.supplies.environment),
        files=instance.supplies.files,
        next_env=_strings(following.environment) if following is not None else None,
        next_files=following.files if following is not None else (),
        stop_env=_strings(instance.stop_environment),
        pids=dict(instance.pids),
        failure=instance.failure,
        holding=tuple(event.number for event in instance.holding),
        awaited=instance.awaited.number if instance.awaited is not None else None,
        stop_places=_take_places(instance.stop_places),
        respawns=instance.respawns,
        respawn_window=instance.respawn_window,
        kill_due=kill_due,
    )


# -- putting --------------------------------------------------------------------------------------------------


def put(state: EngineState, engine: Engine) -> None:
    """Make an engine that has not taken a step yet the one that `state` was taken from.

    Raises SnapshotError where the state contradicts itself; the engine is of no use then.
    """
    world = engine.world
    world.environment = environment.pairs(state.job_environment)
    world.uids.last = state.last_uid
    world.may_start, world.may_respawn = state.may_start, state.may_respawn
    engine.ending.progress = state.ending
    if state.ending_due is not None:
        world.timers.arm(engine.ending, state.ending_due)
    events = {}
    for each in state.events:
        event = Event(each.name, each.env, file=each.file)
        event.number, event.failed, event.offered = each.id, each.failed, each.offered
        events[each.id] = event
        world.hold_files(() if each.file is None else (each.file,))
    for one in state.job_classes:
        _put_class(world, one, state.definitions, events)
    world.instances = dict(sorted(world.instances.items()))  # the order in which they came to be
    for each in state.events:
        if each.blocks is not None:
            _put_blocked(world, events[each.id], each.blocks)
    if len(events) != len(state.events) or any(number > state.last_event for number in events):
        raise SnapshotError("the numbers of the events are wrong")
    if any(uid > state.last_uid for uid in world.instances):
        raise SnapshotError("the numbers of the instances are wrong")
    for instance in world.instances.values():
        if not engine.rests(instance):
            raise SnapshotError(f"{instance.title}: nothing holds it in {instance.state.word}")
    world.queue.restore(events.values(), state.last_event, state.event_at)


def _put_class(
    world: World, state: ClassState, definitions: Sequence[Definition], events: Mapping[int, Event]
) -> None:
    if not all(0 <= index < len(definitions) for index in (state.definition, *state.definitions)):
        raise SnapshotError(f"job {state.name}: there is no such definition")
    definition = definitions[state.definition]
    known = tuple(definitions[index] for index in state.definitions)
    if definition.name != state.name or state.name in world.classes:
        raise SnapshotError(f"job {state.name}: it is there twice, or by two names")
    job_class = JobClass(definition, known, world.queue)
    world.add_class(job_class)
    _put_places(world, job_class.start_places, state.start_places, events, state.name)
    for each in state.jobs:
        _put_instance(world, job_class, each, events)


def _event(events: Mapping[int, Event], number: int, who: str) -> Event:
    if number not in events:
        raise SnapshotError(f"{who}: there is no event {number}")
    return events[number]


def _put_places(
    world: World, places: Places, state: Mapping[int, int], events: Mapping[int, Event], who: str
) -> None:
    for place, number in state.items():
        if not places.is_operand(place):
            raise SnapshotError(f"{who}: its condition has no place {place}")
        places.filled[place] = _event(events, number, who)
        world.queue.hold(places.filled[place])


def _put_instance(world: World, job_class: JobClass, state: InstanceState, events: Mapping[int, Event]) -> None:
    if state.name in job_class.instances or state.uid in world.instances or state.state is State.WAITING:
        raise SnapshotError(f"{job_class.name} ({state.name}): it is there twice, or at rest")
    instance = Instance(state.uid, job_class, state.name, Places(job_class.config.stop_on, world.queue))
    instance.goal, instance.state = state.goal, state.state
    instance.supplies = Supplies(environment.pairs(state.env), state.files)
    world.hold_files(state.files)
    if state.next_env is not None:
        instance.next_supplies = Supplies(environment.pairs(state.next_env), state.next_files)
        world.hold_files(state.next_files)
    instance.stop_environment = environment.pairs(state.stop_env)
    instance.pids = dict(state.pids)
    instance.failure = state.failure
    instance.respawns, instance.respawn_window = state.respawns, state.respawn_window
    world.add_instance(instance)
    _put_places(world, instance.stop_places, state.stop_places, events, instance.title)
    for number in state.holding:
        instance.holding.append(_event(events, number, instance.title))
        world.queue.hold(instance.holding[-1])
    if state.awaited is not None:
        instance.awaited = _event(events, state.awaited, instance.title)
    if state.kill_due is not None:
        world.timers.arm(instance.uid, state.kill_due)


def _put_blocked(world: World, event: Event, uid: int) -> None:
    instance = world.instances.get(uid)
    if instance is None or instance.awaited is not event:
        raise SnapshotError(f"event {event.number}: nobody waits for it")
    event.blocks = instance
