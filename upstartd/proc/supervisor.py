"""The processes of all instances: started, followed, signalled, and collected when they end.

The only thing in this package that the daemon uses. It tells the engine what happens, as inputs, and
does what the engine asks for, as effects; it knows instances by their numbers and nothing of jobs, goals and states.
Not responsible for the messages about ends of processes, whose priority is the job's matter, nor for waking up:
the daemon calls reap() on SIGCHLD. Source: lifecycle specification, 4 and 9; runtime specification, 2 and 5.4;
design, 2, 3 and 29.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Mapping  # noqa: TC003 - state/codec.py reads the annotations
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from upstartd.conf.model import Console, ProcessName
from upstartd.engine.inputs import MainFollowed, MainReady, ProcessEnded, ProcessForked, SpawnFailed
from upstartd.proc.command import SetupFailed
from upstartd.proc.control_groups import ControlGroupsState
from upstartd.proc.leftovers import Leftovers, LeftoversState
from upstartd.proc.setup import Defaults, stops_itself
from upstartd.proc.spawn import OutOfResources, Spawner
from upstartd.proc.track import FIRST_AWAITED, TABLE, TRACED, Awaiting, News, Request, after_kill, read_status
from upstartd.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.engine.effects import KillLeftovers, KillProcess, ReloadProcess, Spawn
    from upstartd.engine.inputs import ProcessNews
    from upstartd.log import Log
    from upstartd.proc.control_groups import ControlGroups
    from upstartd.proc.job_logs import JobLogs
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.login_records import LoginRecords

# Seconds to wait before each further attempt to start a process for which there are no resources.
RETRY_AFTER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_REPORT_SIZE = 4096  # no reason is longer, and a pipe gives what is written in so few bytes as a whole

_HOW_IT_WENT = {News.STOPPED: "stopped", News.SUSPENDED: "stopped", News.HELD: "stopped", News.CONTINUED: "continued"}


class Timer(Protocol):
    """What the loop gives for a call that is to come."""

    def cancel(self) -> object:
        """Never call it."""


class Loop(Protocol):
    """What is needed of the event loop; asyncio's has it."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> object:
        """Call `callback` whenever the descriptor can be read."""

    def remove_reader(self, fd: int, /) -> object:
        """Do so no longer."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        """Call `callback` after `delay` seconds."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call `callback` at `when`, by the clock of time()."""

    def time(self) -> float:
        """The time in seconds, monotonic and the same for all loops of a machine."""


@dataclass(slots=True, eq=False)
class Process:
    """A process that has not ended, as far as is known."""

    instance: int
    name: ProcessName
    title: str
    pid: int
    session: int  # the one that it was started in: its own pid then
    awaiting: Awaiting
    report: int | None  # where it tells why its set-up fails, as long as that is open
    stops_first: bool  # it stops itself before it executes its program, which is not the stop that `expect` means
    pidfd: int | None = None

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.title} {self.name.value} process ({self.pid})"

    @property
    def is_followed(self) -> bool:
        """Whether it is another process than the one that was started, and perhaps somebody else's child."""
        return self.pid != self.session


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """What a supervisor hands on over a re-execution. The descriptors in it have to stay open."""

    processes: tuple[Process, ...]
    newborn: Mapping[int, int]
    strays: tuple[int, ...]
    leftovers: LeftoversState = field(default_factory=LeftoversState)
    control_groups: ControlGroupsState = field(default_factory=ControlGroupsState)


class Supervisor:
    """Starts, follows, signals and collects the processes of all instances.

    `deliver` takes what happens; it may call back at once. The rest is how processes are set up where their job
    does not say: `umask` and `directory` None are the daemon's own, `debug` is whether the `debug` stanza counts.
    `logs` None: no output is kept. `control_groups` None: that stanza means nothing. `apparmor` is whether profiles are
    switched to. `login_records` None: nobody is told of ended logins.
    """

    def __init__(
        self, kernel: Kernel, *, deliver: Callable[[ProcessNews], None], log: Log, loop: Loop,
        umask: int | None = 0o022, directory: str | None = "/", console: Console = Console.LOG, debug: bool = False,
        logs: JobLogs | None = None, control_groups: ControlGroups | None = None, apparmor: bool = False,
        login_records: LoginRecords | None = None,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._deliver = deliver
        self._log = log
        self._loop = loop
        self._defaults = Defaults(console, umask, directory, debug, apparmor)
        self._logs = logs
        self._login_records = login_records
        self._control_groups = control_groups
        self._spawner = Spawner(kernel, self._defaults, logs, control_groups)
        self._happenings: deque[ProcessNews] = deque()  # to be delivered
        self._processes: dict[tuple[int, ProcessName], Process] = {}
        self._by_pid: dict[int, Process] = {}
        self._postponed: dict[tuple[int, ProcessName], tuple[Spawn, Timer]] = {}
        # New children of traced processes that stand still: until the fork is told of that shows whose
        # main process each is, or because it is nobody's.
        self._newborn: dict[int, int] = {}  # the child -> its parent
        self._strays: set[int] = set()
        self._leftovers = Leftovers(kernel, log, loop)
        self._perhaps_over: set[int] = set()  # instances of which a process has gone
        kernel.heed_reserved_signals()

    def become_subreaper(self) -> None:
        """Inherit the orphans of all processes, so that their ends can be noticed. OSError where that is refused."""
        self._kernel.become_subreaper()

    def pids(self) -> list[int]:
        """Every process that is supervised."""
        return list(self._by_pid)

    # -- over a re-execution --------------------------------------------------------------------------------

    def take_state(self) -> SupervisorState:
        """All that is known of processes. What could not be forked yet is not in it: the engine asks again."""
        return SupervisorState(
            tuple(replace(one, pidfd=None) for one in self._processes.values()),
            dict(self._newborn),
            tuple(self._strays),
            self._leftovers.take_state(),
            ControlGroupsState() if self._control_groups is None else self._control_groups.take_state(),
        )

    def put_state(self, state: SupervisorState) -> None:
        """Take over processes that another supervisor has started in this process. Call reap() afterwards."""
        self._newborn = dict(state.newborn)
        self._strays = set(state.strays)
        self._leftovers.put_state(state.leftovers)
        for process in state.processes:
            self._processes[process.instance, process.name] = self._by_pid[process.pid] = process
            if process.report is not None:
                self._watch_report(process, process.report)
            if process.is_followed:
                self._watch_end(process)
        if self._control_groups is not None:
            self._control_groups.put_state(state.control_groups)
            self._perhaps_over.update(self._control_groups.instances())
            self._leave_control_groups()

    def _enter(self, do: Callable[..., None], *arguments: object) -> None:
        """Do something and then deliver what came of it, in order: not in the midst, as the answer may be a call."""
        do(*arguments)
        while self._happenings:
            self._deliver(self._happenings.popleft())
        self._leave_control_groups()

    def _leave_control_groups(self) -> None:
        """Have groups removed whose instances have no process, where what was delivered has not brought a new one."""
        while self._perhaps_over:
            instance = self._perhaps_over.pop()
            keys = [(instance, name) for name in ProcessName]
            if self._control_groups is not None and not any(k in self._processes or k in self._postponed for k in keys):
                self._control_groups.instance_ended(instance)

    # -- starting -----------------------------------------------------------------------------------------

    def spawn(self, effect: Spawn) -> None:
        """Start a process. What is delivered: ProcessForked, or SpawnFailed; then what becomes of it."""
        self._enter(self._attempt, effect, 0)

    def has(self, effect: Spawn) -> bool:
        """Whether the process that this asked for is there, or will be tried again."""
        key = effect.instance, effect.process
        return key in self._processes or key in self._postponed

    def _attempt(self, effect: Spawn, number: int) -> None:
        key = effect.instance, effect.process
        self._postponed.pop(key, None)
        try:
            child = self._spawner.start(effect)
        except SetupFailed as failure:
            self._spawn_failed(effect.instance, effect.process, effect.title, str(failure))
            return
        except OutOfResources as shortage:
            self._log.warn(f"Temporary process spawn error: {shortage.error.strerror}")
            if number == len(RETRY_AFTER):
                self._spawn_failed(effect.instance, effect.process, effect.title, str(shortage))
                return
            timer = self._loop.call_later(
                RETRY_AFTER[number], partial(self._enter, self._attempt, effect, number + 1)
            )
            self._postponed[key] = effect, timer
            return
        process = Process(
            effect.instance, effect.process, effect.title, child.pid, child.pid,
            FIRST_AWAITED[effect.expect] if effect.process is ProcessName.MAIN else Awaiting.NOTHING,
            child.report, stops_itself(effect, self._defaults),
        )  # fmt: skip
        self._processes[key] = self._by_pid[child.pid] = process
        self._log.info(process.label)
        self._happenings.append(ProcessForked(effect.instance, effect.process, child.pid))
        if child.report is None:
            self._happened(process, News.EXECUTED)
        else:
            self._watch_report(process, child.report)

    def _watch_report(self, process: Process, report: int) -> None:
        self._loop.add_reader(report, partial(self._enter, self._read_report, process))

    def _spawn_failed(self, instance: int, process: ProcessName, title: str, reason: str) -> None:
        self._log.warn(f"Failed to spawn {title} {process.value} process: {reason}")
        self._perhaps_over.add(instance)
        self._happenings.append(SpawnFailed(instance, process, reason))

    def _read_report(self, process: Process) -> None:
        """Take what the set-up of a process says: that it failed, or, by its end, that the program is executed."""
        assert process.report is not None
        try:
            reason = self._kernel.read(process.report, _REPORT_SIZE).decode("utf-8", "replace")
        except BlockingIOError:
            return
        self._close_report(process)
        if reason:
            self._forget(process)
            self._spawn_failed(process.instance, process.name, process.title, reason)
        else:
            self._happened(process, News.EXECUTED)

    def _close_report(self, process: Process) -> None:
        if process.report is not None:
            self._loop.remove_reader(process.report)
            self._kernel.close(process.report)
            process.report = None

    # -- signals --------------------------------------------------------------------------------------------

    def kill(self, effect: KillProcess) -> None:
        """Send a signal to the process group that a process is in; deliver its end where that went unnoticed.

        A process that could not be forked yet never will be: SpawnFailed.
        """
        self._enter(self._kill, effect)

    def _kill(self, effect: KillProcess) -> None:
        key = effect.instance, effect.process
        if key in self._postponed:
            spawn, timer = self._postponed.pop(key)
            timer.cancel()
            self._spawn_failed(*key, spawn.title, "stopped before it could be forked")
            return
        process = self._processes.get(key)
        if process is None or self._is_found_lost(process):
            return
        process.awaiting = after_kill(process.awaiting)
        name = signal_name(effect.signal)
        self._log.info(f"Sending {name} signal to {process.label}")
        try:
            group = self._kernel.getpgid(process.pid)
            if group == self._kernel.own_group():  # its set-up has not got to making its own
                self._kernel.kill(process.pid, effect.signal)
            else:
                self._kernel.killpg(group, effect.signal)
        except ProcessLookupError:
            if process.is_followed:
                self._end_lost(process)
        except OSError as error:
            self._log.warn(f"Failed to send {name} signal to {process.label}: {error.strerror}")

    def reload(self, effect: ReloadProcess) -> OSError | None:
        """Send a signal to a main process alone. Gives the error where that fails."""
        process = self._processes.get((effect.instance, ProcessName.MAIN))
        try:
            if process is None:
                raise ProcessLookupError(None, "No such process")
            if process.pidfd is not None:
                self._kernel.pidfd_kill(process.pidfd, effect.signal)
            else:
                self._kernel.kill(process.pid, effect.signal)
        except OSError as error:
            return error
        return None

    def kill_leftovers(self, effect: KillLeftovers) -> None:
        """End what is left of an instance whose main process `expect` lost track of; nothing if it did not."""
        self._leftovers.end(effect)

    # -- what happens ---------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take all news of processes that the kernel has, of orphans too."""
        self._enter(self._reap)

    def _reap(self) -> None:
        while news := self._kernel.wait():
            pid, status = news
            process = self._by_pid.get(pid)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self._strays.discard(pid)
                if process is not None:
                    self._ended(process, status)
            elif process is not None:
                self._happened(process, *read_status(status, traced=process.awaiting in TRACED))
            elif os.WIFSTOPPED(status):
                self._stranger_stopped(pid, status)
        for process in [one for one in self._by_pid.values() if one.is_followed and one.pidfd is None]:
            self._is_found_lost(process, reaped=True)

    def _stranger_stopped(self, pid: int, status: int) -> None:
        """A process that no instance has stands still: perhaps the child of a fork that is yet to be told of."""
        news, number = read_status(status, traced=True)
        stat = self._kernel.stat(pid) if news is News.TRAP and pid not in self._strays else None
        parent = self._by_pid.get(stat.parent) if stat else None
        if parent is not None and parent.awaiting in TRACED:
            self._newborn[pid] = parent.pid
            return
        self._strays.discard(pid)
        self._request(Request.DETACH, pid, news, number)

    def _happened(self, process: Process, news: News, number: int = 0) -> None:
        """Do what the table says follows from news of a process that has not ended."""
        if how := _HOW_IT_WENT.get(news):
            self._log.info(f"{process.label} {how} by {signal_name(number)} signal")
        if news is News.STOPPED and process.stops_first:
            process.stops_first = False
            return
        move = TABLE[process.awaiting, news]
        child = None
        if news is News.FORK:
            try:
                child = self._kernel.event_message(process.pid)
            except ProcessLookupError:
                return  # It is being killed. What it has forked is let go when it has ended.
        self._request(move.request, process.pid, news, number)
        if news is News.EXEC and move.ready:
            self._log.info(f"{process.label} executable changed")
        if child is not None and move.follows:
            self._follow(process, child)
        elif child is not None:
            self._let_go(child)
        if move.then is not None:
            process.awaiting = move.then
        if move.ready:
            self._happenings.append(MainReady(process.instance))
        if child is not None and move.follows:
            self._take_newborn(process)

    def _request(self, request: Request, pid: int, news: News, number: int) -> None:
        """Carry out what the table asks for; a process that has been killed meanwhile is past it."""
        passed_on = number if news is News.SIGNAL else 0
        try:
            match request:
                case Request.CONTINUE:
                    self._kernel.kill(pid, signal.SIGCONT)
                case Request.RESUME:
                    self._kernel.resume(pid, passed_on)
                case Request.LISTEN:
                    self._kernel.listen(pid)
                case Request.DETACH:
                    self._kernel.detach(pid, passed_on)
        except ProcessLookupError:
            return
        except OSError as error:
            self._log.warn(f"cannot {request.value} process {pid}: {error.strerror}")

    # -- following ------------------------------------------------------------------------------------------

    def _follow(self, process: Process, child: int) -> None:
        """A process has forked, and the child is what counts from now on."""
        self._log.info(f"{process.label} became new process ({child})")
        del self._by_pid[process.pid]
        self._unwatch_end(process)
        process.pid = child
        self._by_pid[child] = process
        self._watch_end(process)
        self._happenings.append(MainFollowed(process.instance, child))

    def _watch_end(self, process: Process) -> None:
        """Have the kernel tell of the end of a followed process, which may be somebody else's child."""
        try:
            process.pidfd = self._kernel.pidfd_open(process.pid)
            self._loop.add_reader(process.pidfd, partial(self._enter, self._followed_ended, process))
        except OSError as error:
            # Its end is looked for whenever any process ends then, which is later, but not never.
            self._log.debug(f"cannot watch {process.label}: {error.strerror}")

    def _take_newborn(self, process: Process) -> None:
        """The followed child may have been seen standing still before its parent's fork was told of."""
        if self._newborn.pop(process.pid, None) is not None:
            self._happened(process, News.TRAP)

    def _let_go(self, child: int) -> None:
        """A traced process has forked a child that nobody follows."""
        if self._newborn.pop(child, None) is not None:
            self._request(Request.DETACH, child, News.TRAP, 0)
        else:
            self._strays.add(child)

    # -- ends -----------------------------------------------------------------------------------------------

    def _ended(self, process: Process, status: int) -> None:
        """A process has ended, with this wait status. What its set-up has said comes first (design, 29)."""
        if process.report is not None:
            self._read_report(process)
            if process.report is not None:  # somebody else holds it open: no failure was told, at any rate
                self._happened(process, News.EXECUTED)
            if self._processes.get((process.instance, process.name)) is not process:
                return
        if process.awaiting is Awaiting.DEATH:
            self._leftovers.main_is_lost(process.instance, process.title, process.session)
        self._tell_end(process, status)

    def _tell_end(self, process: Process, status: int | None) -> None:
        self._forget(process)
        if self._logs is not None:
            self._logs.process_ended(process.instance, process.name)
        if self._login_records is not None:
            self._login_records.process_ended(process.pid)
        if status is None:
            self._happenings.append(ProcessEnded(process.instance, process.name))
        elif os.WIFSIGNALED(status):
            self._happenings.append(ProcessEnded(process.instance, process.name, signal=os.WTERMSIG(status)))
        else:
            self._happenings.append(ProcessEnded(process.instance, process.name, status=os.WEXITSTATUS(status)))

    def _followed_ended(self, process: Process) -> None:
        """The pidfd of a followed process says that it has ended: perhaps as a child of somebody else."""
        self._reap()
        if self._by_pid.get(process.pid) is process:
            self._is_found_lost(process, reaped=True)
            self._unwatch_end(process)  # it has told all that it can

    def _is_found_lost(self, process: Process, *, reaped: bool = False) -> bool:
        """Whether a followed process turns out to have ended; its end is delivered then."""
        if not process.is_followed:
            return False
        if not reaped:
            self._reap()
            if self._by_pid.get(process.pid) is not process:
                return True
        stat = self._kernel.stat(process.pid)
        ended = process.pidfd is not None and self._kernel.pidfd_has_ended(process.pidfd)
        if stat is not None and not ended and not stat.has_ended:
            return False
        if stat is not None and stat.has_ended and stat.parent == self._kernel.own_pid():
            return False  # It is the daemon's to collect, so the kernel is about to tell.
        self._end_lost(process)
        return True

    def _end_lost(self, process: Process) -> None:
        """A followed process has ended as a child of somebody else, or so that nobody can know how."""
        stat = self._kernel.stat(process.pid)
        zombie = stat if stat is not None and stat.has_ended else None
        sessions = [zombie.session] if zombie else []
        self._leftovers.main_is_lost(process.instance, process.title, process.session, *sessions)
        # 0 may also be what somebody sees who may not see it.
        self._tell_end(process, zombie.exit_code if zombie and zombie.exit_code else None)

    def _forget(self, process: Process) -> None:
        """Drop all that is known of a process, and let go the children that stand still in its name."""
        self._perhaps_over.add(process.instance)
        del self._processes[process.instance, process.name]
        del self._by_pid[process.pid]
        self._close_report(process)
        self._unwatch_end(process)
        for child in [child for child, parent in self._newborn.items() if parent == process.pid]:
            self._let_go(child)

    def _unwatch_end(self, process: Process) -> None:
        if process.pidfd is not None:
            self._loop.remove_reader(process.pidfd)
            self._kernel.close(process.pidfd)
            process.pidfd = None
