"""service(8): jobs and init scripts by one name, with the exit codes of LSB.

A job is what the daemon knows under that name, wherever its file lies: it takes precedence over an init script. A name
that is neither is handed on to the machine's own `service`, if that is on PATH as well. Source: clients specification,
section 5; Linux Standard Base, Init Script Actions.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients import actions, initctl
from upstartd_clients.errors import ClientError, DaemonError, LocalError, ServiceError, UnknownInstance
from upstartd_clients.options import Arguments, Option
from upstartd_clients.output import guarded, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import NoReturn

    from upstartd_clients.interface import Status
    from upstartd_clients.output import Output

PROGRAM = "service"
INIT_SCRIPTS = "/etc/init.d"

# What LSB wants of `status`, and of an action that does not exist.
RUNNING, STOPPED, UNKNOWN = 0, 3, 4
UNIMPLEMENTED = 3

_OPTIONS = (
    Option("user", help="ask the user's own daemon; init scripts do not count then"),
    Option("status-all", help="show what runs, of all jobs and init scripts"),
    Option("help", "h", help="show this help and exit"),
    Option("version", "V", help="show the version and exit"),
)
# What lies beside init scripts and is none, or must not be run to see how it is.
_NO_SERVICE = r"README|skeleton|rc|rcS|single|reboot|halt|killall|functions|.*\.dpkg-.*"
# Which programs `service` have had a name before it was handed on, in case that the next one is this program as well.
_TRIED = "UPSTARTD_SERVICE_TRIED"
_STATUS_ACTION = rb"""(?m)(^|[\s|"'(])status["']?\s*(\||\))"""


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output, scripts: str = INIT_SCRIPTS,
        itself: str = "") -> int:
    """Carry out a command line of service(8); `scripts` is the directory of the init scripts, `itself` this program's
    file. Gives the exit code.

    Where it comes to an init script, or to another `service`, that takes this process's place. A ClientError says why
    nothing could be done.
    """
    line = Arguments(arguments)
    given = {option.long for option, _ in line.options(_OPTIONS, up_to_operand=True)}
    words = [*line.operands, *line.rest]
    if "version" in given:
        from upstartd_clients import help as texts  # wraps text: not for every call

        return _print(texts.version(output.program), output, 0)
    if "help" in given or words[1:2] in (["--help"], ["-h"]):
        return _print(_usage(output.program), output, 0)
    if not words and "status-all" not in given:
        return _print(_usage(output.program), output, 1)
    services = Services(environ, output, scripts, of_user="user" in given)
    if "status-all" in given:
        return services.show_all()
    return services.act(words, itself)


def _print(lines: Iterable[str], output: Output, code: int) -> int:
    """Print text about this program, which goes where errors go; gives the exit code."""
    for line in lines:
        output.error_line(line)
    return code


def _usage(program: str) -> Iterable[str]:
    from upstartd_clients import help as texts

    yield f"Usage: {program} [--user] NAME ACTION [ARGUMENT]..."
    yield f"       {program} [--user] --status-all"
    yield f"       {program} [--user] NAME --full-restart"
    yield "Start, stop and look at services: jobs, and init scripts. A name that is neither"
    yield "is handed on to the next program `service' on PATH, if there is one."
    yield ""
    yield from texts.option_list(_OPTIONS)
    yield ""
    yield f"For a job, ACTION is one of {', '.join(ACTIONS)}."
    yield "`status' exits with 0 for what runs, 3 for what is stopped, 4 for what is neither."


class Services:
    """Every service there is: the daemon's jobs, and the init scripts in the directory `scripts`.

    The daemon is the system's, or with `of_user` the user's own; init scripts are the system's.
    """

    def __init__(self, environ: Mapping[str, str], output: Output, scripts: str, *, of_user: bool) -> None:
        self._environ = {name: value for name, value in environ.items() if of_user or name != "UPSTART_SESSION"}
        self._output = output
        self._scripts = None if of_user else scripts
        if of_user and not self._environ.get("UPSTART_SESSION"):
            self._environ["UPSTART_SESSION"] = _only_session(environ)

    # -- one service --------------------------------------------------------------------------------------------------

    def act(self, words: Sequence[str], itself: str = "") -> int:
        """Do to a service what is asked for: its name, an action and more. Gives the exit code. `itself` is this
        program's file."""
        name, action, arguments = words[0], "".join(words[1:2]), words[2:]
        script = self._script(name)
        why_no_job = self._why_no_job(name)
        if why_no_job is None:
            if work := ACTIONS.get(action):
                return work(Job(self, [name, *arguments]))
            if script is None:
                wrong = f"has no action `{action}'" if action else "an action is missing"
                raise ServiceError(f"{name} is a job, and {wrong}: use one of {', '.join(ACTIONS)}", UNIMPLEMENTED)
        elif script is None:
            self._hand_on(words, itself)
            self._output.error_line(f"{name}: unrecognized service")
            if self._output.for_people:
                from upstartd_clients.explain import explain  # reads files, asks more: only for whoever reads it

                with self.request("status", [name]) as request:
                    _print(explain(why_no_job, request), self._output, 1)
            return 1
        if action == "--full-restart":
            self._run_script(script, "stop")
            action = "start"
        os.chdir("/")
        return self._execute(script, [word for word in (action, *arguments) if word], self._script_environ)

    def _why_no_job(self, name: str) -> ClientError | None:
        """Why the daemon knows no job of that name; None if it does. That the system's is not there is a reason."""
        try:
            with self.request("status", [name]) as request:
                request.upstart.job(name)
        except ClientError as error:
            if self._scripts is None and not isinstance(error, DaemonError):
                raise
            return error
        return None

    def request(self, command: str, words: Sequence[str]) -> actions.Request:
        """A command of initctl, as if it had been called by a link of that name."""
        line = initctl.parse(command, words)
        return actions.Request(line.options, line.arguments, self._environ, self._output.named(command))

    def carry_out(self, command: str, words: Sequence[str]) -> int:
        """Do what a link to initctl would: the same output, the same exit code."""
        return guarded(lambda output: initctl.run(command, words, self._environ, output), self._output.named(command))

    # -- init scripts -------------------------------------------------------------------------------------------------

    @property
    def _script_environ(self) -> dict[str, str]:
        return {name: self._environ[name] for name in ("LANG", "PATH", "TERM") if name in self._environ}

    def _script(self, name: str) -> str | None:
        """The init script of that name; None if there is none."""
        if self._scripts is None or not name or "/" in name:
            return None
        path = os.path.join(self._scripts, name)
        return path if os.path.isfile(path) and os.access(path, os.X_OK) else None

    def _run_script(self, path: str, action: str, *, silently: bool = False) -> int | None:
        """Run an init script, and `silently` drop what it says; gives its exit code, None if it cannot be run."""
        import subprocess  # rarely needed, and it takes time to import

        output = subprocess.DEVNULL if silently else None
        try:
            return subprocess.run([path, action], env=self._script_environ, cwd="/", stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=output, check=False).returncode
        except OSError:
            return None

    def _execute(self, path: str, arguments: Iterable[str], environ: Mapping[str, str]) -> NoReturn:
        """Execute a program in this process's place; ServiceError if that does not work."""
        self._output.flush()
        try:
            try:
                os.execve(path, [path, *arguments], environ)
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                # It does not say by what it is to be run, so that is the shell, as a shell would decide too.
                os.execve("/bin/sh", ["/bin/sh", path, *arguments], environ)
        except OSError as error:
            raise ServiceError(f"cannot run {path}: {error.strerror}") from error

    # -- another init's services --------------------------------------------------------------------------------------

    def _hand_on(self, words: Sequence[str], itself: str) -> None:
        """Execute the next program on PATH that has the name of this one, and is another, if there is one.

        A job that is not known now, as its file is wrong or the daemon is not there, is still nobody else's business.
        """
        from upstartd.places import SYSTEM_JOBS  # rarely needed, and it takes time to import

        if self._scripts is None or os.path.exists(os.path.join(SYSTEM_JOBS, f"{words[0]}.conf")):
            return
        tried = [path for path in self._environ.get(_TRIED, "").split(":") if path] + [os.path.realpath(itself)]
        for directory in self._environ.get("PATH", "").split(":"):
            path = os.path.join(directory, PROGRAM)
            if (os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK)
                    and os.path.realpath(path) not in tried):
                self._execute(path, words, self._environ | {_TRIED: ":".join(tried)})

    # -- all services -------------------------------------------------------------------------------------------------

    def show_all(self) -> int:
        """Print what runs and what does not, by name; 0."""
        states: dict[str, bool | None] = {name: self._script_runs(name) for name in self._script_names()}
        try:
            with self.request("list", []) as request:
                jobs = request.upstart.statuses(request.upstart.jobs())
            states |= {job: any(map(_runs, statuses)) for job, statuses in jobs}
        except ClientError:
            if self._scripts is None:
                raise
        for name, runs in sorted(states.items()):
            if runs is None:
                self._output.error_line(f" [ ? ]  {name}")
            else:
                self._output.line(f" [ {'+' if runs else '-'} ]  {name}")
        return 0

    def _script_names(self) -> list[str]:
        try:
            names = os.listdir(self._scripts) if self._scripts is not None else []
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LocalError(f"cannot list {self._scripts}: {error.strerror}") from error
        import re  # only for all services

        return [name for name in names if self._script(name) and not re.fullmatch(_NO_SERVICE, name)]

    def _script_runs(self, name: str) -> bool | None:
        """Whether an init script says that its service runs; None if it cannot say, for want of a status action."""
        import re

        path = os.path.join(self._scripts or "", name)
        try:
            with open(path, "rb") as file:
                if not re.search(_STATUS_ACTION, file.read()):
                    return None
        except OSError:
            return None
        code = self._run_script(path, "status", silently=True)
        return None if code is None else code == 0


class Job(NamedTuple):
    """A service that is a job. `words` are its name, and the variables that name one of its instances."""

    services: Services
    words: Sequence[str]

    def status(self) -> int:
        """Print the status; gives the exit code that LSB has for it."""
        with self.services.request("status", self.words) as request:
            if request.options.last("help", "version"):
                return self._carry_out("status")
            request.output.heed(request.options)
            try:
                name, status = actions.find_status(request)
            except ClientError as error:
                request.output.complain(error)
                return STOPPED if isinstance(error, UnknownInstance) else UNKNOWN
            actions.tell_status(request, name, status)
            return RUNNING if status and _runs(status) else STOPPED

    def runs(self) -> bool:
        """Whether it runs, or is on the way there."""
        with self.services.request("status", self.words) as request:
            try:
                _, status = actions.find_status(request)
            except DaemonError:
                return False
            return status is not None and _runs(status)

    def enabled(self) -> bool:
        """Whether there are events that start it; UnknownJob if there is no such job."""
        with self.services.request("is-enabled", self.words) as request:
            return actions.has_start_condition(request)

    def _carry_out(self, command: str) -> int:
        return self.services.carry_out(command, self.words)

    def start(self) -> int:
        """Start it."""
        return self._carry_out("start")

    def stop(self) -> int:
        """Stop it."""
        return self._carry_out("stop")

    def reload(self) -> int:
        """Have it read its configuration again."""
        return self._carry_out("reload")

    def restart(self) -> int:
        """Stop and start it, so that a changed job file counts; gives what starting gave."""
        self._carry_out("stop")
        return self._carry_out("start")

    def force_reload(self) -> int:
        """Reload what runs; what cannot be reloaded is restarted."""
        return 0 if self.runs() and self.reload() == 0 else self.restart()

    def try_restart(self) -> int:
        """Restart what runs, and leave alone what does not."""
        return self.restart() if self.runs() else 0


ACTIONS: dict[str, Callable[[Job], int]] = {
    "start": Job.start,
    "stop": Job.stop,
    "status": Job.status,
    "restart": Job.restart,
    "reload": Job.reload,
    "force-reload": Job.force_reload,
    "try-restart": Job.try_restart,
    "condrestart": Job.try_restart,
    "force-start": Job.start,
    "force-stop": Job.stop,
    "--full-restart": Job.restart,
}


def _runs(status: Status) -> bool:
    return status.goal != "stop"


def _only_session(environ: Mapping[str, str]) -> str:
    """The address of the one session that runs; ServiceError if there is none, or a choice."""
    from upstartd_clients.sessions import find_sessions  # not for the system's services

    try:
        alive = [session for session in find_sessions(environ) if session.alive]
    except LocalError:
        alive = []
    if len(alive) == 1:
        return alive[0].address
    if not alive:
        raise ServiceError("cannot find your daemon: UPSTART_SESSION is not set, and no session is known")
    addresses = ", ".join(session.address for session in alive)
    raise ServiceError(f"cannot choose your daemon: UPSTART_SESSION is not set, and several run: {addresses}")


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output, itself=sys.argv[0]))
