"""A stage for the engine: everything around it, played by the test. No process, no clock, no bus.

`Stage` gives the engine inputs, keeps what it asks for (processes, answers, announcements, files), and checks
after every step that nothing is lost. Tests read `news` (announcements and answers as short strings, in the
order in which clients see them; `story()` joins the states) and `answers`. What the jobs of a test say is
written with support/jobs.py.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upstartd.conf.model import Definition, EventPattern, JobConfig, JobFiles, ProcessName
from upstartd.engine import effects, inputs
from upstartd.engine.core import Engine
from upstartd.engine.states import TRANSITIONS, WITHOUT_MAIN, Goal, State
from upstartd.engine.world import World
from upstartd.errors import UpstartdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.engine.effects import InstanceRef
    from upstartd.engine.instance import Instance
    from upstartd.log import Priority


_STATE_WORDS = frozenset(state.word for state in State)
# The way after `starting`, to where pre-start or main is awaited; the rest of the way up; and the way down.
TO_PRE_START = "security-spawning security pre-starting pre-start"
TO_SPAWNED = f"{TO_PRE_START} spawning spawned"
TO_RUNNING = "post-starting post-start running"
TO_POST_STOP = "stopping killed post-stopping post-stop"


def starts(name: str) -> list[str]:
    """The story of a job with main only, started with nobody in the way, up to where main is awaited."""
    return [
        f"{name}/ added",
        f"{name}/ goal start",
        f"{name}/ starting {TO_SPAWNED}",
        f"event starting JOB={name} INSTANCE=",
    ]


def ends(name: str) -> list[str]:
    """The story of such a job whose main has ended by itself, well, and for whom nobody waits."""
    return [
        f"{name}/ goal stop",
        f"{name}/ {TO_POST_STOP} waiting",
        f"{name}/ removed",
        f"event stopping JOB={name} INSTANCE= RESULT=ok",
        f"event stopped JOB={name} INSTANCE= RESULT=ok",
    ]


@dataclass
class Process:
    """A process that the engine asked for and that has not ended."""

    spawn: effects.Spawn
    pid: int
    signals: list[int] = field(default_factory=list)


class Stage:
    """An engine and the world it believes in."""

    def __init__(
        self,
        environment: dict[str, str] | None = None,
        own: dict[str, str] | None = None,
        session_address: str | None = None,
        *,
        apparmor: bool = False,
    ) -> None:
        table = {"PATH": "/bin"} if environment is None else environment
        self.engine = Engine(World(table, table if own is None else own, session_address, apparmor=apparmor))
        self.now = 1000.0
        self.processes: dict[tuple[int, ProcessName], Process] = {}
        self.news: list[str] = []
        self.log: list[tuple[Priority, str]] = []
        self.answers: dict[str, InstanceRef | UpstartdError | None] = {}
        self.closed: list[int] = []
        self.ended: int | None = None
        self.asked: set[str] = set()
        self.flooded: Callable[[], object] = lambda: None
        self._files: dict[str, tuple[Definition, ...]] = {}
        self._states: dict[str, State] = {}
        self._pids = itertools.count(100)
        self._callers = itertools.count(1)

    @classmethod
    def of(cls, **jobs: JobConfig) -> Stage:
        """A stage with these jobs, before anything has happened to them."""
        stage = cls()
        for name, config in jobs.items():
            stage.define(name, config)
        stage.take_news()
        return stage

    # -- what happens -----------------------------------------------------------------------------------

    def define(self, name: str, config: JobConfig | None, path: str = "/jobs") -> None:
        """The one file of a job is read, or (None) is gone."""
        definitions = () if config is None else (Definition(name, config, f"{path}/{name}.conf"),)
        self.files(name, *definitions)

    def files(self, name: str, *definitions: Definition) -> None:
        self.step(JobFiles(name, definitions))

    def call(self, kind: type, *arguments: object, **named: object) -> str:
        """A method call; gives the call's name, under which `answers` and `news` will have the answer."""
        caller = f"call {next(self._callers)}"
        self.asked.add(caller)
        self.step(kind(*arguments, **named, caller=caller))
        return caller

    def start(self, job: str, *env: str, wait: bool = True) -> str:
        return self.call(inputs.StartJob, job, env, wait)

    def stop(self, job: str, *env: str, wait: bool = True) -> str:
        return self.call(inputs.StopJob, job, env, wait)

    def restart(self, job: str, *env: str, wait: bool = True) -> str:
        return self.call(inputs.RestartJob, job, env, wait)

    def emit(self, name: str, *env: str, wait: bool = True, file: int | None = None) -> str:
        return self.call(inputs.EmitEvent, name, env, wait, file)

    def error(self, call: str) -> tuple[str, str]:
        """The error that a call was answered with: what kind, and its message."""
        answer = self.answers[call]
        assert isinstance(answer, UpstartdError), f"{call} was answered well"
        return type(answer).__name__, answer.message

    def instance(self, job: str, name: str = "") -> Instance:
        return self.engine.instance_by_name(job, name)

    def process(self, job: str, process: str = "main", instance: str = "") -> Process:
        return self.processes[self.instance(job, instance).uid, ProcessName(process)]

    def ready(self, job: str, instance: str = "") -> None:
        self.step(inputs.MainReady(self.instance(job, instance).uid))

    def end(self, job: str, process: str = "main", status: int | None = 0, signal: int | None = None,
            instance: str = "") -> None:
        self.end_process((self.instance(job, instance).uid, ProcessName(process)), status, signal)

    def end_process(self, key: tuple[int, ProcessName], status: int | None = 0, signal: int | None = None) -> None:
        del self.processes[key]
        self.step(inputs.ProcessEnded(*key, None if signal else status, signal))

    def spawn_fails(self, key: tuple[int, ProcessName]) -> None:
        del self.processes[key]
        self.step(inputs.SpawnFailed(*key, "unable to execute: No such file or directory"))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, waking the engine when it has asked for that and at the end."""
        end = self.now + seconds
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.step(inputs.TimePassed())
        self.now = end
        self.step(inputs.TimePassed())

    def run_up(self, job: str, *env: str, instance: str = "") -> None:
        """Start a job that has a main process and nothing to run before it, and have that ready."""
        self.start(job, *env)
        self.ready(job, instance)

    # -- what follows -----------------------------------------------------------------------------------

    def step(self, what: inputs.Input) -> None:
        forked: list[tuple[int, ProcessName, int]] = []
        for effect in self.engine.step(what, self.now):
            match effect:
                case effects.Spawn():
                    key = effect.instance, effect.process
                    assert key not in self.processes, f"{key} is spawned twice"
                    self.processes[key] = Process(effect, next(self._pids))
                    forked.append((*key, self.processes[key].pid))
                case effects.KillProcess():
                    self.processes[effect.instance, effect.process].signals.append(effect.signal)
                case effects.Reply():
                    self._answer(effect.caller, effect.value)
                case effects.ReplyError():
                    self._answer(effect.caller, effect.error)
                case effects.ReloadProcess():
                    self.processes[effect.instance, ProcessName.MAIN].signals.append(effect.signal)
                    self._answer(effect.caller, None)
                case effects.CloseFile():
                    assert effect.file not in self.closed, f"{effect.file} is closed twice"
                    self.closed.append(effect.file)
                case effects.LogLine():
                    self.log.append((effect.priority, effect.text))
                case effects.EndDaemon():
                    self.ended = effect.status
                case effects.UpdateActivationEnvironment() | effects.KillLeftovers():
                    pass  # of no concern to the engine's own state
                case _:
                    self._announce(effect)
        self.check()
        for key_and_pid in forked:
            self.step(inputs.ProcessForked(*key_and_pid))

    def _answer(self, caller: object, answer: InstanceRef | UpstartdError | None) -> None:
        assert isinstance(caller, str)
        assert caller not in self.answers, f"{caller} is answered twice"
        self.answers[caller] = answer
        self.news.append(f"{caller} refused: {answer}" if isinstance(answer, UpstartdError) else f"{caller} answered")

    def _announce(self, effect: effects.Announcement) -> None:
        match effect:
            case effects.JobAdded(job):
                self.news.append(f"{job} added")
            case effects.JobRemoved(job):
                self.news.append(f"{job} removed")
            case effects.InstanceAdded(job, instance):
                self.news.append(f"{job}/{instance} added")
                self._states[f"{job}/{instance}"] = State.WAITING
            case effects.InstanceRemoved(job, instance):
                self.news.append(f"{job}/{instance} removed")
            case effects.GoalChanged(job, instance, goal):
                self.news.append(f"{job}/{instance} goal {goal.word}")
            case effects.StateChanged(job, instance, state):
                old, new = self._states[f"{job}/{instance}"], state
                tables = (TRANSITIONS, WITHOUT_MAIN)
                ways = {table.get((old, goal)) for table in tables for goal in Goal}
                assert new in ways, f"{old} -> {new} is not in the table"
                self._states[f"{job}/{instance}"] = new
                self.news.append(f"{job}/{instance} {state.word}")
            case effects.Failed(job, instance, status):
                self.news.append(f"{job}/{instance} failed {status}")
            case effects.EventEmitted(name, env):
                self.news.append(" ".join(["event", name, *env]))

    def take_news(self) -> list[str]:
        """What was announced and answered since the last time."""
        news, self.news = self.news, []
        return news

    def story(self) -> list[str]:
        """The same, with the states that an instance goes through without a break in one line."""
        lines: list[str] = []
        last = None
        for line in self.take_news():
            who, _, state = line.partition(" ")
            is_state = "/" in who and state in _STATE_WORDS
            if is_state and who == last:
                lines[-1] += f" {state}"
            else:
                lines.append(line)
            last = who if is_state else None
        return lines

    # -- what always holds ------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what must be true between any two steps."""
        world = self.engine.world
        if not world.queue.is_at_rest:
            self.flooded()  # jobs start one another without end: the rest is true again when that is over
            return
        instances = world.instances
        assert set(self.processes) == {(one.uid, name) for one in instances.values() for name in one.pids}, \
            "a process is lost, or an instance believes in one that is not there"
        holds: dict[int, int] = {}
        for job_class in world.classes.values():
            for event in job_class.start_places.filled.values():
                holds[event.number] = holds.get(event.number, 0) + 1
            assert all(one.job_class is job_class for one in job_class.instances.values())
        for one in instances.values():
            assert world.classes[one.job_class.name].instances[one.name] is one
            for event in [*one.stop_places.filled.values(), *one.holding]:
                holds[event.number] = holds.get(event.number, 0) + 1
            self._check_rest(one)
        assert set(holds) == set(world.queue.events), "an event is blocked by nobody, or held but forgotten"
        for number, event in world.queue.events.items():
            assert event.offered
            assert event.holds == holds[number]
        waiting = [one.caller for instance in instances.values() for one in instance.waiting]
        waiting += [event.caller for event in world.queue.events.values() if event.caller is not None]
        assert len(waiting) == len(set(waiting))
        assert set(waiting) == self.asked - set(self.answers), "a caller is forgotten, or answered and still waiting"
        for table, who, condition in (
            (world._start_index, world.classes.values(), "start_on"), (world._stop_index, instances.values(), "stop_on")
        ):
            entries = {(name, one) for name, ones in table.items() for one in ones}
            assert entries == {(part.name, one) for one in who for part in getattr(one.config, condition)
                               if isinstance(part, EventPattern)}

    def _check_rest(self, one: Instance) -> None:
        """Whether the instance has a reason to be where it is."""
        queued = self.engine.world.queue.events.values()
        reasons = {
            State.STARTING: one.awaited in queued,
            State.SECURITY: ProcessName.SECURITY in one.pids,
            State.PRE_START: ProcessName.PRE_START in one.pids,
            State.SPAWNED: ProcessName.MAIN in one.pids,
            State.POST_START: ProcessName.POST_START in one.pids,
            State.RUNNING: one.goal is Goal.START,
            State.PRE_STOP: ProcessName.PRE_STOP in one.pids,
            State.STOPPING: one.awaited in queued,
            State.KILLED: ProcessName.MAIN in one.pids,
            State.POST_STOP: ProcessName.POST_STOP in one.pids,
        }
        assert reasons.get(one.state), f"{one.title} rests in {one.state} for no reason"
        assert (one.goal is Goal.RESPAWN) <= (one.state in (State.POST_START, State.PRE_STOP))
        assert (one.goal is Goal.RESTART) <= (one.state is State.PRE_STOP)
        assert (one.awaited is not None) is (one.state in (State.STARTING, State.STOPPING))
        if one.awaited is not None:
            assert one.awaited.blocks is one
        if one.state is State.KILLED:
            main = self.processes[one.uid, ProcessName.MAIN]
            due = one.uid in self.engine.world.timers.deadlines()
            assert main.signals, "main was never told to end"
            assert due or 9 in main.signals, "main will never be killed"
