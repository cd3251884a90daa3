"""The composition root: builds the parts of the daemon, connects them, and carries out what the engine asks for.

It decides nothing about jobs. Inputs come from the bus, the job files, the processes, signals and the clock,
one at a time, through submit(); each effect goes to the part whose business it is. Source: runtime
specification, sections 1, 3 and 9; design, Shape and Ending in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from upstartd import container, pid1, places, session_file
from upstartd.bus.bus_keeper import BusKind
from upstartd.bus.service import BusService
from upstartd.cli import Mode
from upstartd.conf.model import JobFiles
from upstartd.conf.parse_cache import ParseCache
from upstartd.conf.reader import JobReader
from upstartd.descriptors import fill_standard, memory_file
from upstartd.engine import effects, inputs, snapshot
from upstartd.engine.core import Engine
from upstartd.engine.ending import Phase
from upstartd.engine.world import World
from upstartd.errors import OperationFailed, UpstartdError
from upstartd.log import Log, Priority
from upstartd.machine import LinuxMachine
from upstartd.pid1 import Pid1
from upstartd.proc import apparmor
from upstartd.proc.control_groups import ControlGroups
from upstartd.proc.job_logs import JobLogs
from upstartd.proc.kernel import LinuxKernel
from upstartd.proc.login_records import LoginRecords
from upstartd.proc.supervisor import Supervisor
from upstartd.reexecution import Program
from upstartd.state import handover

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from upstartd.bus.host import Host
    from upstartd.chroot_session import ChrootSession
    from upstartd.cli import Options

_SIGNALS = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGPWR, signal.SIGCHLD,
                      *pid1.WAYS_DOWN})
_STANDARD_ERROR = 2
_UMASK = 0o022
_BUS_ADDRESS = {
    BusKind.SYSTEM: ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket"),
    BusKind.SESSION: ("DBUS_SESSION_BUS_ADDRESS", ""),
}


def run(options: Options) -> int:
    """Be the daemon that `options` ask for, until it is told to end; gives its exit status."""
    # A signal that comes before its handler is there would end the daemon: it waits. (What is blocked stays so
    # over a re-execution.)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    faulthandler.enable(_STANDARD_ERROR)
    gc.freeze()  # What was imported stays.
    log = Log(options.priority)
    program = Program(options.state_fd)
    machine = LinuxMachine()
    first: Pid1 | None = None
    if os.getpid() == 1 and options.mode is Mode.SYSTEM:
        first = Pid1(machine, log, container.detect(os.environ))
        first.prepare(sys.argv[0], restarted=options.restart)
    else:
        try:
            fill_standard(machine)
        except OSError as error:
            log.warn(f"Unable to open /dev/null: {error.strerror}")
    status = asyncio.run(_run(options, log, program, first))
    if first is not None:
        first.end()
    return status


async def _run(options: Options, log: Log, program: Program, first: Pid1 | None) -> int:
    return await Daemon(options, log, program, first).main()


def own_environment() -> list[bytes]:
    """What the daemon was given at exec, entry by entry, without what Python adds to it for itself (design, 40)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return file.read().split(b"\0")[:-1]
    except OSError:
        # A container without /proc has more to do without than the difference.
        return [name + b"=" + value for name, value in os.environb.items()]


class Daemon:
    """One running daemon; bus/host.py is what method calls see of it. Needs a running loop.

    `first` is there when it runs the system as process 1.
    """

    root = ""

    def __init__(self, options: Options, log: Log, program: Program, first: Pid1 | None) -> None:
        self._options = options
        self._program = program
        self._first = first
        self._loop = asyncio.get_running_loop()
        self._given = own_environment()
        entries = (entry.decode("utf-8", "surrogateescape") for entry in self._given)
        self._environ = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        if first is not None:
            self._environ |= first.environment()
        uid, pid = os.geteuid(), os.getpid()
        user = options.mode is Mode.USER
        self.is_pid_1 = pid == 1
        self.only_root_may_change = uid == 0 and not user
        self.log = log
        self._places = places.find(options, self._environ, uid=uid, pid=pid)
        small: dict[str, str] = {name: self._environ[name] for name in ("PATH", "TERM") if name in self._environ}
        table = small | self._environ if options.inherit_env else small
        self._table = table
        self._apparmor = apparmor.is_in_use()
        self.engine = self._new_engine()
        self._sessions: dict[str, ChrootSession] = {}  # by their root directories
        self._reader = JobReader(
            self._places.job_directories,
            take=partial(self.take_job_files, self),
            report=self.log.write,
            loop=self._loop,
            cache=self._new_parse_cache(),
        )
        self._kernel = LinuxKernel()
        self._kernel.raise_file_limit()  # two for each process whose output is kept
        self._logs = JobLogs(
            self._kernel,
            directory=self._places.log_directory if options.log_jobs else None,
            log=self.log,
            loop=self._loop,
        )
        self._supervisor = Supervisor(
            self._kernel,
            deliver=self._deliver,
            log=self.log,
            loop=self._loop,
            umask=None if options.inherit_env else _UMASK,
            directory=None if user else "/",
            console=options.default_console,
            debug=options.priority is Priority.DEBUG,
            logs=self._logs,
            control_groups=ControlGroups(self._kernel, self.log, self._loop) if options.cgroups else None,
            apparmor=self._apparmor,
            login_records=LoginRecords(time.time) if self.only_root_may_change else None,
        )
        self._bus = BusService(self)
        self._inbox: deque[tuple[Daemon | ChrootSession, inputs.Input]] = deque()
        self._at_work = False
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[int] = self._loop.create_future()
        announce: Callable[[Any], object] = self._bus.announce
        self.perform: dict[type, Callable[[Any], object]] = {
            **dict.fromkeys(effects.ANNOUNCEMENTS, announce),
            effects.Reply: self._bus.answer,
            effects.ReplyError: self._bus.answer,
            effects.Spawn: self._supervisor.spawn,
            effects.KillProcess: self._supervisor.kill,
            effects.KillLeftovers: self._supervisor.kill_leftovers,
            effects.ReloadProcess: self._reload_process,
            effects.CloseFile: lambda effect: os.close(effect.file),
            effects.LogLine: lambda effect: self.log.write(effect.priority, effect.text),
            effects.UpdateActivationEnvironment: self._update_activation_environment,
            effects.EndDaemon: self._end,
        }

    def _new_engine(self, root: str = "") -> Engine:
        """An engine for the daemon's own jobs, or for those of the chroot session with this root directory."""
        address = self._places.socket_address if self._options.mode is Mode.USER else None
        uids = self.engine.world.uids if root else None
        return Engine(World(self._table, self._environ, address, apparmor=self._apparmor, root=root, uids=uids))

    def _new_parse_cache(self) -> ParseCache | None:
        directory = self._places.cache_directory
        if directory is None:
            return None
        return ParseCache(directory, self._places.job_directories, report=self.log.write)

    # -- inputs and effects -----------------------------------------------------------------------------

    def submit(self, what: inputs.Input) -> None:
        """Give the engine an input and carry out what follows, after all inputs that came before.

        What comes up while effects are carried out (a fork that fails, say) waits until that is done.
        """
        self.submit_for(self, what)

    def submit_for(self, whose: Daemon | ChrootSession, what: inputs.Input) -> None:
        """The same with the engine of a chroot session. One inbox for all keeps what happens in its order."""
        self._inbox.append((whose, what))
        if self._at_work:
            return
        self._at_work = True
        try:
            while self._inbox:
                self._handle(*self._inbox.popleft())
        finally:
            self._at_work = False
        if self._sessions:
            self._loop.call_soon(self._forget_idle_sessions)  # not in the midst of reading its files, say
        self._set_timer()

    def _handle(self, whose: Daemon | ChrootSession, what: inputs.Input) -> None:
        world = whose.engine.world
        world.log_priority = self.log.priority
        try:
            wanted = whose.engine.step(what, self._loop.time())
        except Exception as why:
            # What the engine wanted by then has become facts to it, and is carried out all the same.
            wanted = world.effects
            error = self.log.fault(why)
            if caller := getattr(what, "caller", None):
                self._bus.answer(effects.ReplyError(caller, error))
        for effect in wanted:
            try:
                whose.perform[type(effect)](effect)
            except Exception as why:
                error = self.log.fault(why)
                if isinstance(effect, effects.Spawn) and not self._supervisor.has(effect):
                    # It would be waited for, by the job and by those who wait for the job.
                    self.submit_for(whose, inputs.SpawnFailed(effect.instance, effect.process, error.message))
        if self._sessions and whose is self:
            self._tell_sessions(what)

    def _deliver(self, what: inputs.ProcessNews) -> None:
        """Give what happened to a process to the engine that has its instance."""
        whose = (one for one in self._sessions.values() if what.instance in one.engine.world.instances)
        self.submit_for(next(whose, self), what)

    def _set_timer(self) -> None:
        due = self.engine.next_deadline()
        if self._sessions:
            dues = [due, *(session.engine.next_deadline() for session in self._sessions.values())]
            due = min((one for one in dues if one is not None), default=None)
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.submit(inputs.TimePassed())

    def _reload_process(self, effect: effects.ReloadProcess) -> None:
        error = self._supervisor.reload(effect)
        if error is None:
            self._bus.answer(effects.Reply(effect.caller))
        else:
            failure = OperationFailed(error.strerror or str(error))
            self._bus.answer(effects.ReplyError(effect.caller, failure))

    def _update_activation_environment(self, effect: effects.UpdateActivationEnvironment) -> None:
        if self._options.mode is Mode.USER:
            self._bus.update_activation_environment(effect)

    def _end(self, effect: effects.EndDaemon) -> None:
        """Some engine is at its end: with the last of them the daemon is."""
        if not self._ended.done() and all(engine.ending.phase is Phase.OVER for engine in self._engines()):
            self._ended.set_result(effect.status)

    def _engines(self) -> list[Engine]:
        return [self.engine, *(session.engine for session in self._sessions.values())]

    # -- what method calls ask for (bus/host.py) -----------------------------------------------------------

    def take_in_file_changes(self) -> None:
        """Read the job files whose changes the watches have already seen."""
        self._reader.take_in_changes()

    def reload_configuration(self, done: Callable[[], object] = lambda: None) -> None:
        """Read every job directory again, those of chroot sessions too, and then call `done`."""
        self.log.info("Reloading configuration")
        self._reload_each(deque([self._reader, *(session.reader for session in self._sessions.values())]), done)

    def _reload_each(self, readers: deque[JobReader], done: Callable[[], object]) -> None:
        if readers:
            readers.popleft().reload(partial(self._reload_each, readers, done))
        else:
            done()

    def take_job_files(self, whose: Daemon | ChrootSession, files: JobFiles) -> None:
        """Job files of the daemon, or of a chroot session, were read."""
        self._logs.job_was_read(files.name, whose.root)
        self.submit_for(whose, files)

    def state_as_json(self) -> str:
        """The daemon's whole state, for GetState."""
        return self._as_json(self._state())

    def _as_json(self, state: handover.DaemonState) -> str:
        sessions = [session.describe() for session in self._sessions.values()]
        return handover.to_json(state, self._reader.sources.describe(), sessions)

    def _state(self) -> handover.DaemonState:
        return handover.DaemonState(
            bus_address=self._bus.bus_address if self._options.mode is Mode.USER else None,
            log_priority=self.log.priority.word,
            engine=snapshot.take(self.engine),
            processes=self._supervisor.take_state(),
            logs=self._logs.take_state(),
        )

    def disk_is_writeable(self) -> None:
        """Write out the job output that was held, OperationFailed where that does not work; and the cache."""
        self._reader.save_cache()
        error = self._logs.write_held()
        if error is not None:
            raise OperationFailed(error.strerror or str(error))

    async def notify_dbus_address(self, address: str) -> None:
        """Connect to that bus and take the name there; an UpstartdError where that does not work."""
        await self._bus.connect_bus(address, BusKind.NOTIFIED)

    def restart(self) -> None:
        """Execute the daemon anew, in the same process. Who asked for it is never answered."""
        if self._first is not None and self._first.way_down is not None:
            return  # It would not be worth it any more, and the new one would not know in which way to end.
        self.log.info("Restarting")
        try:
            self._program.try_out(self._given)
            self._execute_anew()
        except (OSError, ValueError) as error:
            self.log.error(f"Failed to re-execute {self._program.path}: {getattr(error, 'strerror', None) or error}")

    def _execute_anew(self) -> NoReturn:
        """Raises OSError, or ValueError for what the system cannot even be given, and all is as it was then."""
        self.log.info("Performing stateful re-exec")
        for session in self._sessions.values():
            if session.engine.world.instances:
                self.log.warn(f"cannot keep jobs of the chroot session {session.root}: their processes run on alone")
        for engine in self._engines():
            for _ in range(snapshot.waiting_callers(engine)):
                self.log.warn("D-Bus blocked objects not being serialised yet")
        with contextlib.ExitStack() as undo:
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            undo.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, _SIGNALS)
            state_fd = self._pass_state_on(undo)
            self._bus.flush()
            self._kernel.restore_file_limit()
            undo.callback(self._kernel.raise_file_limit)
            self._program.execute(state_fd, self._given)

    def _pass_state_on(self, undo: contextlib.ExitStack) -> int | None:
        """A file with the state, open as all that the state is about, until it is undone; None: it cannot be had."""
        try:
            state = self._state()
            text = self._as_json(state).encode()
        except Exception as why:
            # Better a daemon without its jobs than none that can be updated.
            self.log.error("Failed to generate serialisation data - reverting to stateless re-exec")
            self.log.fault(why)
            return None
        if self._options.write_state_file:
            self._write_state_file(text)
        self.log.info(f"Passing state from PID {os.getpid()} to parent")
        state_fd = memory_file("state", text)
        undo.callback(os.close, state_fd)
        for file in (state_fd, *state.descriptors()):
            os.set_inheritable(file, True)
            undo.callback(os.set_inheritable, file, False)
        return state_fd

    def _write_state_file(self, state: bytes | bytearray) -> None:
        """Keep a copy of the state, for people."""
        path = os.path.join(self._places.log_directory or ".", "upstart.state")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
                stream.write(state)
        except OSError as error:
            self.log.warn(f"cannot write {path}: {error.strerror}")

    def _take_over(self, descriptor: int) -> str | None:
        """Go on from the state that can be read there; gives the bus that the daemon had been told of.

        What is no state is kept as a file for people, and nothing is taken from it: the jobs begin anew, and what
        runs is left to run.
        """
        received = bytearray()
        try:
            handover.receive(descriptor, self._options.state_wait, received)
            state = handover.from_json(received)
            engine = self._new_engine()
            snapshot.put(state.engine, engine)
            for file in state.descriptors():
                os.set_inheritable(file, False)
        except (OSError, ValueError, OverflowError) as why:  # a number in it that no descriptor has
            self.log.error("Failed to read serialisation data - reverting to stateless re-exec")
            self.log.warn(f"cannot take over the state: {why}")
            self._write_state_file(received)
            return None
        self.engine = engine
        self.log.priority = Priority.from_word(state.log_priority)
        self._supervisor.put_state(state.processes)
        self._logs.put_state(state.logs)
        for effect in engine.resume():
            self.perform[type(effect)](effect)
        self.log.info("Stateful re-exec completed")
        return state.bus_address

    # -- chroot sessions ------------------------------------------------------------------------------------

    @property
    def daemon(self) -> Daemon:
        """The daemon that these jobs are of: itself."""
        return self

    def session(self, root: str) -> Host | None:
        """The jobs of the chroot session with this root directory, if it is there; the daemon's own for ""."""
        return self._sessions.get(root) if root else self

    def enter_session(self, root: str) -> Host:
        """The same for a caller from there: with the first one the session begins."""
        return self.session(root) or self._begin_session(root)

    def _begin_session(self, root: str) -> ChrootSession:
        from upstartd.chroot_session import ChrootSession  # only who has sessions has to wait for it

        engine = self._new_engine(root)
        engine.world.environment = dict(self.engine.world.environment)
        perform = self.perform | dict.fromkeys(effects.ANNOUNCEMENTS, partial(self._bus.announce, root=root))
        perform[effects.UpdateActivationEnvironment] = lambda _: None  # The daemon's own engine asks for it as well.
        session = self._sessions[root] = ChrootSession(root, self, engine, perform, self._loop)
        session.load()
        if self.engine.ending.phase is not Phase.NONE:
            session.submit(inputs.EndInOrder())
        return session

    def _tell_sessions(self, what: inputs.Input) -> None:
        """Give the sessions their part in what the daemon's own engine was told."""
        from upstartd.chroot_session import for_sessions  # as above

        theirs = for_sessions(what)
        if theirs is not None:
            for session in list(self._sessions.values()):
                self._handle(session, theirs)

    def client_left(self, root: str) -> None:
        """A private client of the session with this root directory has gone."""
        self._loop.call_soon(self._forget_idle_sessions)

    def _forget_idle_sessions(self) -> None:
        """Forget sessions that have no client, and know no more than their job files say: those can be read again."""
        for root, session in list(self._sessions.items()):
            if session.engine.is_idle and not self._bus.has_clients(root):
                del self._sessions[root]
                session.close()

    # -- from the start to the end --------------------------------------------------------------------------

    async def main(self) -> int:
        """Run until the end; gives the exit status."""
        self._loop.set_exception_handler(self._callback_failed)
        bus_address = None
        if self._options.state_fd is not None:
            bus_address = self._take_over(self._options.state_fd)
        self._handle_signals()
        for sentence in self._places.left_out:
            self.log.warn(sentence)
        self._make_own_directories()
        is_subreaper = self.is_pid_1 or self._become_subreaper()
        taken_over = set(self.engine.classes)
        self._reader.load()
        for name in sorted(taken_over - self._reader.sources.jobs()):
            self.submit(JobFiles(name, ()))  # its file went while nobody looked
        self._listen()
        await self._connect_bus()
        self._write_session_file()
        if bus_address is not None:
            await self._connect_notified(bus_address)
        if self._options.restart:
            if self._options.state_fd is None:
                self.log.warn("Stateful re-exec supported but stateless re-exec requested")
            self._bus.announce_restart()
        else:
            if not is_subreaper:
                self.submit(inputs.EmitEvent("child-subreaper-failed"))
            if self._options.emits_startup_event:
                self.submit(inputs.EmitEvent(self._options.startup_event))
        if self._first is not None:
            self._first.started()
        status = await self._ended
        self._logs.close()
        self._bus.close()
        self._remove_session_file()
        return status

    def _callback_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something raised where nobody handles it: a bug of ours, but no reason to end."""
        self.log.fault(context.get("exception") or context["message"])

    def _handle_signals(self) -> None:
        handlers: dict[int, Callable[[], object]] = {
            signal.SIGCHLD: self._supervisor.reap,
            signal.SIGHUP: self.reload_configuration,
            signal.SIGUSR1: self._bus.reconnect,  # which means nothing where there never was a bus
        }
        match self._options.mode:
            case Mode.USER:
                handlers[signal.SIGTERM] = lambda: self.submit(inputs.EndSession("shutdown"))
            case Mode.SESSION:
                handlers[signal.SIGTERM] = self._restart_by_signal
            case Mode.SYSTEM if self._first is not None:
                handlers |= self._signals_of_process_1(self._first)
            case Mode.SYSTEM:
                handlers[signal.SIGTERM] = lambda: self.submit(inputs.EndInOrder())
                handlers[signal.SIGINT] = handlers[signal.SIGTERM]
        for number in _SIGNALS - handlers.keys():
            signal.signal(number, signal.SIG_DFL)
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        # What ended before the handler was there has been told already.
        self._supervisor.reap()

    def _signals_of_process_1(self, first: Pid1) -> dict[int, Callable[[], object]]:
        def emit(event: str) -> Callable[[], object]:
            return lambda: self.submit(inputs.EmitEvent(event))

        def go_down(way: pid1.WayDown) -> Callable[[], object]:
            def go() -> None:
                first.way_down = first.way_down or way
                self.submit(inputs.EndInOrder(way.runlevel, way.announced))
            return go

        handlers = {number: go_down(way) for number, way in pid1.WAYS_DOWN.items()}
        handlers[signal.SIGTERM] = self._restart_by_signal if first.container is None else go_down(pid1.CONTAINER_S_END)
        handlers[signal.SIGINT] = emit("control-alt-delete")
        handlers[signal.SIGPWR] = emit("power-status-changed")
        if first.has_keyboard:
            handlers[signal.SIGWINCH] = emit("keyboard-request")
        return handlers

    def _restart_by_signal(self) -> None:
        self.log.warn(f"Re-executing {self._program.path}")
        self.restart()

    def _become_subreaper(self) -> bool:
        try:
            self._supervisor.become_subreaper()
        except OSError as error:
            self.log.warn(f"Unable to register as subreaper: {error.strerror}")
            return False
        return True

    def _make_own_directories(self) -> None:
        for path in self._places.own_directories:
            try:
                places.make_private_directory(path)
            except OSError as error:
                self.log.warn(f"cannot make the directory {path}: {error.strerror}")

    def _listen(self) -> None:
        name = self._places.socket_name
        if name is None:
            return
        try:
            uids = frozenset({0, os.geteuid()})
            self._bus.listen_private(name, uids, chroot_sessions=self._options.chroot_sessions)
        except OSError as error:
            self.log.warn(f"Unable to listen for private connections: {error.strerror}")

    async def _connect_bus(self) -> None:
        """Get onto the bus, where there is one; one that comes later is gone to then."""
        if self._options.mode is Mode.USER:
            return
        kind = BusKind.SYSTEM if self._options.mode is Mode.SYSTEM else BusKind.SESSION
        if not self._options.use_bus:
            self.log.info(f"Not connecting to {kind.name.lower()} bus")
            return
        variable, usual = _BUS_ADDRESS[kind]
        try:
            await self._bus.connect_bus(self._environ.get(variable) or usual, kind, keep_trying=True)
        except UpstartdError as why:
            self.log.debug(f"Not on the {kind.value} yet: {why.message}")

    async def _connect_notified(self, address: str) -> None:
        try:
            await self.notify_dbus_address(address)
        except UpstartdError as why:
            self.log.warn(f"Unable to connect to the {BusKind.NOTIFIED.value}: {why.message}")

    def _write_session_file(self) -> None:
        path, address = self._places.session_file, self._places.socket_address
        if path is None or address is None:
            return
        try:
            session_file.write(path, address)
        except session_file.SessionFileError as error:
            self._tell_session_file_error(error)

    def _remove_session_file(self) -> None:
        if self._places.session_file is None:
            return
        try:
            session_file.remove(self._places.session_file)
        except session_file.SessionFileError as error:
            self._tell_session_file_error(error)

    def _tell_session_file_error(self, error: session_file.SessionFileError) -> None:
        self.log.error(str(error))
        self.log.info(f"The session file is not as it should be because of: {error.reason}")
