"""Everything that can happen to the engine, in any order: random runs for property tests.

What holds after every step is Stage.check(): no lost process, nothing blocked without a blocker, every call
answered once, every instance at rest for a reason, every state change in the table.
"""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from support.stage import Stage
from upstartd.conf.model import (
    Command,
    Condition,
    Definition,
    EventPattern,
    Expect,
    JobConfig,
    Operator,
    ProcessName,
    RespawnLimit,
)
from upstartd.engine import inputs
from upstartd.errors import UpstartdError

JOBS = ("web", "db", "log")
EVENTS = ("a", "b", "c", "starting", "started", "stopping", "stopped", "a/failed", "session-end")
PROCESSES = tuple(name for name in ProcessName if name is not ProcessName.SECURITY)
jobs = st.sampled_from(JOBS)
instance_names = st.sampled_from(["", "x", "y"])
arguments = st.sampled_from(["", "JOB=web", "JOB=db", "JOB!=log", "N=x", "x", "*", "$N", "${N:-x}"])
environments = st.lists(st.sampled_from(["N=x", "N=y", "A=1", "A=${B}", "=e"]), max_size=2).map(tuple)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """No condition, or one of up to four operands joined in any shape."""
    count = draw(st.integers(0, 4))
    postfix: list[EventPattern | Operator] = []
    depth = 0
    while count or depth > 1:
        if count and (depth < 2 or draw(st.booleans())):
            argument = draw(arguments)
            postfix.append(EventPattern(draw(st.sampled_from(EVENTS)), (argument,) if argument else ()))
            count, depth = count - 1, depth + 1
        else:
            postfix.append(draw(st.sampled_from(Operator)))
            depth -= 1
    return tuple(postfix)


configs = st.builds(
    JobConfig,
    instance=st.sampled_from(["", "", "$N", "${N:-x}"]),
    env=st.sampled_from([(), ("N=x",), ("N",), ("B=2", "A=1")]),
    export=st.sampled_from([(), ("N", "A", "JOB")]),
    start_on=conditions(),
    stop_on=conditions(),
    processes=(st.just(set(PROCESSES)) | st.just({ProcessName.MAIN, ProcessName.PRE_STOP})
               | st.sets(st.sampled_from(PROCESSES))).map(lambda names: {name: Command("true") for name in names}),
    expect=st.sampled_from(Expect),
    task=st.booleans(),
    respawn=st.booleans(),
    respawn_limit=st.sampled_from([RespawnLimit(), RespawnLimit(1, 2), RespawnLimit(0, 0)]),
    normal_exit_statuses=st.sampled_from([frozenset(), frozenset({0}), frozenset({1})]),
    normal_exit_signals=st.sampled_from([frozenset(), frozenset({15})]),
    kill_timeout=st.sampled_from([0, 1, 5]),
)


class EngineMachine(RuleBasedStateMachine):
    """Everything that can happen to the engine, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage({"PATH": "/bin"}, {"N": "y"})
        self.stage.flooded = reject  # jobs that start one another without end have a test of their own

    @initialize(first=configs, second=configs)
    def there_are_jobs(self, first: JobConfig, second: JobConfig) -> None:
        self.stage.define("web", first)
        self.stage.define("db", second)

    @rule(name=jobs, config=configs)
    def a_file_is_read(self, name: str, config: JobConfig) -> None:
        self.stage.define(name, config)

    @rule(name=jobs, first=configs, second=configs, swap=st.booleans())
    def two_directories_have_it(self, name: str, first: JobConfig, second: JobConfig, swap: bool) -> None:
        one, two = Definition(name, first, "/one"), Definition(name, second, "/two")
        self.stage.files(name, two)
        self.stage.files(name, one, two)
        if swap:
            self.stage.files(name, two)

    @rule(name=jobs)
    def a_file_is_deleted(self, name: str) -> None:
        self.stage.define(name, None)

    @rule(kind=st.sampled_from([inputs.StartJob, inputs.StopJob, inputs.RestartJob]), name=jobs, env=environments,
          wait=st.booleans())
    def a_job_method_is_called(self, kind: type, name: str, env: tuple[str, ...], wait: bool) -> None:
        self.stage.call(kind, name, env, wait)

    @rule(kind=st.sampled_from([inputs.StartInstance, inputs.StopInstance, inputs.RestartInstance]), name=jobs,
          instance=instance_names, wait=st.booleans())
    def an_instance_method_is_called(self, kind: type, name: str, instance: str, wait: bool) -> None:
        self.stage.call(kind, name, instance, wait)

    @rule(name=jobs, instance=instance_names)
    def a_reload_is_asked_for(self, name: str, instance: str) -> None:
        self.stage.call(inputs.ReloadInstance, name, instance)

    @rule(name=st.sampled_from(EVENTS), env=environments, wait=st.booleans())
    def an_event_is_emitted(self, name: str, env: tuple[str, ...], wait: bool) -> None:
        self.stage.emit(name, *env, wait=wait)

    @rule(data=st.data(), status=st.sampled_from([None, 0, 0, 1, 2]), signal=st.sampled_from([None, None, 15, 9]))
    def a_process_ends(self, data: st.DataObject, status: int | None, signal: int | None) -> None:
        if self.stage.processes:
            self.stage.end_process(data.draw(st.sampled_from(sorted(self.stage.processes))), status, signal)

    @rule(data=st.data())
    def main_is_ready(self, data: st.DataObject) -> None:
        mains = sorted(uid for uid, process in self.stage.processes if process is ProcessName.MAIN)
        if mains:
            self.stage.step(inputs.MainReady(data.draw(st.sampled_from(mains))))

    @rule(data=st.data())
    def a_process_cannot_be_spawned(self, data: st.DataObject) -> None:
        if self.stage.processes:
            self.stage.spawn_fails(data.draw(st.sampled_from(sorted(self.stage.processes))))

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.pass_time(seconds)

    @rule(kind=st.sampled_from(["set", "unset", "reset"]),
          details=st.sampled_from([(), ("web", ""), ("db", "x"), ("",), ("web",)]))
    def an_environment_is_changed(self, kind: str, details: tuple[str, ...]) -> None:
        match kind:
            case "set":
                self.stage.call(inputs.SetEnvironment, details, ("N=y", "A"), True)
            case "unset":
                self.stage.call(inputs.UnsetEnvironment, details, ("N",))
            case _:
                self.stage.call(inputs.ResetEnvironment, details)

    @rule(what=st.sampled_from([inputs.EndSession("logout"), inputs.EndSession("shutdown"), inputs.EndInOrder()]),
          dice=st.integers(1, 20))
    def the_end_begins(self, what: inputs.Input, dice: int) -> None:
        if dice == 20:
            self.stage.step(what)

    @rule(name=jobs, steps=st.integers(1, 12))
    def a_job_gets_on_well(self, name: str, steps: int) -> None:
        """Its processes do what they are for, one after the other: the way to the states far from the start."""
        self.stage.start(name, "N=x", wait=False)
        for _ in range(steps):
            found = sorted(key for key, one in self.stage.processes.items() if one.spawn.job_name == name)
            if not found:
                break
            uid, process = found[-1]
            if process is not ProcessName.MAIN:
                self.stage.end_process((uid, process))
            else:
                self.stage.step(inputs.MainReady(uid))

    @rule()
    def every_process_ends_and_every_instance_is_stopped(self) -> None:
        """However the world was, what is told to stop and whose processes end does not keep any process."""
        for uid in list(self.stage.engine.world.instances):
            one = self.stage.engine.world.instances.get(uid)
            if one is not None:
                self.stage.call(inputs.StopInstance, one.job_class.name, one.name, False)
        for _ in range(200):
            if not self.stage.processes:
                break
            self.stage.end_process(min(self.stage.processes))
            self.stage.pass_time(30.0)

    def teardown(self) -> None:
        errors = [answer for answer in self.stage.answers.values() if isinstance(answer, UpstartdError)]
        assert all(error.message and error.dbus_name for error in errors)
