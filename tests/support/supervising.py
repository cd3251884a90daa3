"""A Supervisor with real processes, in a process of its own: it collects every child there is, which a test must not.

`Supervised` starts and commands it; run as a program this module is the other side. They exchange pickles
over a socket: what the supervisor is to do one way, what it delivers and logs the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import pickle
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from support.waiting import LIMIT
from upstartd.conf.model import Command, Expect, ProcessName, ProcessSettings
from upstartd.engine.effects import KillLeftovers, KillProcess, LogLine, ReloadProcess, Spawn
from upstartd.engine.inputs import ProcessEnded, ProcessForked, SpawnFailed
from upstartd.log import Log, Priority
from upstartd.proc.control_groups import ControlGroups
from upstartd.proc.kernel import LinuxKernel
from upstartd.proc.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from upstartd.engine.inputs import Input

T = TypeVar("T")

_LENGTH = struct.Struct("Q")  # before each pickle
PATH = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def _send(connection: socket.socket, what: object, files: Sequence[int] = ()) -> None:
    data = pickle.dumps(what)
    socket.send_fds(connection, [_LENGTH.pack(len(data))], list(files))
    connection.sendall(data)


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """What the other side has sent, and the files with it; EOFError when it has closed its end."""
    data, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 10, socket.MSG_WAITALL)
    if not data:
        raise EOFError
    (length,) = _LENGTH.unpack(data)
    data = b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    return pickle.loads(data), files


# -- the test's side --------------------------------------------------------------------------------------


def _ignore(number: int) -> None:
    """As whoever starts the supervisor may have left it; the C library refuses its own signals, the kernel does not."""
    if number in signal.valid_signals():
        signal.signal(number, signal.SIG_IGN)
        return
    call = {"x86_64": 13, "aarch64": 134}.get(os.uname().machine)
    if call is not None:
        library = ctypes.CDLL(None)
        assert library.syscall(call, number, (ctypes.c_ulong * 8)(signal.SIG_IGN), None, 8) == 0


class Supervised:
    """A running supervisor. `options` are those of Supervisor; `quick` False has it fork for every process.

    `ignore` are signals that are ignored at its start; `prepare` is called in its process before it begins.
    What it delivers comes into `inputs`, what it logs into `lines`, as it is waited for.
    """

    def __init__(
        self, *, quick: bool = True, ignore: Sequence[int] = (), prepare: Callable[[], object] | None = None,
        control_groups: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.supervising", str(theirs.fileno())], pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=lambda: [*map(_ignore, ignore), prepare and prepare()],
        )  # fmt: skip
        theirs.close()
        self.inputs: list[Input] = []
        self.lines: list[str] = []
        self._last_instance = 0
        _send(ours, {"quick": quick, "control_groups": control_groups, **options})

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()  # at which it kills what it has, and ends
        assert self._process.wait(LIMIT) == 0

    @property
    def pid(self) -> int:
        """The supervisor's own."""
        return self._process.pid

    def _order(self, what: object, files: Sequence[int] = ()) -> None:
        _send(self._socket, what, files)
        while select.select([self._socket], [], [], 0)[0]:  # lest each side waits for the other to read
            self._take_in()

    def spawn(
        self, text: str, *, script: bool = False, process: ProcessName = ProcessName.MAIN, env: Sequence[str] = (PATH,),
        expect: Expect = Expect.NONE, instance: int | None = None, files: dict[int, int] | None = None, **settings: Any,
    ) -> int:  # fmt: skip
        """Have a process started; gives its instance. `files` are number there -> descriptor here."""
        if instance is None:
            self._last_instance += 1
            instance = self._last_instance
        files = files or {}
        effect = Spawn(instance, process, f"job{instance}", f"job{instance}", "", Command(text, script), tuple(env),
                       ProcessSettings(**settings), expect, tuple(files))
        self._order(effect, list(files.values()))
        return instance

    def kill(self, instance: int, number: int = signal.SIGTERM) -> None:
        self._order(KillProcess(instance, ProcessName.MAIN, number))

    def reload(self, instance: int, number: int = signal.SIGHUP) -> None:
        self._order(ReloadProcess(instance, number, None))

    def kill_leftovers(self, instance: int, number: int = signal.SIGTERM, timeout: int = 5) -> None:
        self._order(KillLeftovers(instance, number, timeout))

    def grant_descriptors(self, granted: bool) -> None:
        """Leave the supervisor without one more descriptor, or with as many as it likes."""
        self._order(granted)

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        """Take in what the supervisor tells until `condition` gives something; that is given."""
        deadline = time.monotonic() + LIMIT
        while (found := condition()) is None:
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.inputs} {self.lines}"
            self._take_in()
        return found

    def _take_in(self) -> None:
        told, _ = _receive(self._socket)
        if isinstance(told, LogLine):
            self.lines.append(told.text)
        else:
            self.inputs.append(told)

    def wait_for_input(self, kind: type[T], instance: int) -> T:
        """The first input of this kind about this instance."""

        def first() -> T | None:
            return next((one for one in self.told(instance) if isinstance(one, kind)), None)

        return self.wait_for(first, f"{kind.__name__} of instance {instance}")

    def wait_for_line(self, text: str) -> str:
        """The first line of the log with `text` in it."""
        return self.wait_for(lambda: next((line for line in self.lines if text in line), None), f"the line {text!r}")

    def told(self, instance: int) -> list[Input]:
        """The inputs about this instance, so far."""
        return [one for one in self.inputs if getattr(one, "instance", None) == instance]

    def pid_of(self, instance: int) -> int:
        """The pid of the process that was forked for this instance."""
        return self.wait_for_input(ProcessForked, instance).pid

    def end_of(self, instance: int) -> ProcessEnded:
        """How the process of this instance, which did start, has ended."""
        end = self._outcome_of(instance)
        assert isinstance(end, ProcessEnded), end
        return end

    def _outcome_of(self, instance: int) -> ProcessEnded | SpawnFailed:

        ends: list[ProcessEnded | SpawnFailed] = []

        def told() -> bool | None:
            ends.extend(one for one in self.told(instance) if isinstance(one, ProcessEnded | SpawnFailed))
            return bool(ends) or None

        self.wait_for(told, f"the end of instance {instance}")
        return ends[0]

    def run(self, text: str, **options: Any) -> int | str | None:
        """Run a process to its end: its exit status, or the reason why it failed to start."""
        end = self._outcome_of(self.spawn(text, **options))
        return end.reason if isinstance(end, SpawnFailed) else end.status


# -- the other side ---------------------------------------------------------------------------------------


class ForkingKernel(LinuxKernel):
    """Takes the long way for every process."""

    def find_quick(self, programs: Sequence[bytes]) -> bytes | None:
        return None


class TellingLog(Log):
    """Sends its lines to the test."""

    def __init__(self, tell: Callable[[object], None]) -> None:
        super().__init__(Priority.DEBUG)
        self._tell = tell

    def write(self, priority: Priority, text: str) -> None:
        self._tell(LogLine(priority, text))


def _supervise(connection: socket.socket, options: dict[str, Any]) -> None:
    loop = asyncio.new_event_loop()

    def tell(what: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the test has seen enough
            _send(connection, what)

    kernel = LinuxKernel() if options.pop("quick") else ForkingKernel()
    log = TellingLog(tell)
    groups = ControlGroups(kernel, log, loop) if options.pop("control_groups") else None
    supervisor = Supervisor(kernel, deliver=tell, log=log, loop=loop, control_groups=groups, **options)
    supervisor.become_subreaper()
    loop.add_signal_handler(signal.SIGCHLD, supervisor.reap)
    def obey() -> None:
        try:
            what, received = _receive(connection)
        except (EOFError, ConnectionResetError):
            loop.stop()
            return
        match what:
            case Spawn():
                for number, fd in zip(what.files, received, strict=True):
                    os.dup2(fd, number, inheritable=False)
                    os.close(fd)
                supervisor.spawn(what)
            case KillProcess():
                supervisor.kill(what)
            case KillLeftovers():
                supervisor.kill_leftovers(what)
            case ReloadProcess():
                error = supervisor.reload(what)
                tell(LogLine(Priority.INFO, f"reload: {error.strerror if error else 'sent'}"))
            case bool(granted):
                hard = count = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                if not granted:
                    count = os.dup(0)  # the lowest number that is free
                    os.close(count)
                resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
                tell(LogLine(Priority.INFO, "descriptors granted" if granted else "no descriptors"))

    loop.add_reader(connection, obey)
    loop.run_forever()
    _kill_everything()
    loop.close()


def _kill_everything() -> None:
    """End all descendants: each comes to this process, their subreaper, when its parent has ended."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for pid in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0x40000000)  # __WALL


if __name__ == "__main__":
    # Out of the way of the files that are given to processes under low numbers.
    _high = fcntl.fcntl(int(sys.argv[1]), fcntl.F_DUPFD_CLOEXEC, 100)
    os.close(int(sys.argv[1]))
    with socket.socket(fileno=_high) as _connection:
        _supervise(_connection, _receive(_connection)[0])
