"""shutdown(8): warns everybody who is logged in, waits, and then has the runlevel changed.

Where process 1 is another init, nobody is warned and no login is refused, since the machine goes on: only upstartd's
jobs are told, when the time has come. Not responsible for what follows from a runlevel. Source: clients specification,
section 3.
"""

from __future__ import annotations

import fcntl
import math
import os
import pwd
import signal
import struct
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients import runlevels
from upstartd_clients.broadcast import tell_everybody
from upstartd_clients.errors import ConnectionFailed, LocalError, UsageError
from upstartd_clients.machine import Machine
from upstartd_clients.options import Option
from upstartd_clients.output import run_program
from upstartd_clients.telinit import say_whose, system_daemon
from upstartd_clients.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from upstartd_clients.output import Output

TOOL = Tool(
    ("[OPTION]... TIME [MESSAGE]...", "-c [MESSAGE]..."), "Bring the system down at some time.",
    "TIME is `now', hh:mm, or a number of minutes, with or without a `+'. Until then everybody who is logged in is "
    "warned, with MESSAGE, and for the last five minutes nobody else can log in. Then the runlevel changes: to 0 or 6, "
    "or without an option to 1, for maintenance. Where process 1 is another init, its shutdown brings the machine "
    "down: this one tells upstartd's jobs only.",
    (Option(short="r", help="reboot"),
     Option(short="h", help="halt or power off, as the system prefers"),
     Option(short="H", help="halt"),
     Option(short="P", help="power off"),
     Option(short="c", help="call off a shutdown that waits"),
     Option(short="k", help="only warn"),
     Option(short="g", value="TIME", help="the same as TIME as the first argument"),
     *(Option(short=letter, help="ignored") for letter in "anfFy"),
     Option(short="i", value="LEVEL", help="ignored"),
     Option(short="t", value="SECONDS", help="ignored")))

NO_LOGIN_MINUTES = 5
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)  # which call it off

# A request to a System V init (its initreq.h): magic number, command, runlevel, seconds to wait, and 368 bytes that are
# for the command.
_REQUEST = struct.Struct("=iiii368s")
_REQUEST_MAGIC = 0x03091969
_CHANGE_RUNLEVEL, _SET_VARIABLE = 1, 6


class Plan(NamedTuple):
    """What is to happen: the runlevel with further variables for the event, and what people call that."""

    level: str
    env: tuple[str, ...]
    kind: str
    message: str
    only_warn: bool

    def warning(self, minutes: int) -> str:
        """What everybody is told so many minutes before."""
        when = f"in {minutes} minute{'' if minutes == 1 else 's'}" if minutes else "NOW"
        text = f"The system is going down for {self.kind} {when}!"
        return f"{text}\n{self.message}" if self.message else text


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output, machine: Machine | None = None) -> int:
    """Carry out a command line of shutdown; gives the exit code when the time has come, or it was called off."""
    machine = machine or Machine()
    read = TOOL.read(arguments, output)
    if read is None:
        return 0
    options, words = read
    if "c" in options:
        machine.must_be_root()
        call_off(" ".join(words), machine)
        return 0
    when = options.value("g")
    if when is None:
        if not words:
            raise UsageError("time expected")
        when = words.pop(0)
    seconds = seconds_until(when, machine.now())
    action = options.last("r", "h", "H", "P")
    level = {None: "1", "r": "6"}.get(action, "0")
    init_halt = {None: "", "H": "HALT", "P": "POWEROFF"}[options.last("H", "P")] if level == "0" else ""
    kind = {"1": "maintenance", "6": "reboot"}.get(level, "halt" if init_halt == "HALT" else "power off")
    plan = Plan(level, (f"INIT_HALT={init_halt}",) if init_halt else (), kind, " ".join(words), "k" in options)
    machine.must_be_root()
    if plan.only_warn and not machine.is_ours():
        raise LocalError(f"cannot warn: process 1 is {machine.init()}, which has its own program for that")
    say_whose(level, machine, output)
    with signals_held(), only_one(machine), no_login_left(machine):
        if not count_down(plan, seconds, machine):
            output.line("Shutdown cancelled")
        elif not plan.only_warn:
            change_runlevel(plan, environ, machine)
    return 0


# -- when -------------------------------------------------------------------------------------------------------------


def seconds_until(text: str, now: float) -> float:
    """How long it is until the time that `text` says; `now` is in seconds since the epoch. UsageError if it is none."""
    if text == "now":
        return 0
    hour, colon, minute = text.partition(":")
    if not colon:
        minutes = text.removeprefix("+")
        if not _is_number(minutes):
            raise UsageError("illegal time value")
        return int(minutes) * 60
    if not _is_number(hour) or int(hour) > 23:
        raise UsageError("illegal hour value")
    if not _is_number(minute) or int(minute) > 59:
        raise UsageError("illegal minute value")
    here = time.localtime(now)
    ahead = (int(hour) - here.tm_hour) * 60 + int(minute) - here.tm_min
    # The minute that has begun is now.
    return max(ahead % (24 * 60) * 60 - (here.tm_sec + now % 1), 0)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def warnings(seconds: float) -> Iterator[tuple[float, int]]:
    """When to warn of something that is so many seconds ahead: seconds before it, and the minutes to tell."""
    minutes = math.ceil(seconds / 60)
    if minutes:
        yield seconds, minutes
    for left in range(minutes - 1, 0, -1):
        if left % (1 if left < 10 else 15 if left < 60 else 30 if left < 180 else 60) == 0:
            yield left * 60, left


def count_down(plan: Plan, seconds: float, machine: Machine) -> bool:
    """Warn and wait until the time has come; whether it has, and was not called off."""
    left = seconds
    for ahead, minutes in warnings(seconds):
        if machine.wait(left - ahead, _SIGNALS):
            return False
        left = ahead
        warn(plan, minutes, machine)
    if machine.wait(left, _SIGNALS):
        return False
    warn(plan, 0, machine)
    return True


def warn(plan: Plan, minutes: int, machine: Machine) -> None:
    """Tell everybody, and near the end also those who want to log in. Beside another init there is nothing to tell."""
    if not machine.is_ours():
        return
    text = plan.warning(minutes)
    tell_everybody(text, machine, _sender())
    if 0 < minutes <= NO_LOGIN_MINUTES:
        with suppress(OSError), open(machine.nologin, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{text}\n")


def _sender() -> str:
    """Who does this, and where."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


@contextmanager
def signals_held() -> Iterator[None]:
    """Leave the signals that call it off to Machine.wait(). A terminal that goes away does not call it off."""
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGHUP, hang_up)


@contextmanager
def no_login_left(machine: Machine) -> Iterator[None]:
    """At the end, let people log in again."""
    try:
        yield
    finally:
        if machine.is_ours():
            with suppress(OSError):
                os.unlink(machine.nologin)


# -- only one at a time -----------------------------------------------------------------------------------------------


def _pid_file(machine: Machine) -> str:
    return machine.pid_file if machine.is_ours() else machine.pid_file_beside


@contextmanager
def only_one(machine: Machine) -> Iterator[None]:
    """Be the one shutdown that runs; LocalError if another one does.

    Who runs holds a lock on the file with its pid, so that one that was left behind means nothing, whatever process
    has that pid now. The file itself stays.
    """
    path = _pid_file(machine)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError("Another shutdown is already running") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def call_off(message: str, machine: Machine) -> None:
    """End the shutdown that runs, and tell everybody `message` if there is one; LocalError if none runs."""
    try:
        file = os.open(_pid_file(machine), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise LocalError("Cannot find pid of running shutdown") from None
    try:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            raise LocalError("Shutdown is not running")
        pid = os.read(file, 32).strip()
        if not pid.isdigit() or int(pid) <= 1:
            raise LocalError("Cannot find pid of running shutdown")
        try:
            os.kill(int(pid), signal.SIGINT)
        except ProcessLookupError:
            raise LocalError("Shutdown is not running") from None
    finally:
        os.close(file)
    if message and machine.is_ours():
        tell_everybody(message, machine, _sender())


# -- the end ----------------------------------------------------------------------------------------------------------


def change_runlevel(plan: Plan, environ: Mapping[str, str], machine: Machine) -> None:
    """Have the runlevel changed: by upstartd, or where that does not answer by a System V init. ConnectionFailed if
    there is neither."""
    try:
        with system_daemon(environ) as upstart:
            runlevels.change(plan.level, plan.env, environ, upstart, machine)
    except ConnectionFailed:
        # Beside another init, a request to that one would bring the machine down.
        if not machine.is_ours() or not _request(plan, machine):
            raise


def _request(plan: Plan, machine: Machine) -> bool:
    """Ask a System V init for the runlevel, with its variables; whether there is one that takes requests."""
    requests = [_REQUEST.pack(_REQUEST_MAGIC, _SET_VARIABLE, 0, 0, variable.encode()) for variable in plan.env]
    requests.append(_REQUEST.pack(_REQUEST_MAGIC, _CHANGE_RUNLEVEL, ord(plan.level), 0, b""))
    for path in machine.requests:
        with suppress(OSError):
            # Without a reader that fails at once.
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                for request in requests:
                    os.write(file, request)
            finally:
                os.close(file)
            return True
    return False


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output))
