"""What each initctl command asks the daemon, and what it prints of the answer.

Not responsible for the command line (options.py, commands.py), the way to the daemon (connect.py) or the form of
what is printed (render.py). Source: clients specification, section 2.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from upstartd_clients import as_json, render
from upstartd_clients.connect import Way, connect, find_route
from upstartd_clients.connection import ANSWER_SECONDS
from upstartd_clients.errors import (
    ClientError,
    ConnectionFailed,
    Gone,
    LocalError,
    NobodyThere,
    UnknownInstance,
    UsageError,
)
from upstartd_clients.upstart import Upstart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from upstartd_clients.connect import Route
    from upstartd_clients.enabling import JobOnDisk
    from upstartd_clients.interface import Status
    from upstartd_clients.options import Given
    from upstartd_clients.output import Output
    from upstartd_clients.upstart import Instance, Job


class Request:
    """One command as it was given, and where what it prints goes: a context manager, which hangs up at its end.

    `arguments` are the words of the command line that are no options; `environ` is this process's environment.
    """

    def __init__(self, options: Given, arguments: Sequence[str], environ: Mapping[str, str], output: Output) -> None:
        self.options = options
        self.arguments = [_as_text(argument) for argument in arguments]
        self.environ = environ
        self.output = output

    def __enter__(self) -> Request:
        return self

    def __exit__(self, kind: object, why: object, where: object) -> None:
        if "upstart" in self.__dict__:  # It has been connected to.
            self.upstart.close()

    @cached_property
    def route(self) -> Route:
        """The way to the daemon that is meant."""
        return find_route(self.options, self.environ, os.geteuid())

    @cached_property
    def upstart(self) -> Upstart:
        """The daemon; it is connected to when it is first asked for, so that usage errors come before that."""
        return Upstart(connect(self.route, self.environ))

    def manager(self, member: str, *arguments: Any, seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of the manager. That connects, so after the arguments have been found right."""
        return self.upstart.manager(member, *arguments, seconds=seconds)

    @property
    def wait(self) -> bool:
        """Whether to wait until what was asked for has come about."""
        return "no-wait" not in self.options

    def first(self, missing: str) -> str:
        """The first argument; UsageError, that `missing` is missing, if there is none."""
        if not self.arguments:
            raise UsageError(f"missing {missing}")
        return self.arguments[0]

    def answer(self, lines: Iterable[str], data: Callable[[], Any]) -> None:
        """Print the answer: these lines, or where that is asked for what `data` gives, as JSON."""
        if "json" in self.options:
            self.output.json(data())
        else:
            self.output.lines(lines)

    def job_name(self) -> str:
        """The job that is named first, or that this process is part of if none is."""
        return self.arguments[0] if self.arguments else self.own_job()[0]

    def own_job(self) -> tuple[str, str]:
        """The job and instance that this process is part of; UsageError if it is part of none."""
        try:
            return _as_text(self.environ["UPSTART_JOB"]), _as_text(self.environ["UPSTART_INSTANCE"])
        except KeyError:
            raise UsageError("missing job name") from None

    def own_instance(self) -> Instance:
        """The instance that this process is part of."""
        job, instance = self.own_job()
        return self.upstart.job(job).instance_by_name(instance)


def _as_text(argument: str) -> str:
    """A word from outside as D-Bus can carry it; ClientError if it cannot."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeDecodeError:
        raise ClientError(f"cannot send {os.fsencode(argument)!r}: it is not UTF-8") from None


# Job commands


def start(request: Request) -> None:
    """Start the instance that the arguments name."""
    _change(request, "Start")


def stop(request: Request) -> None:
    """Stop the instance that the arguments name."""
    _change(request, "Stop")


def restart(request: Request) -> None:
    """Restart the instance that the arguments name."""
    _change(request, "Restart")


def _change(request: Request, method: str) -> None:
    if not request.arguments:
        # A job's own process must not wait for its own job: that would never end.
        instance = request.own_instance()
        instance.change(method)
    else:
        job, env = _job(request)
        instance = job.change(method, env, wait=request.wait)
    request.output.lines(_status_lines(request, instance.job.name, instance.status()))


def _job(request: Request) -> tuple[Job, list[str]]:
    """The job that is named first, and the variables after it."""
    name, *env = request.arguments
    return request.upstart.job(name), env


def _status_lines(request: Request, job: str, status: Status | None) -> Iterable[str]:
    return render.status_lines(status, request.output.tint) if status else (render.stopped(job),)


def reload(request: Request) -> None:
    """Have the reload signal sent to the main process of the instance that the arguments name."""
    instance = find_instance(request)
    try:
        instance.reload()
    except Gone:
        _reload_ourselves(instance)


def _reload_ourselves(instance: Instance) -> None:
    """Send HUP to the main process, for a daemon too old to know Reload."""
    import signal  # rarely needed, and it takes time to import

    status = instance.status()
    if status is None or not status.processes or status.processes[0][0] != "main":
        raise LocalError("Not running")
    try:
        os.kill(status.processes[0][1], signal.SIGHUP)
    except OSError as error:
        raise LocalError(str(error.strerror)) from error


def find_instance(request: Request) -> Instance:
    """The instance that the arguments name, or that this process is part of if there are none."""
    if not request.arguments:
        return request.own_instance()
    job, env = _job(request)
    return job.instance(env)


def status(request: Request) -> None:
    """Print where the instance stands that the arguments name."""
    tell_status(request, *find_status(request))


def tell_status(request: Request, job: str, status: Status | None) -> None:
    """Print where an instance of a job stands, in the form that is asked for; None if there is none."""
    request.answer(_status_lines(request, job, status), lambda: as_json.status(job, status))


def find_status(request: Request) -> tuple[str, Status | None]:
    """The job that the arguments name, and where its instance stands; None if there is none.

    UnknownInstance if variables were given and there is no such instance.
    """
    try:
        instance = find_instance(request)
    except UnknownInstance:
        if len(request.arguments) == 1:
            return request.arguments[0], None
        raise
    return instance.job.name, instance.status()


def list_jobs(request: Request) -> None:
    """Print where every instance stands, and each job that has none."""
    jobs = request.upstart.jobs()
    found = [(job, one) for job, statuses in request.upstart.statuses(jobs) for one in statuses or (None,)]
    if "long" in request.options:
        from upstartd_clients.listing import Listing  # looks into /proc: not for every command

        listing = Listing(found, request.upstart.descriptions(jobs))
        request.answer(listing.lines(request.output.tint), listing.data)
    else:
        request.answer((line for job, one in found for line in _status_lines(request, job, one)),
                       lambda: [as_json.status(job, one) for job, one in found])


def usage(request: Request) -> None:
    """Print the usage stanza of a job."""
    name = request.job_name()
    usage = request.upstart.job(name).usage()
    request.answer([f"Usage: {usage}"], lambda: {"job": name, "usage": usage})


# Event commands


def emit(request: Request) -> None:
    """Emit an event."""
    request.first("event name")
    event, *env = request.arguments
    request.upstart.emit(event, env, wait=request.wait)


# Environment commands


def _details(request: Request) -> list[str]:
    """Whose environment is meant: [] is the table for all jobs, [JOB, INSTANCE] an instance's own."""
    if "global" in request.options or "UPSTART_JOB" not in request.environ:
        return []
    return list(request.own_job())


def get_env(request: Request) -> None:
    """Print the value of a variable."""
    variable = request.first("variable name")
    request.output.line(request.manager("GetEnv", _details(request), variable))


def list_env(request: Request) -> None:
    """Print every variable with its value."""
    entries = sorted(request.manager("ListEnv", _details(request)))
    request.answer(entries, lambda: as_json.environment(entries))


def set_env(request: Request) -> None:
    """Set variables."""
    request.first("variable value")
    replace = "retain" not in request.options
    request.manager("SetEnvList", _details(request), request.arguments, replace)


def unset_env(request: Request) -> None:
    """Remove variables."""
    request.first("variable name")
    request.manager("UnsetEnvList", _details(request), request.arguments)


def reset_env(request: Request) -> None:
    """Undo what was set and removed."""
    request.manager("ResetEnv", _details(request))


# Configuration


def reload_configuration(request: Request) -> None:
    """Have the daemon read all job files again."""
    request.manager("ReloadConfiguration", seconds=None)


def show_config(request: Request) -> None:
    """Print the conditions of a job, or of all jobs."""
    jobs = [request.upstart.job(request.arguments[0])] if request.arguments else request.upstart.jobs()
    found = request.upstart.conditions(jobs)
    enumerate_events = "enumerate" in request.options
    request.answer((line for job in found for line in render.config_lines(job, enumerate_events=enumerate_events)),
                   lambda: [as_json.config(job) for job in found])


def check_config(request: Request) -> int:
    """Print what conditions wait for and nothing provides; 1 if there is any, else 0."""
    from upstartd_clients.check_config import SESSION_EVENT, Checker  # with parts of the engine: not for every command

    jobs = request.upstart.conditions(request.upstart.jobs())
    wanted = [job for job in jobs if not request.arguments or job.name == request.arguments[0]]
    if request.arguments and not wanted:
        raise LocalError(f"Invalid job class: {request.arguments[0]}")
    known = [event for events in request.options.values("ignore-events") for event in events.split(",")]
    if request.route.way is Way.SESSION_SOCKET:
        known.append(SESSION_EVENT)
    checker = Checker(jobs, known, warn="warn" in request.options)
    found = [(job.name, complaints) for job in wanted if (complaints := list(checker.complaints(job)))]
    request.answer((line for job, complaints in found for line in (job, *map(str, complaints))),
                   lambda: [as_json.complaints(job, complaints) for job, complaints in found])
    return 1 if found else 0


def enable(request: Request) -> None:
    """Have events start a job."""
    from upstartd_clients import enabling  # with the parser: not for every command

    _tell_edit(request, enabling.enable(_job_on_disk(request)))


def disable(request: Request) -> None:
    """Have no event start a job."""
    from upstartd_clients import enabling

    _tell_edit(request, enabling.disable(_job_on_disk(request)))


def _job_on_disk(request: Request) -> JobOnDisk:
    """The job that is meant, as its files have it, whether there is a daemon or not."""
    from upstartd_clients import enabling, job_files

    return enabling.find(request.job_name(), job_files.job_directories(request))


def _tell_edit(request: Request, path: str | None) -> None:
    request.output.info(f"{path} has changed" if path else "nothing has to change")


def is_enabled(request: Request) -> int:
    """Print whether events start a job; 0 if they do, 1 if not.

    The files tell: a job that runs keeps its old definition in the daemon. It is asked about jobs that have none here.
    """
    try:
        enabled = _job_on_disk(request).enabled
    except ClientError as not_here:
        try:
            enabled = has_start_condition(request)
        except (ConnectionFailed, NobodyThere):
            raise not_here from None
    request.output.line("enabled" if enabled else "disabled")
    return 0 if enabled else 1


def has_start_condition(request: Request) -> bool:
    """Whether the daemon knows of events that start the job that is meant; UnknownJob if it does not know the job."""
    name = request.job_name()
    return any(conditions.start_on for conditions in request.upstart.conditions([request.upstart.job(name)]))


# The daemon


def version(request: Request) -> None:
    """Print the daemon's version."""
    text = request.upstart.version()
    request.answer([text], lambda: as_json.version(text))


def log_priority(request: Request) -> None:
    """Print the daemon's log priority, or set it."""
    if request.arguments:
        request.upstart.set_log_priority(request.arguments[0])
    else:
        request.output.line(request.upstart.log_priority())


def notify_disk_writeable(request: Request) -> None:
    """Tell the daemon that it can write its logs."""
    request.manager("NotifyDiskWriteable")


def notify_dbus_address(request: Request) -> None:
    """Tell a session's daemon where its bus is."""
    request.manager("NotifyDBusAddress", request.first("D-Bus address"))


def notify_cgroup_manager_address(request: Request) -> None:
    """Tell the daemon where the cgroup manager is."""
    request.manager("NotifyCGroupManagerAddress", request.first("address"))


def list_sessions(request: Request) -> None:
    """Print every user session whose daemon is alive."""
    from upstartd_clients.sessions import find_sessions  # no other command needs it

    verbose = request.output.verbose
    sessions = [session for session in find_sessions(request.environ) if session.alive or verbose]
    request.answer((f"{session.pid} {session.address}" if session.alive
                    else f"Ignoring stale session file: {session.path}" for session in sessions),
                   lambda: [as_json.session(session) for session in sessions])
