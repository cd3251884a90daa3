"""What chroot sessions share with the daemon's own jobs, and with one another."""

from __future__ import annotations

import pytest

from upstartd.chroot_session import for_sessions
from upstartd.conf.model import Command, Definition, JobConfig, JobFiles, ProcessName
from upstartd.engine import effects, inputs
from upstartd.engine.core import Engine
from upstartd.engine.world import World

CALLER = object()
WEB = JobConfig(processes={ProcessName.MAIN: Command("sleep 99")})


@pytest.mark.parametrize(
    ("what", "theirs"),
    [
        (inputs.TimePassed(), inputs.TimePassed()),
        (inputs.EndSession("logout", CALLER), inputs.EndSession("logout")),
        (inputs.EndInOrder("6", announced=True), inputs.EndInOrder("6")),
        (inputs.SetEnvironment((), ("A=1",), True, CALLER), inputs.SetEnvironment((), ("A=1",), True, None)),
        (inputs.UnsetEnvironment((), ("A",), CALLER), inputs.UnsetEnvironment((), ("A",), None)),
        (inputs.ResetEnvironment((), CALLER), inputs.ResetEnvironment((), None)),
    ],
)
def test_what_concerns_the_daemon_as_a_whole_concerns_its_sessions(what: inputs.Input, theirs: inputs.Input) -> None:
    assert for_sessions(what) == theirs


@pytest.mark.parametrize(
    "what",
    [
        inputs.EmitEvent("go"),
        inputs.StartJob("web", (), False, CALLER),
        inputs.SetEnvironment(("web", ""), ("A=1",), True, CALLER),
        inputs.UnsetEnvironment(("web", ""), ("A",), CALLER),
        inputs.ResetEnvironment(("web", ""), CALLER),
        inputs.ProcessEnded(1, ProcessName.MAIN, status=0),
        JobFiles("web", ()),
    ],
)
def test_nothing_else_does(what: inputs.Input) -> None:
    assert for_sessions(what) is None


def start_web(engine: Engine) -> list[effects.Spawn]:
    engine.step(JobFiles("web", (Definition("web", WEB, "/web.conf"),)), 0)
    done = engine.step(inputs.StartJob("web", (), False, CALLER), 0)
    return [effect for effect in done if isinstance(effect, effects.Spawn)]


def test_engines_that_share_their_uids_never_give_one_twice() -> None:
    own = Engine(World({}, {}))
    boxed = Engine(World({}, {}, root="/srv/box", uids=own.world.uids))
    spawned = [*start_web(own), *start_web(boxed), *start_web(Engine(World({}, {}, uids=own.world.uids)))]
    assert [spawn.instance for spawn in spawned] == [1, 2, 3]


def test_processes_of_a_session_are_asked_for_with_its_root() -> None:
    assert [spawn.root for spawn in start_web(Engine(World({}, {}, root="/srv/box")))] == ["/srv/box"]
    assert [spawn.root for spawn in start_web(Engine(World({}, {})))] == [""]


def test_a_change_of_the_table_that_nobody_asked_for_is_made_and_answered_to_nobody() -> None:
    engine = Engine(World({"A": "first"}, {}))
    assert engine.step(inputs.SetEnvironment((), ("A=second",), True, None), 0) == [
        effects.UpdateActivationEnvironment((("A", "second"),))]
    assert engine.list_variables(()) == ["A=second"]
    assert engine.step(inputs.UnsetEnvironment((), ("A",), None), 0) == []
    assert engine.list_variables(()) == []
    assert engine.step(inputs.ResetEnvironment((), None), 0) == []
    assert engine.list_variables(()) == ["A=first"]
    assert engine.step(inputs.SetEnvironment((), ("=no name",), True, None), 0) == []


def test_an_engine_is_idle_that_knows_no_more_than_its_job_files_say() -> None:
    engine = Engine(World({}, {}))
    assert engine.is_idle
    start_web(engine)
    assert not engine.is_idle
    engine.step(inputs.ProcessForked(1, ProcessName.MAIN, 100), 0)
    engine.step(inputs.MainReady(1), 0)
    engine.step(inputs.ProcessEnded(1, ProcessName.MAIN, status=0), 0)
    assert engine.is_idle
