"""What a person is told beyond the error: why a job is unknown, or failed, why there is no daemon, what to type next.

Only for terminals; what goes into a pipe is the bare error. Where a reason cannot be found out, nothing is said.
Source: clients specification, sections 1 and 2; runtime specification, sections 6.1 and 10.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from typing import TYPE_CHECKING

from upstartd.places import SYSTEM_JOBS
from upstartd.proc.log_file import log_path
from upstartd_clients import processes
from upstartd_clients.connect import PRIVATE_ADDRESS, Way
from upstartd_clients.errors import (
    ClientError,
    ConnectionFailed,
    DaemonError,
    EventFailed,
    JobFailed,
    LocalError,
    NobodyThere,
    NoSessionKnown,
    PermissionDenied,
    UnknownJob,
    WrongAddress,
)
from upstartd_clients.job_files import Sources, default_places, described, sources_in
from upstartd_clients.processes import DAEMON
from upstartd_clients.sessions import find_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from upstartd_clients.actions import Request
    from upstartd_clients.connect import Route
    from upstartd_clients.upstart import Upstart

# PATH:LINE:COLUMN: MESSAGE (DETAIL), as the daemon describes an error in a job file.
_DIAGNOSTIC = re.compile(r"(?P<place>.*?:\d+):(?P<column>\d+): (?P<message>.*?)(?: \((?P<detail>.*)\))?", re.DOTALL)
_LINES_OF_LOG = 3
_END_OF_LOG = 2000  # bytes, of which these lines are taken
# Where an address that can be wrong is taken from.
_ADDRESS_VARIABLES = {
    Way.SESSION_SOCKET: "UPSTART_SESSION",
    Way.SYSTEM_BUS: "DBUS_SYSTEM_BUS_ADDRESS",
    Way.SESSION_BUS: "DBUS_SESSION_BUS_ADDRESS",
}


def explain(error: ClientError, request: Request) -> Iterator[str]:
    """The lines to print below an error of a command: none where there is nothing to add."""
    try:
        if isinstance(error, UnknownJob):
            yield from unknown_job(request.upstart, request.job_name())
        elif isinstance(error, JobFailed | EventFailed):
            yield from _failed(error, request)
        elif isinstance(error, PermissionDenied) and os.geteuid() != 0:
            yield "Only root may do that: try sudo."
        elif isinstance(error, NoSessionKnown):
            yield from _sessions(request.environ)
        elif isinstance(error, WrongAddress):
            yield from _wrong_address(request.route, request.environ)
        elif isinstance(error, ConnectionFailed | NobodyThere):
            refused = isinstance(error, ConnectionFailed) and error.refused
            yield from no_daemon(request.route.way, request.environ, refused=refused)
    except ClientError:
        return  # The error itself has been told; that nothing can be found out about it helps nobody.


# -- why a job is unknown ---------------------------------------------------------------------------------------------


def unknown_job(upstart: Upstart, name: str, directory: str = SYSTEM_JOBS) -> Iterator[str]:
    """Why the daemon does not know the job `name`: its file is wrong, or there is none and another name was meant.

    `directory` is where the system's daemon has its job files; everybody may look there, though not into its state.
    """
    try:
        sources = sources_in(upstart.manager("GetState"))
    except DaemonError:
        sources = _read_sources(directory)
    files = [file for file in sources.files if file.job == name]
    wrong = [file for file in files if file.diagnostics]
    for file in wrong:
        yield f"{file.path} is wrong:"
        for diagnostic in file.diagnostics:
            yield from _diagnostic_lines(diagnostic)
        yield f"Once it is corrected, check it with: init-checkconf {file.path}"
    if wrong:
        return
    if files:
        yield f"{files[0].path} is there, but no {name}.conf that it could override."
    else:
        yield from _missing(name, sources.directories)
    known = [job.name for job in upstart.jobs()]
    if meant := difflib.get_close_matches(name.removesuffix(".conf"), known):
        yield f"Did you mean {' or '.join(meant)}?"


def _diagnostic_lines(diagnostic: str) -> Iterator[str]:
    match = _DIAGNOSTIC.fullmatch(diagnostic)
    if match is None:
        yield f"  {diagnostic}"
    else:
        yield f"  {match['place']}: {match['message']}"
        yield f"    column {match['column']}" + (f", {match['detail']}" if match["detail"] else "")


def _missing(name: str, directories: Iterable[str]) -> Iterator[str]:
    """That there is no file, or that there is one which the daemon has not read."""
    for directory in directories:
        path = os.path.join(directory, f"{name}.conf")
        if os.path.exists(path):
            yield f"{path} is there, but has not been read. To have it read: initctl reload-configuration"
            return
    if directories:
        yield f"There is no {name}.conf in {', '.join(directories)}."


def _read_sources(directory: str) -> Sources:
    """What the daemon would say of the job files in `directory`."""
    from upstartd.conf.source import JobSources  # with the parser: rarely needed, and it takes time to import

    files = JobSources([directory], report=lambda _priority, _text: None)
    for _ in files.load():
        pass  # Only what is wrong with them is asked for.
    return described(files.describe())


# -- why a job failed -------------------------------------------------------------------------------------------------


def _failed(error: JobFailed | EventFailed, request: Request) -> Iterator[str]:
    """Where to look for what has failed; of a job also what it has written, if that is where it usually is."""
    yield f"For what failed, and how, see the daemon's log: {log_of_daemon(request.route.way)}."
    if isinstance(error, EventFailed):
        return
    name = request.job_name()
    places = default_places(request.environ, of_user=request.route.way is Way.SESSION_SOCKET)
    if places.log_directory is not None:
        instance = "" if request.arguments else request.own_job()[1]
        yield from log_of_job(log_path(places.log_directory, name, instance).path)
    files = sources_in(request.manager("GetState")).files
    path = next((file.path for file in files if file.job == name and file.path.endswith(".conf")), None)
    if path is not None:
        yield f"To have its scripts checked: init-checkconf {path}"


def log_of_daemon(way: Way, proc: str = "/proc") -> str:
    """Where the daemon that is reached that way tells what happens."""
    if way not in (Way.PRIVATE_SOCKET, Way.SYSTEM_BUS):
        return "its own output, where it was started"
    if processes.first_is_upstartd(proc):
        return "dmesg"
    if processes.names(proc).get(1) == "systemd":
        return f"journalctl -u {DAEMON}, or its own output if it is no service there"
    return "its own output, where it was started"


def log_of_job(path: str) -> Iterator[str]:
    """How a job's log ends, and since when it does; nothing if there is none there, or it is empty.

    A daemon that was told of another directory writes another one, so the time has to tell whether this is it.
    """
    try:
        if not os.path.isfile(path):  # which nobody has to wait for, as for a pipe
            return
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            file.seek(max(about.st_size - _END_OF_LOG, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_LINES_OF_LOG:]
    except PermissionError:
        yield f"What it has written may be in {path}, which user {os.geteuid()} cannot read: try sudo."
        return
    except OSError:
        return
    if lines:
        yield f"{path}, last written on {time.strftime('%Y-%m-%d at %H:%M:%S', time.localtime(about.st_mtime))}, ends:"
        for line in lines:
            yield f"  {''.join(letter if letter.isprintable() else '?' for letter in line.expandtabs())}"


# -- why there is no daemon -------------------------------------------------------------------------------------------


def no_daemon(way: Way, environ: Mapping[str, str], *, refused: bool = False, proc: str = "/proc") -> Iterator[str]:
    """Why nobody answers, and what to do. `refused`: somebody is there, but does not let us in."""
    if refused:
        yield f"It is there, but not for user {os.geteuid()}. Only its own user and root are let in: try sudo."
    elif way is Way.SESSION_SOCKET:
        yield "UPSTART_SESSION names a session that has ended."
        yield from _sessions(environ)
        yield "For the system's daemon, give --system, or: unset UPSTART_SESSION"
    elif way is Way.SESSION_BUS:
        yield f"Nobody has the name there. To start a daemon on that bus: {DAEMON} --session"
    else:
        yield from _no_system_daemon(way, proc)


def _wrong_address(route: Route, environ: Mapping[str, str]) -> Iterator[str]:
    """Which address it is that is wrong, and where it comes from."""
    variable = _ADDRESS_VARIABLES.get(route.way, "")
    yield f"The address is {route.address!r}" + (f", from {variable}." if environ.get(variable) else ".")


def _no_system_daemon(way: Way, proc: str) -> Iterator[str]:
    names = processes.names(proc)
    first = names.get(1, "another init")
    running = [str(pid) for pid, name in sorted(names.items())
               if name == DAEMON or (pid == 1 and processes.first_is_upstartd(proc))]
    if running:
        yield f"{DAEMON} runs (process {', '.join(running)}), but does not answer here."
        if way is Way.SYSTEM_BUS and os.geteuid() != 0:
            yield f"Without a system bus only root can reach it, at {PRIVATE_ADDRESS}: try sudo."
        yield "If it is a user's own daemon, find its address with: initctl list-sessions"
    elif first == "systemd":
        yield f"No {DAEMON} runs: process 1 is systemd. To start it there: systemctl start {DAEMON}"
    else:
        yield f"No {DAEMON} runs: process 1 is {first}. To start it, as root: {DAEMON} &"


def _sessions(environ: Mapping[str, str]) -> Iterator[str]:
    """How to reach the user's own daemons that run, or to start one."""
    try:
        alive = [session for session in find_sessions(environ) if session.alive]
    except LocalError:
        alive = []
    for session in alive:
        yield f"For the session of process {session.pid}: export UPSTART_SESSION={session.address}"
    if not alive:
        yield f"No session is known. To start one: {DAEMON} --user &"
