"""What moves an instance: its goal changes, its processes come and go, and it walks through the states.

Which state follows which is in engine/states.py; what a state does on entry and what it waits for is here,
a table each. Source: lifecycle specification, sections 2 to 9, and design, 1 to 7 and 32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.conf.model import Command, Expect, ProcessName
from upstartd.engine.condition import Places
from upstartd.engine.effects import (
    Failed,
    GoalChanged,
    InstanceAdded,
    InstanceRemoved,
    JobAdded,
    JobRemoved,
    KillLeftovers,
    KillProcess,
    Reply,
    ReplyError,
    Spawn,
    StateChanged,
)
from upstartd.engine.instance import Failure, Instance
from upstartd.engine.job_class import JobClass
from upstartd.engine.states import Goal, State, next_state
from upstartd.errors import JobFailed
from upstartd.log import Priority
from upstartd.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.conf.model import Definition
    from upstartd.engine.event import Event
    from upstartd.engine.inputs import ProcessEnded
    from upstartd.engine.world import World

_SIGKILL = 9
_LOAD_PROFILE = "/sbin/apparmor_parser -r -W "  # what a security process runs (runtime specification, 5.3)
_SPAWN_FAILED = -1  # the status of Failed where a process could not be spawned
_TOO_FAST = 0  # and where it respawned too fast

# The states in which the end of main matters to somebody who wants it to run.
_MAIN_IS_WANTED = frozenset({State.SPAWNED, State.POST_START, State.RUNNING, State.PRE_STOP})
# What holds the instance in a state until it has ended; main in `spawned` until it is ready, at the latest.
_PROCESS_OF = {
    State.SECURITY: ProcessName.SECURITY,
    State.PRE_START: ProcessName.PRE_START,
    State.SPAWNED: ProcessName.MAIN,
    State.POST_START: ProcessName.POST_START,
    State.PRE_STOP: ProcessName.PRE_STOP,
    State.KILLED: ProcessName.MAIN,
    State.POST_STOP: ProcessName.POST_STOP,
}
# What may lose track of the main process, and leave something of it behind.
_FOLLOWED = frozenset({Expect.FORK, Expect.DAEMON})
# Processes whose failure to be spawned is as good as their end.
_MAY_FAIL_TO_SPAWN = frozenset({ProcessName.POST_START, ProcessName.PRE_STOP})


class Lifecycle:
    """Moves the instances of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._on_entry: dict[State, Callable[[Instance, State], None]] = {
            State.STARTING: self._enter_starting,
            State.SECURITY_SPAWNING: self._enter_security_spawning,
            State.PRE_STARTING: lambda instance, _: self.spawn(instance, ProcessName.PRE_START),
            State.SPAWNING: lambda instance, _: self.spawn(instance, ProcessName.MAIN),
            State.POST_STARTING: lambda instance, _: self.spawn(instance, ProcessName.POST_START),
            State.RUNNING: self._enter_running,
            State.PRE_STOPPING: lambda instance, _: self.spawn(instance, ProcessName.PRE_STOP),
            State.STOPPING: self._enter_stopping,
            State.KILLED: self._enter_killed,
            State.POST_STOPPING: self._enter_post_stopping,
            State.WAITING: self._enter_waiting,
        }

    # -- instances come, are taken over, and fail -------------------------------------------------------

    def create(self, job_class: JobClass, name: str) -> Instance:
        """A new instance, at rest; changing its goal to start sets it going."""
        world = self._world
        world.log(Priority.DEBUG, "New instance %s", name)
        places = Places(job_class.config.stop_on, world.queue)
        instance = Instance(world.uids.new(), job_class, name, places)
        world.add_instance(instance)
        world.effect(InstanceAdded(job_class.name, name))
        return instance

    def put_aside(self, instance: Instance, environment: dict[str, str] | None, files: tuple[int, ...] = ()) -> None:
        """Have the instance use this environment from its next `starting` on; None keeps the one it has."""
        world = self._world
        old = instance.next_supplies
        instance.next_supplies = None
        if environment is not None:
            world.hold_files(files)
            instance.next_supplies = type(instance.supplies)(environment, files)
        if old is not None:
            world.release_files(old.files)

    def let_go(self, instance: Instance) -> None:
        """Answer everybody who waits for the instance with success: callers, and events that it holds."""
        waiting, instance.waiting = instance.waiting, []
        for one in waiting:
            self._world.effect(Reply(one.caller, one.answer))
        holding, instance.holding = instance.holding, []
        for event in holding:
            self._world.queue.release(event)

    def hold(self, instance: Instance, events: list[Event]) -> None:
        """Have these events wait until the instance has got where they sent it."""
        for event in dict.fromkeys(events):
            self._world.queue.hold(event)
            instance.holding.append(event)

    def fail(self, instance: Instance, failure: Failure, status: int) -> None:
        """Mark the run as failed and tell those who wait, unless that has happened since `starting`."""
        if instance.failure is not None:
            return
        instance.failure = failure
        self._world.effect(Failed(instance.job_class.name, instance.name, status))
        waiting, instance.waiting = instance.waiting, []
        for one in waiting:
            self._world.effect(ReplyError(one.caller, JobFailed(one.request.value)))
        holding, instance.holding = instance.holding, []
        for event in holding:
            self._world.queue.release(event, failed=True)

    # -- goals ------------------------------------------------------------------------------------------

    def set_goal(self, instance: Instance, goal: Goal) -> None:
        """Note the goal and announce it; nothing moves yet."""
        if goal is instance.goal:
            return
        old, instance.goal = instance.goal.word, goal
        self._world.log(Priority.INFO, "%s goal changed from %s to %s", instance.title, old, goal.word)
        self._world.effect(GoalChanged(instance.job_class.name, instance.name, goal))

    def start(self, instance: Instance, *, anew: bool = False) -> None:
        """Change the goal to start. With `anew`, a stop that pre-stop holds up goes on and a start follows it."""
        held_up = anew and instance.state is State.PRE_STOP
        self.set_goal(instance, Goal.RESTART if held_up else Goal.START)
        if instance.state is State.WAITING:
            self.advance(instance)

    def stop(self, instance: Instance) -> None:
        """Change the goal, which is another, to stop.

        It acts at once on what runs, and on what `expect` still waits for (design, 3).
        """
        self.set_goal(instance, Goal.STOP)
        expecting = instance.state is State.SPAWNED and instance.config.expect is not Expect.NONE
        if instance.state is State.RUNNING or expecting:
            self.advance(instance)

    def restart(self, instance: Instance) -> None:
        """The goal goes to stop and back to start. A respawn under way goes on as it is (design, 5)."""
        if instance.goal is Goal.RESPAWN:
            return
        self.set_goal(instance, Goal.STOP)
        if instance.state is State.RUNNING:
            self.advance(instance)
        self.start(instance, anew=True)

    # -- states -----------------------------------------------------------------------------------------

    def advance(self, instance: Instance, wanted: Goal | None = None) -> None:
        """Leave the state, and go on until one holds the instance.

        `wanted` is the goal that decides the first step, where it is not the instance's own: a respawn that
        nothing holds up is never announced as a goal.
        """
        while True:
            goal, wanted = wanted or instance.goal, None
            state = next_state(instance.state, goal, main_is_there=instance.main_is_there)
            if instance.goal is Goal.RESPAWN:
                self.set_goal(instance, Goal.START)
            elif instance.goal is Goal.RESTART:
                instance.goal = Goal.START  # to clients it has been `start` all the time
            self._enter(instance, state)
            if self.rests(instance):
                return

    def _enter(self, instance: Instance, state: State) -> None:
        old, instance.state = instance.state, state
        self._world.log(Priority.INFO, "%s state changed from %s to %s", instance.title, old.word, state.word)
        self._world.effect(StateChanged(instance.job_class.name, instance.name, state))
        if action := self._on_entry.get(state):
            action(instance, old)

    def rests(self, instance: Instance) -> bool:
        """Whether something holds the instance where it is."""
        match instance.state:
            case State.WAITING | State.RUNNING:
                return True
            case State.STARTING | State.STOPPING:
                return instance.awaited is not None
            case state:
                return _PROCESS_OF.get(state) in instance.pids

    def event_finished(self, instance: Instance) -> None:
        """The instance's own `starting` or `stopping` has finished: it moves on."""
        instance.awaited = None
        self.advance(instance)

    def _enter_starting(self, instance: Instance, _old: State) -> None:
        if instance.next_supplies is not None:
            old, instance.supplies, instance.next_supplies = instance.supplies, instance.next_supplies, None
            self._world.release_files(old.files)
        instance.failure = None
        instance.stop_environment = {}
        instance.awaited = self._world.emit("starting", instance.event_environment(), blocks=instance)

    def _enter_security_spawning(self, instance: Instance, _old: State) -> None:
        if self._world.apparmor:
            self.spawn(instance, ProcessName.SECURITY)

    def _enter_running(self, instance: Instance, old: State) -> None:
        if old is State.PRE_STOP:
            instance.stop_environment = {}
        else:
            self._world.emit("started", instance.event_environment())
        if old is State.PRE_STOP or not instance.config.task:
            self.let_go(instance)

    def _enter_stopping(self, instance: Instance, _old: State) -> None:
        instance.awaited = self._world.emit("stopping", instance.event_environment(), blocks=instance)

    def _enter_killed(self, instance: Instance, _old: State) -> None:
        if not instance.main_is_there:
            return
        config = instance.config
        self._world.effect(KillProcess(instance.uid, ProcessName.MAIN, config.kill_signal))
        if config.kill_timeout:
            self._world.timers.arm(instance.uid, self._world.now + config.kill_timeout)
        else:
            self.kill_timeout_passed(instance)

    def kill_timeout_passed(self, instance: Instance) -> None:
        """Main has not ended in time."""
        if instance.main_is_there:
            self._world.effect(KillProcess(instance.uid, ProcessName.MAIN, _SIGKILL))

    def _enter_post_stopping(self, instance: Instance, _old: State) -> None:
        config = instance.config
        if config.expect in _FOLLOWED:
            self._world.effect(KillLeftovers(instance.uid, config.kill_signal, config.kill_timeout))
        self.spawn(instance, ProcessName.POST_STOP)

    def _enter_waiting(self, instance: Instance, _old: State) -> None:
        world = self._world
        job_class = instance.job_class
        world.emit("stopped", instance.event_environment())
        self.let_go(instance)
        world.remove_instance(instance)
        # The last instance of a job whose file was read again or deleted disappears without a word, and one
        # that a better directory replaces only after the replacement: clients have learnt to live with it.
        is_told = bool(job_class.instances) or job_class.definition in job_class.definitions
        if not job_class.instances:
            self.settle_definition(job_class)
        if is_told:
            world.effect(InstanceRemoved(job_class.name, instance.name))

    # -- definitions ------------------------------------------------------------------------------------

    def settle_definition(self, job_class: JobClass) -> None:
        """Put what the files say into force, for a job without instances."""
        best = job_class.definitions[0] if job_class.definitions else None
        if best is job_class.definition:
            return
        world = self._world
        world.remove_class(job_class)
        world.effect(JobRemoved(job_class.name))
        if best is not None:
            self.add_class(best, job_class.definitions, job_class)
        job_class.start_places.clear()

    def add_class(
        self, definition: Definition, definitions: tuple[Definition, ...], old: JobClass | None = None
    ) -> None:
        """Register a job. What the start condition of `old` holds is offered to the new one, which it does not start.

        If it makes the new condition true, nothing could complete it any more: it is emptied (design, 14).
        """
        job_class = JobClass(definition, definitions, self._world.queue)
        self._world.add_class(job_class)
        self._world.effect(JobAdded(job_class.name))
        if old is not None:
            for event in old.start_places.events():
                job_class.start_places.take(event, {})
            if job_class.start_places.true_places():
                job_class.start_places.clear()

    # -- processes --------------------------------------------------------------------------------------

    def spawn(self, instance: Instance, process: ProcessName) -> None:
        """Ask for a process of the job, if it has that."""
        config = instance.config
        command = config.processes.get(process)
        if process is ProcessName.SECURITY and config.apparmor_load is not None:
            command = Command(_LOAD_PROFILE + config.apparmor_load)
        if command is None:
            return
        instance.pids[process] = None
        self._world.effect(
            Spawn(
                instance=instance.uid,
                process=process,
                title=instance.title,
                job_name=instance.job_class.name,
                instance_name=instance.name,
                command=command,
                env=instance.process_environment(process, self._world.session_address),
                settings=config.settings,
                expect=config.expect if process is ProcessName.MAIN else Expect.NONE,
                files=instance.supplies.files,
                root=self._world.root,
            )
        )

    def process_forked(self, instance: Instance, process: ProcessName, pid: int) -> None:
        """A process exists, or main has become another one."""
        if process in instance.pids:
            instance.pids[process] = pid

    def main_ready(self, instance: Instance) -> None:
        """Main is what its `expect` asks for."""
        if instance.state is State.SPAWNED:
            self.advance(instance)

    def spawn_failed(self, instance: Instance, process: ProcessName) -> None:
        """A process could not be set up or executed: it is gone, and never respawned.

        A main process that was on its way out by then is no failure, as little as its end would be (design, 3).
        """
        instance.pids.pop(process, None)
        unwanted = process is ProcessName.MAIN and instance.state not in _MAIN_IS_WANTED
        if process not in _MAY_FAIL_TO_SPAWN and not unwanted:
            self.fail(instance, Failure(process), _SPAWN_FAILED)
            self.set_goal(instance, Goal.STOP)
        self._go_on_without(instance, process)

    def process_ended(self, instance: Instance, end: ProcessEnded) -> None:
        """A process has ended. What that means depends on which, on the state and on the goal."""
        if end.process not in instance.pids:
            return
        pid = instance.pids.pop(end.process)
        self._log_end(instance, end, pid)
        if end.process is ProcessName.MAIN:
            self._main_ended(instance, end)
        elif end.process in (ProcessName.PRE_START, ProcessName.POST_STOP) and (end.status or end.signal):
            self._fail_by(instance, end)
            self.set_goal(instance, Goal.STOP)
        self._go_on_without(instance, end.process)

    def _go_on_without(self, instance: Instance, process: ProcessName) -> None:
        """Leave the state if this process was what held the instance there."""
        waits_for_main = instance.state in (State.SPAWNED, State.RUNNING)
        if process is ProcessName.MAIN and instance.state is State.KILLED:
            self._world.timers.cancel(instance.uid)
        if waits_for_main and process is ProcessName.MAIN:
            # With the goal `start` still in force here the end was one to respawn after.
            self.advance(instance, Goal.RESPAWN if instance.goal is Goal.START else None)
        elif _PROCESS_OF.get(instance.state) is process:
            self.advance(instance)

    def _main_ended(self, instance: Instance, end: ProcessEnded) -> None:
        """Change the goal as the end of main asks for; a goal that stays `start` means a respawn."""
        if instance.goal is not Goal.START or instance.state not in _MAIN_IS_WANTED:
            return
        if self._is_to_respawn(instance, end):
            if self._respawns_too_fast(instance):
                self._world.log(Priority.WARN, "%s respawning too fast, stopped", instance.title)
                self.fail(instance, Failure("respawn"), _TOO_FAST)
                self.set_goal(instance, Goal.STOP)
                return
            self._world.log(
                Priority.WARN, "%s %s process ended, respawning", instance.title, ProcessName.MAIN.value
            )
            if instance.state in (State.POST_START, State.PRE_STOP):
                self.set_goal(instance, Goal.RESPAWN)
            return
        if (end.status or end.signal) and not _is_normal_exit(instance, end):
            self._fail_by(instance, end)
        self.set_goal(instance, Goal.STOP)

    def _is_to_respawn(self, instance: Instance, end: ProcessEnded) -> bool:
        config = instance.config
        if not config.respawn or not self._world.may_respawn or _is_normal_exit(instance, end):
            return False
        return bool(end.status or end.signal) or not config.task

    def _respawns_too_fast(self, instance: Instance) -> bool:
        """Count one more respawn; whether that is more than the limit grants (lifecycle specification, section 7)."""
        limit = instance.config.respawn_limit
        if not limit.count or not limit.seconds:
            return False
        now = int(self._world.now)
        if instance.respawn_window is None or now - instance.respawn_window >= limit.seconds:
            instance.respawn_window, instance.respawns = now, 0
        instance.respawns += 1
        return instance.respawns > limit.count

    def _fail_by(self, instance: Instance, end: ProcessEnded) -> None:
        if end.signal:
            self.fail(instance, Failure(end.process, signal=end.signal), end.signal << 8)
        else:
            self.fail(instance, Failure(end.process, status=end.status), end.status or 0)

    def _log_end(self, instance: Instance, end: ProcessEnded, pid: int | None) -> None:
        if end.signal:
            name = signal_name(end.signal)
            how = f"killed by signal {name}" if name.isdigit() else f"killed by {name} signal"
        elif end.status:
            how = f"terminated with status {end.status}"
        elif end.status is None:
            how = f"is gone, its exit status unknown: expect {instance.config.expect.value} does not fit this program"
        else:
            how = "exited normally"
        expected = end.status == 0 or _is_normal_exit(instance, end)
        priority = Priority.INFO if expected else Priority.WARN
        self._world.log(priority, "%s %s process (%s) %s", instance.title, end.process.value, pid, how)


def _is_normal_exit(instance: Instance, end: ProcessEnded) -> bool:
    """Whether `normal exit` lists this end: statuses and signals are asked separately (design, 31).

    An end that nobody can know is as good as status 0 (design, 2).
    """
    if end.signal:
        return end.signal in instance.config.normal_exit_signals
    return (end.status or 0) in instance.config.normal_exit_statuses
