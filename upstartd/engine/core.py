"""The engine: takes one input at a time and gives the effects that follow from it, in order.

`step` handles the input as far as the states go, then runs the queue of events until it is empty or
everything in it is held. It knows no clock, no process, no file and no bus. Source: lifecycle specification,
sections 2 and 12; events specification, sections 3, 4 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.conf.model import JobFiles, ProcessName
from upstartd.engine import environment, inputs
from upstartd.engine.effects import (
    EventEmitted,
    InstanceRef,
    ReloadProcess,
    Reply,
    ReplyError,
    UpdateActivationEnvironment,
)
from upstartd.engine.ending import Ending
from upstartd.engine.expansion import ExpansionError, expand
from upstartd.engine.instance import Instance, Request, Waiting
from upstartd.engine.lifecycle import Lifecycle
from upstartd.engine.offering import Offering
from upstartd.engine.states import Goal
from upstartd.errors import (
    AlreadyStarted,
    AlreadyStopped,
    EventFailed,
    InvalidArgs,
    NotRunning,
    PermissionDenied,
    UnknownInstance,
    UnknownJob,
    UnknownJobInstance,
    UpstartdError,
)
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from upstartd.engine.effects import Effect
    from upstartd.engine.event import Event
    from upstartd.engine.inputs import Caller, Input
    from upstartd.engine.job_class import JobClass
    from upstartd.engine.world import World


# Jobs can start and stop one another without end. After so many events (more than sensible jobs make) anything else
# gets its turn, and from then on there are few at a time, with a pause: everybody who listens has to read of them.
_MOST_EVENTS = 10_000
_FLOOD_EVENTS = 500
_FLOOD_PAUSE = 0.05  # seconds


class Engine:
    """The pure core of the daemon: moves `world`, which nothing has happened to yet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lifecycle = Lifecycle(world)
        self._offering = Offering(world, self._lifecycle)
        self.ending = Ending(world, self._lifecycle)
        self._handlers: dict[type, Callable[[Any], None]] = {
            JobFiles: self._job_files,
            inputs.StartJob: self._start_job,
            inputs.StopJob: self._stop_job,
            inputs.RestartJob: self._restart_job,
            inputs.StartInstance: self._start_instance,
            inputs.StopInstance: self._stop_instance,
            inputs.RestartInstance: self._restart_instance,
            inputs.ReloadInstance: self._reload_instance,
            inputs.EmitEvent: self._emit_event,
            inputs.SetEnvironment: self._set_environment,
            inputs.UnsetEnvironment: self._unset_environment,
            inputs.ResetEnvironment: self._reset_environment,
            inputs.EndSession: self._end_session,
            inputs.EndInOrder: self.ending.end_in_order,
            inputs.ProcessForked: self._process_forked,
            inputs.SpawnFailed: self._spawn_failed,
            inputs.MainReady: self._main_ready,
            inputs.MainFollowed: self._main_followed,
            inputs.ProcessEnded: self._process_ended,
            inputs.TimePassed: lambda _: None,
        }

    def step(self, what: Input, now: float) -> list[Effect]:
        """Handle one input at the time `now` (seconds, monotonic, never less than before).

        What is due by `now` is done first. An input that cannot be carried out is answered with an error and
        changes nothing.
        """
        world = self.world
        world.now = now
        world.effects = []
        is_flood = not world.queue.is_at_rest
        for key in world.timers.pop_due(now):
            if key is self.ending:
                self.ending.second_passed()
            elif isinstance(key, int) and (instance := world.instances.get(key)):
                self._lifecycle.kill_timeout_passed(instance)
        try:
            self._handlers[type(what)](what)
        except UpstartdError as error:
            caller = getattr(what, "caller", None)
            if caller is not None:
                world.effect(ReplyError(caller, error))
        most = _FLOOD_EVENTS if is_flood else _MOST_EVENTS
        world.queue.run(self._offering.offer, self._finish, most)
        for _ in range(2):  # what is told to stop may have nothing to wait for, and the end be there
            self.ending.check()
            world.queue.run(self._offering.offer, self._finish, most)
        if not (is_flood or world.queue.is_at_rest):
            world.log(Priority.WARN, "%s events in a row and no end: do jobs start one another?", _MOST_EVENTS)
        return world.effects

    def rests(self, instance: Instance) -> bool:
        """Whether something holds the instance in its state, as between any two steps."""
        return self._lifecycle.rests(instance)

    def resume(self) -> list[Effect]:
        """Ask again for the processes that were asked for and are not known to exist: a new shell has to."""
        self.world.effects = []
        for instance in self.world.instances.values():
            for process in [name for name, pid in instance.pids.items() if pid is None]:
                self._lifecycle.spawn(instance, process)
        return self.world.effects

    def next_deadline(self) -> float | None:
        """When the engine wants to be told that time has passed; None: never."""
        due = self.world.timers.next()
        if self.world.queue.is_at_rest:
            return due
        go_on = self.world.now + _FLOOD_PAUSE
        return go_on if due is None else min(go_on, due)

    # -- reading ----------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing has happened that still matters: it knows no more than the job files say."""
        return not (self.world.instances or self.world.queue.events)

    @property
    def classes(self) -> Mapping[str, JobClass]:
        """Every job by its name."""
        return self.world.classes

    def job_class(self, name: str) -> JobClass:
        """The job called `name`, or UnknownJob."""
        try:
            return self.world.classes[name]
        except KeyError:
            raise UnknownJob(f"Unknown job: {name}") from None

    def instance_by_name(self, job: str, name: str) -> Instance:
        """The instance with exactly this name, or UnknownInstance."""
        instance = self.job_class(job).instances.get(name)
        if instance is None:
            raise UnknownInstance(f"Unknown instance: {name}")
        return instance

    def find_instance(self, job: str, env: Sequence[str]) -> Instance:
        """The instance that Start with `env` would concern (GetInstance); InvalidArgs or UnknownInstance."""
        job_class = self.job_class(job)
        return self.instance_by_name(job, self._instance_name(job_class, self._environment(job_class, env), usage=True))

    def get_variable(self, details: Sequence[str], name: str) -> str:
        """GetEnv: the value of a variable in the table, or in the environment of an instance."""
        environment.check_name(name)
        env = self._table(details)
        if name not in env:
            raise InvalidArgs(f"No such variable: {name}")
        return env[name]

    def list_variables(self, details: Sequence[str]) -> list[str]:
        """ListEnv: all entries as KEY=VALUE, in their order."""
        return [f"{name}={value}" for name, value in self._table(details).items()]

    # -- the queue --------------------------------------------------------------------------------------

    def _finish(self, event: Event) -> None:
        """Nothing holds the event any more: what waits for it goes on, then everybody is told."""
        world = self.world
        world.log(Priority.DEBUG, "Finished %s event", event.name)
        if event.blocks is not None:
            self._lifecycle.event_finished(event.blocks)
        if event.caller is not None:
            world.effect(ReplyError(event.caller, EventFailed("Event failed")) if event.failed else Reply(event.caller))
        if event.failed and not event.name.endswith("/failed"):
            world.emit(event.name + "/failed", event.env)
        world.effect(EventEmitted(event.name, event.env))
        if event.file is not None:
            world.release_files((event.file,))

    # -- files ------------------------------------------------------------------------------------------

    def _job_files(self, files: JobFiles) -> None:
        job_class = self.world.classes.get(files.name)
        if job_class is None:
            if files.definitions:
                self._lifecycle.add_class(files.definitions[0], files.definitions)
            return
        job_class.definitions = files.definitions
        if not job_class.instances:
            self._lifecycle.settle_definition(job_class)

    # -- methods ----------------------------------------------------------------------------------------

    def _environment(self, job_class: JobClass, env: Sequence[str]) -> dict[str, str]:
        """The environment that a call of the job with `env` makes; InvalidArgs where `env` is none."""
        environment.check_pairs(env)
        made = environment.of_class(self.world.environment, job_class.config, self.world.own_environment)
        return made | environment.pairs(env)

    def _instance_name(self, job_class: JobClass, env: Mapping[str, str], *, usage: bool = False) -> str:
        try:
            return expand(job_class.config.instance, env)
        except ExpansionError as why:
            help_text = job_class.config.usage if usage else ""
            raise InvalidArgs(f"{why}\nUsage: {help_text}" if help_text else str(why)) from None

    def _carry_out(self, instance: Instance, who: Waiting, *, wait: bool) -> None:
        """Do what an accepted call asks for: those who waited before are answered, the goal changes.

        The caller becomes the only one who waits, or is answered before anything further happens.
        """
        self._lifecycle.let_go(instance)
        if wait:
            instance.waiting.append(who)
        match who.request:
            case Request.START:
                self._lifecycle.start(instance)
            case Request.STOP:
                self._lifecycle.stop(instance)
            case Request.RESTART:
                self._lifecycle.restart(instance)
        if not wait:
            self.world.effect(Reply(who.caller, who.answer))

    def _reply(self, caller: Caller | None) -> None:
        """Tell whoever asked, if anybody did, that it is done."""
        if caller is not None:
            self.world.effect(Reply(caller))

    def _check_may_start(self, title: str) -> None:
        if not self.world.may_start:
            raise PermissionDenied(f"The daemon is ending, nothing is started any more: {title}")

    def _start_job(self, what: inputs.StartJob) -> None:
        job_class = self.job_class(what.job)
        env = self._environment(job_class, what.env)
        name = self._instance_name(job_class, env, usage=True)
        self._check_may_start(job_class.name)
        instance = job_class.instances.get(name)
        if instance is None:
            instance = self._lifecycle.create(job_class, name)
        else:
            self._check_not_started(instance)
        self._lifecycle.put_aside(instance, env)
        who = Waiting(Request.START, what.caller, InstanceRef(job_class.name, name))
        self._carry_out(instance, who, wait=what.wait)

    def _start_instance(self, what: inputs.StartInstance) -> None:
        instance = self.instance_by_name(what.job, what.instance)
        self._check_may_start(instance.title)
        self._check_not_started(instance)
        self._lifecycle.put_aside(instance, None)
        self._carry_out(instance, Waiting(Request.START, what.caller, None), wait=what.wait)

    def _check_not_started(self, instance: Instance) -> None:
        if instance.goal is not Goal.STOP:
            raise AlreadyStarted(f"Job is already running: {instance.title}")

    def _stop_job(self, what: inputs.StopJob) -> None:
        job_class = self.job_class(what.job)
        name = self._instance_name(job_class, self._environment(job_class, what.env))
        instance = self.instance_by_name(what.job, name)
        self._stop(instance, environment.pairs(what.env), what.wait, what.caller)

    def _stop_instance(self, what: inputs.StopInstance) -> None:
        self._stop(self.instance_by_name(what.job, what.instance), {}, what.wait, what.caller)

    def _stop(self, instance: Instance, stop_environment: dict[str, str], wait: bool, caller: Caller) -> None:
        if instance.goal is Goal.STOP:
            raise AlreadyStopped(f"Job has already been stopped: {instance.title}")
        instance.stop_environment = stop_environment
        self._carry_out(instance, Waiting(Request.STOP, caller, None), wait=wait)

    def _restart_job(self, what: inputs.RestartJob) -> None:
        job_class = self.job_class(what.job)
        env = self._environment(job_class, what.env)
        instance = self.instance_by_name(what.job, self._instance_name(job_class, env))
        if instance.goal is Goal.STOP:
            # The reference names the bare instance here, and clients may look for that.
            raise AlreadyStopped(f"Job has already been stopped: {instance.name}")
        self._check_may_start(instance.title)
        self._lifecycle.put_aside(instance, env)
        answer = InstanceRef(job_class.name, instance.name)
        self._restart(instance, Waiting(Request.RESTART, what.caller, answer), what.wait)

    def _restart_instance(self, what: inputs.RestartInstance) -> None:
        instance = self.instance_by_name(what.job, what.instance)
        if instance.goal is Goal.STOP:
            raise AlreadyStopped(f"Job has already been stopped: {instance.title}")
        self._check_may_start(instance.title)
        self._lifecycle.put_aside(instance, None)
        self._restart(instance, Waiting(Request.RESTART, what.caller, None), what.wait)

    def _restart(self, instance: Instance, who: Waiting, wait: bool) -> None:
        instance.stop_environment = {}
        self._carry_out(instance, who, wait=wait)

    def _reload_instance(self, what: inputs.ReloadInstance) -> None:
        instance = self.instance_by_name(what.job, what.instance)
        if ProcessName.MAIN not in instance.pids:
            raise NotRunning(f"Job is not running: {instance.title}")
        self.world.effect(ReloadProcess(instance.uid, instance.config.reload_signal, what.caller))

    def _emit_event(self, what: inputs.EmitEvent) -> None:
        try:
            if not what.name:
                raise InvalidArgs("Name may not be empty string")
            environment.check_pairs(what.env)
        except InvalidArgs:
            if what.file is not None:
                self.world.hold_files((what.file,))
                self.world.release_files((what.file,))
            raise
        self.world.emit(what.name, what.env, caller=what.caller if what.wait else None, file=what.file)
        if not what.wait:
            self._reply(what.caller)

    def _end_session(self, what: inputs.EndSession) -> None:
        self.ending.end_session(what.kind)
        self._reply(what.caller)

    # -- environments -----------------------------------------------------------------------------------

    def _instance_of(self, details: Sequence[str]) -> Instance:
        """The instance that job_details name."""
        job, *rest = details
        if not job:
            raise InvalidArgs("Job may not be empty string")
        job_class = self.job_class(job)
        instance = job_class.instances.get(rest[0]) if rest else None
        if instance is None:
            raise UnknownJobInstance(f"Unknown instance: {rest[0] if rest else '(null)'} of job {job}")
        return instance

    def _table(self, details: Sequence[str]) -> dict[str, str]:
        return self._instance_of(details).supplies.environment if details else self.world.environment

    def _tables(self, details: Sequence[str]) -> list[dict[str, str]]:
        """The environments that a change concerns: a global one reaches every instance that exists."""
        if details:
            return [self._table(details)]
        return [self.world.environment, *(one.supplies.environment for one in self.world.instances.values())]

    def _set_environment(self, what: inputs.SetEnvironment) -> None:
        tables = self._tables(what.details)
        variables = environment.assignments(what.variables)
        for table in tables:
            environment.assign(table, variables, replace=what.replace)
        if not what.details:
            self.world.effect(UpdateActivationEnvironment(tuple(variables)))
        self._reply(what.caller)

    def _unset_environment(self, what: inputs.UnsetEnvironment) -> None:
        tables = self._tables(what.details)
        names = [environment.check_name(name) for name in what.names]
        for table in tables:
            for name in names:
                table.pop(name, None)
        self._reply(what.caller)

    def _reset_environment(self, what: inputs.ResetEnvironment) -> None:
        world = self.world
        if what.details:
            instance = self._instance_of(what.details)
            made = environment.of_class(world.environment, instance.config, world.own_environment)
            instance.supplies = instance.supplies._replace(environment=made)
        else:
            world.environment = dict(world.initial_environment)
        self._reply(what.caller)

    # -- processes --------------------------------------------------------------------------------------

    def _process_forked(self, what: inputs.ProcessForked) -> None:
        if instance := self.world.instances.get(what.instance):
            self._lifecycle.process_forked(instance, what.process, what.pid)

    def _spawn_failed(self, what: inputs.SpawnFailed) -> None:
        if (instance := self.world.instances.get(what.instance)) and what.process in instance.pids:
            self._lifecycle.spawn_failed(instance, what.process)

    def _main_ready(self, what: inputs.MainReady) -> None:
        if instance := self.world.instances.get(what.instance):
            self._lifecycle.main_ready(instance)

    def _main_followed(self, what: inputs.MainFollowed) -> None:
        if instance := self.world.instances.get(what.instance):
            self._lifecycle.process_forked(instance, ProcessName.MAIN, what.pid)

    def _process_ended(self, what: inputs.ProcessEnded) -> None:
        if instance := self.world.instances.get(what.instance):
            self._lifecycle.process_ended(instance, what)
