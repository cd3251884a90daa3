"""A kernel and an event loop that do what a test says, and remember what they were asked for."""

from __future__ import annotations

import errno
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from upstartd.conf.model import Command, Expect, ProcessName, ProcessSettings
from upstartd.engine.effects import Spawn
from upstartd.log import Log, Priority
from upstartd.proc.kernel import PTRACE_EVENT_EXEC, PTRACE_EVENT_FORK, PTRACE_EVENT_STOP, Kernel, ProcessStat
from upstartd.proc.supervisor import Supervisor
from upstartd.proc.user_database import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.engine.inputs import Input

DAEMON = 1000  # the daemon's pid, group and session
METHODS = frozenset(name for name in vars(Kernel) if not name.startswith("_"))


class Exited(BaseException):
    """The scripted process has ended, with `args[0]` as its status."""


class Executed(BaseException):
    """The scripted process is another program now."""


class InTurn(list[Any]):
    """An answer for each call; the last one stays."""


def refusal(number: int) -> OSError:
    """The system's refusal with this errno."""
    return OSError(number, os.strerror(number))


class ScriptedKernel:
    """Every method of Kernel, recorded in `calls` as (name, *arguments).

    `answers` has a method's answer: a value, an exception to be raised, a function to be called, or such InTurn.
    `news` are what wait() gives; `stats` are the processes there are.
    """

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.news: list[tuple[int, int]] = []
        self.stats: dict[int, ProcessStat] = {}
        self.messages: dict[int, int] = {}  # of the forks that traced processes stand at
        self.ended_pidfds: set[int] = set()
        self.written: dict[int, bytes] = {}
        self._last_fd = 100
        self.last_pid = 2000  # of the processes forked
        self.answers: dict[str, Any] = {
            "own_pid": DAEMON, "own_group": DAEMON, "own_uid": 0, "is_root": True, "wall_clock": 0.0,
            "pipe": lambda: (self.fresh_fd(), self.fresh_fd()),
            "make_script_file": lambda _: self.fresh_fd(), "open_null": self.fresh_fd,
            "open": lambda *_: self.fresh_fd(), "pidfd_open": lambda _: self.fresh_fd(),
            "read": BlockingIOError(errno.EAGAIN, "again"), "write": self._write,
            "fork": self._new_pid, "find_quick": None, "start_quick": lambda *_: self._new_pid(),
            "exit": self._exit, "execve": Executed(), "user": User(b"web", 33, 34), "group": 35, "handled_signals": [],
            "wait": lambda: self.news.pop(0) if self.news else None, "getpgid": lambda pid: pid,
            "stat": self.stats.get, "pids": lambda: list(self.stats),
            "event_message": self.messages.__getitem__,
            "pidfd_has_ended": lambda fd: fd in self.ended_pidfds,
        } | answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in METHODS:
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        answer = self.answers.get(name)
        if isinstance(answer, InTurn):
            answer = answer[0] if len(answer) == 1 else answer.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer(*arguments) if callable(answer) else answer

    def fresh_fd(self) -> int:
        """A descriptor that was not open before; the numbers go up from 101."""
        self._last_fd += 1
        return self._last_fd

    def _new_pid(self) -> int:
        self.last_pid += 1
        return self.last_pid

    def _write(self, fd: int, data: bytes) -> int:
        self.written[fd] = self.written.get(fd, b"") + data
        return len(data)

    def _exit(self, status: int) -> None:
        raise Exited(status)

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls of these methods, in order."""
        return [call for call in self.calls if call[0] in names]

    def take(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls of these methods since the last time."""
        found = self.named(*names)
        self.calls = [call for call in self.calls if call[0] not in names]
        return found


class ScriptedLoop:
    """An event loop that the test turns by hand."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}
        self.timers: list[ScriptedTimer] = []
        self.soon: list[Callable[[], object]] = []
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        assert fd not in self.readers
        self.readers[fd] = callback

    def remove_reader(self, fd: int, /) -> None:
        del self.readers[fd]

    def call_later(self, delay: float, callback: Callable[..., object], /, *arguments: object) -> ScriptedTimer:
        timer = ScriptedTimer(self, delay, partial(callback, *arguments))
        self.timers.append(timer)
        return timer

    def call_at(self, when: float, callback: Callable[[], object], /) -> ScriptedTimer:
        return self.call_later(when - self.now, callback)

    def call_soon(self, callback: Callable[..., object], /, *arguments: object) -> None:
        self.soon.append(partial(callback, *arguments))

    def turn(self) -> bool:
        """Call what is to be called soon, or after no time; gives whether there was anything."""
        due = [timer for timer in self.timers if timer.delay <= 0]
        self.timers = [timer for timer in self.timers if timer.delay > 0]
        callbacks, self.soon = [*self.soon, *(timer.callback for timer in due)], []
        for callback in callbacks:
            callback()
        return bool(callbacks)

    def let_time_pass(self) -> float:
        """Call the timer that was set first; gives its delay."""
        timer = self.timers.pop(0)
        timer.callback()
        return timer.delay


class ScriptedTimer:
    """A timer of a ScriptedLoop."""

    def __init__(self, loop: ScriptedLoop, delay: float, callback: Callable[[], object]) -> None:
        self.loop, self.delay, self.callback = loop, delay, callback

    def cancel(self) -> None:
        self.loop.timers.remove(self)


# -- wait statuses (waitpid(2), ptrace(2)) ----------------------------------------------------------------


def exited(status: int) -> int:
    return status << 8


def killed(number: int) -> int:
    return number


def stopped(number: int) -> int:
    return number << 8 | 0x7F


CONTINUED = 0xFFFF
AT_FORK = PTRACE_EVENT_FORK << 16 | stopped(signal.SIGTRAP)
AT_EXEC = PTRACE_EVENT_EXEC << 16 | stopped(signal.SIGTRAP)
NEWBORN = PTRACE_EVENT_STOP << 16 | stopped(signal.SIGTRAP)


def held(number: int) -> int:
    """The status of a traced process that job control stops."""
    return PTRACE_EVENT_STOP << 16 | stopped(number)


class RecordedLog(Log):
    """Keeps its lines; those of warnings and worse begin with `init: `, as where they are written."""

    def __init__(self, priority: Priority) -> None:
        super().__init__(priority)
        self.lines: list[str] = []

    def write(self, priority: Priority, text: str) -> None:
        self.lines.append(f"init: {text}" if priority >= Priority.WARN else text)


# -- what is started --------------------------------------------------------------------------------------


def spawn_effect(
    text: str = "program --flag", *, script: bool = False, instance: int = 1, process: ProcessName = ProcessName.MAIN,
    env: tuple[str, ...] = ("PATH=/one:/two",), expect: Expect = Expect.NONE, files: tuple[int, ...] = (),
    root: str = "", **settings: Any,
) -> Spawn:  # fmt: skip
    """What the engine asks for to start a process of the job `web`; `settings` are stanzas."""
    return Spawn(
        instance, process, "web", "web", "", Command(text, script), env, ProcessSettings(**settings), expect, files,
        root,
    )  # fmt: skip


class Stage:
    """A Supervisor on a scripted kernel and loop; `inputs` are what it has delivered, `log` what it has said."""

    def __init__(self, **options: Any) -> None:
        self.kernel = ScriptedKernel()
        self.loop = ScriptedLoop()
        self.inputs: list[Input] = []
        self._log = RecordedLog(Priority.DEBUG)
        self.supervisor = Supervisor(
            self.kernel, deliver=self.inputs.append, log=self._log, loop=self.loop,
            **options,
        )  # fmt: skip

    def spawn(self, **options: Any) -> int:
        """Start a process by a fork and give its pid."""
        self.supervisor.spawn(spawn_effect(**options))
        return self.kernel.last_pid

    def report(self, text: bytes = b"") -> None:
        """Have the one process whose set-up is awaited say how that went; b"": its program is executed."""
        (fd,) = [fd for call, fd, *_ in self.kernel.named("set_blocking") if fd in self.loop.readers]
        self.kernel.answers["read"] = text
        self.loop.readers[fd]()

    def happens(self, *news: tuple[int, int]) -> None:
        """The kernel has these news, (pid, status) each, and SIGCHLD comes."""
        self.kernel.news += news
        self.supervisor.reap()

    def process(
        self, pid: int, state: str = "S", parent: int = DAEMON, session: int = 0, group: int = 0, exit_code: int = 0,
        start_time: int = 7,
    ) -> None:  # fmt: skip
        """There is such a process."""
        self.kernel.stats[pid] = ProcessStat(state, parent, group or session, session, start_time, exit_code)

    def take_inputs(self) -> list[Input]:
        """What has been delivered since the last time."""
        taken = self.inputs[:]
        self.inputs.clear()
        return taken

    def take_log(self) -> list[str]:
        """The lines logged since the last time."""
        taken = self._log.lines[:]
        self._log.lines.clear()
        return taken
