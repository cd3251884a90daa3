"""A re-execution at any step of a random run changes nothing that a client sees afterwards.

Two engines get the same inputs. The state of one passes through text into a new engine whenever the run says so;
from then on both must ask for the same, in the same order. Only the calls that waited at such a moment are cut off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from hypothesis import settings
from hypothesis.stateful import rule

from support.engine_machine import EngineMachine
from upstartd.conf.model import JobFiles
from upstartd.engine import snapshot
from upstartd.engine.core import Engine
from upstartd.engine.effects import Effect, Reply, ReplyError
from upstartd.engine.world import World
from upstartd.state.codec import decode, encode

if TYPE_CHECKING:
    from upstartd.conf.model import Definition
    from upstartd.engine.inputs import Input
    from upstartd.engine.instance import Instance

TABLE, OWN = {"PATH": "/bin"}, {"N": "y"}


def shown(effect: Effect) -> object:
    """What of an effect can be compared: errors are told apart by what they say."""
    return (effect.caller, type(effect.error), effect.error.message) if isinstance(effect, ReplyError) else effect


class Twins:
    """An engine, and one that is re-executed now and then; to be used as one."""

    def __init__(self) -> None:
        self._one = Engine(World(TABLE, OWN))
        self._other = Engine(World(TABLE, OWN))
        self._cut_off: set[object] = set()
        # What the re-executed engine has in place of a definition that the test knows.
        self._definitions: dict[Definition, Definition] = {}

    @property
    def world(self) -> World:
        return self._one.world

    def next_deadline(self) -> float | None:
        due = self._one.next_deadline()
        assert self._other.next_deadline() == due
        return due

    def instance_by_name(self, job: str, name: str) -> Instance:
        return self._one.instance_by_name(job, name)

    def step(self, what: Input, now: float) -> list[Effect]:
        effects = self._one.step(what, now)
        if isinstance(what, JobFiles):
            what = JobFiles(what.name, tuple(self._definitions.get(each, each) for each in what.definitions))
        seen = [shown(effect) for effect in effects if not self._is_cut_off(effect)]
        assert [shown(effect) for effect in self._other.step(what, now)] == seen
        return effects

    def _is_cut_off(self, effect: Effect) -> bool:
        return isinstance(effect, Reply | ReplyError) and effect.caller in self._cut_off

    def re_execute(self) -> None:
        world = self._one.world
        self._cut_off |= {one.caller for each in world.instances.values() for one in each.waiting}
        self._cut_off |= {event.caller for event in world.queue.events.values()}
        before = snapshot.take(self._other)
        after = decode(snapshot.EngineState, json.loads(json.dumps(encode(before))))
        self._other = Engine(World(TABLE, OWN))
        snapshot.put(after, self._other)
        assert encode(snapshot.take(self._other)) == encode(before)
        renewed = dict(zip(before.definitions, after.definitions, strict=True))
        for known, mine in list(self._definitions.items()):
            self._definitions[known] = renewed.get(mine, mine)
        for known, mine in renewed.items():
            if known not in self._definitions.values():
                self._definitions[known] = mine


class ReexecutionMachine(EngineMachine):
    """The same random runs, with re-executions."""

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins()
        self.stage.engine = cast("Engine", self.twins)

    @rule()
    def the_daemon_executes_itself_anew(self) -> None:
        self.twins.re_execute()


TestReexecution = ReexecutionMachine.TestCase
TestReexecution.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
