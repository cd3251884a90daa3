"""What the clients ask of the daemon, as Python calls: its manager, jobs and instances.

The signatures stand in one table, so that every value that comes in is of the type it is taken for. Not
responsible for the wire (connection.py), nor for text (render.py). Source: events specification, sections 1 and
10; lifecycle specification, sections 1 and 2.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from upstartd_clients.connection import ANSWER_SECONDS, Call
from upstartd_clients.errors import BadAnswer, DaemonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from upstartd_clients.connection import Connection

BUS_NAME = "com.ubuntu.Upstart"
MANAGER_PATH = "/com/ubuntu/Upstart"
MANAGER = "com.ubuntu.Upstart0_6"
JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"

# (interface, method): signatures of what it takes and what it gives.
METHODS = {
    (MANAGER, "ReloadConfiguration"): ("", ""),
    (MANAGER, "GetJobByName"): ("s", "o"),
    (MANAGER, "GetAllJobs"): ("", "ao"),
    (MANAGER, "GetState"): ("", "s"),
    (MANAGER, "EmitEvent"): ("sasb", ""),
    (MANAGER, "GetEnv"): ("ass", "s"),
    (MANAGER, "SetEnvList"): ("asasb", ""),
    (MANAGER, "UnsetEnvList"): ("asas", ""),
    (MANAGER, "ListEnv"): ("as", "as"),
    (MANAGER, "ResetEnv"): ("as", ""),
    (MANAGER, "NotifyDiskWriteable"): ("", ""),
    (MANAGER, "NotifyDBusAddress"): ("s", ""),
    (MANAGER, "NotifyCGroupManagerAddress"): ("s", ""),
    (JOB, "GetInstance"): ("as", "o"),
    (JOB, "GetInstanceByName"): ("s", "o"),
    (JOB, "GetAllInstances"): ("", "ao"),
    (JOB, "Start"): ("asb", "o"),
    (JOB, "Stop"): ("asb", ""),
    (JOB, "Restart"): ("asb", "o"),
    (INSTANCE, "Start"): ("b", ""),
    (INSTANCE, "Stop"): ("b", ""),
    (INSTANCE, "Restart"): ("b", ""),
    (INSTANCE, "Reload"): ("", ""),
    (PROPERTIES, "Get"): ("ss", "v"),
    (PROPERTIES, "Set"): ("ssv", ""),
    (PROPERTIES, "GetAll"): ("s", "a{sv}"),
}

# interface: its properties that clients read, with their signatures.
PROPERTY_TYPES = {
    MANAGER: {"version": "s", "log_priority": "s"},
    JOB: {"name": "s", "description": "s", "usage": "s", "start_on": "aas", "stop_on": "aas", "emits": "as"},
    INSTANCE: {"name": "s", "goal": "s", "state": "s", "processes": "a(si)"},
}

# A condition as the bus has it, in postfix order: [event, argument...] or ["/AND"] or ["/OR"].
Condition = list[list[str]]


class Status(NamedTuple):
    """Where an instance stands. `processes` are names and pids, in the daemon's order."""

    job: str
    instance: str
    goal: str
    state: str
    processes: list[tuple[str, int]]


class Conditions(NamedTuple):
    """What starts and stops a job, and which events its file says that it emits."""

    name: str
    emits: list[str]
    start_on: Condition
    stop_on: Condition


class Upstart:
    """A daemon at the other end of `connection`. Each call raises what Connection.call() does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def call(self, path: str, interface: str, member: str, *arguments: Any,
             seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of an object; gives the value it returns, None if it returns none."""
        values = self._connection.call(_call(path, interface, member, *arguments), seconds=seconds)
        return values[0] if values else None

    def manager(self, member: str, *arguments: Any, seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of the manager."""
        return self.call(MANAGER_PATH, MANAGER, member, *arguments, seconds=seconds)

    def text(self, path: str, interface: str, name: str) -> str:
        """A property of an object that is a string."""
        variant = self.call(path, PROPERTIES, "Get", interface, name)
        return str(_typed(interface, {name: variant}, [name])[name])

    @property
    def version(self) -> str:
        """What the daemon says that it is."""
        return self.text(MANAGER_PATH, MANAGER, "version")

    @property
    def log_priority(self) -> str:
        """The priority from which on the daemon writes its diagnostics."""
        return self.text(MANAGER_PATH, MANAGER, "log_priority")

    @log_priority.setter
    def log_priority(self, word: str) -> None:
        self.call(MANAGER_PATH, PROPERTIES, "Set", MANAGER, "log_priority", ("s", word))

    def emit(self, event: str, env: Sequence[str], *, wait: bool) -> None:
        """Emit an event; with `wait`, wait for as long as what it starts and stops takes."""
        self.manager("EmitEvent", event, list(env), wait, seconds=None)

    def job(self, name: str) -> Job:
        """The job of that name."""
        return Job(self, name, self.manager("GetJobByName", name))

    def jobs(self) -> list[Job]:
        """Every job, sorted by name."""
        jobs = [Job(self, _name_in(path), path) for path in self.manager("GetAllJobs")]
        return sorted(jobs, key=lambda job: _bytewise(job.name))

    def conditions(self, jobs: Iterable[Job]) -> list[Conditions]:
        """The conditions of each of these jobs. A job that is gone meanwhile is left out."""
        answers = self._connection.call_all(_call(job.path, PROPERTIES, "GetAll", JOB) for job in jobs)
        values = [_typed(JOB, answer[0], ("name", "emits", "start_on", "stop_on")) for answer in answers if answer]
        return [Conditions(value["name"], value["emits"], value["start_on"], value["stop_on"]) for value in values]

    def descriptions(self, jobs: Sequence[Job]) -> dict[str, str]:
        """What the file of each of these jobs says that it is, by its name. A job that is gone is left out."""
        answers = self._connection.call_all(_call(job.path, PROPERTIES, "Get", JOB, "description") for job in jobs)
        return {job.name: _typed(JOB, {"description": answer[0]}, ("description",))["description"]
                for job, answer in zip(jobs, answers, strict=True) if answer}

    def statuses(self, jobs: Sequence[Job]) -> list[tuple[str, list[Status]]]:
        """Each job's name, and where its instances stand, sorted by name. What is gone meanwhile is left out."""
        answers = self._connection.call_all(_call(job.path, JOB, "GetAllInstances") for job in jobs)
        found = [(job.name, answer[0]) for job, answer in zip(jobs, answers, strict=True) if answer]
        answers = self._connection.call_all(
            _call(path, PROPERTIES, "GetAll", INSTANCE) for _, paths in found for path in paths)
        statuses = [(name, [_status(name, answer[0]) for answer in islice(answers, len(paths)) if answer])
                    for name, paths in found]
        return [(name, sorted(ones, key=lambda one: _bytewise(one.instance))) for name, ones in statuses]


class Job(NamedTuple):
    """A job of the daemon, at `path`."""

    upstart: Upstart
    name: str
    path: str

    def usage(self) -> str:
        """What the job's file says on how to start it; empty where it says nothing."""
        return self.upstart.text(self.path, JOB, "usage")

    def instance(self, env: Sequence[str]) -> Instance:
        """The instance that these variables name."""
        return Instance(self, self.upstart.call(self.path, JOB, "GetInstance", list(env)))

    def instance_by_name(self, name: str) -> Instance:
        """The instance of that name."""
        return Instance(self, self.upstart.call(self.path, JOB, "GetInstanceByName", name))

    def change(self, method: str, env: Sequence[str], *, wait: bool) -> Instance:
        """Call Start, Stop or Restart, with `wait` for as long as it takes; gives the instance that was meant."""
        # Stop does not return the instance, and when it has stopped nobody knows it any more.
        instance = self.instance(env) if method == "Stop" else None
        path = self.upstart.call(self.path, JOB, method, list(env), wait, seconds=None)
        return instance or Instance(self, path)


class Instance(NamedTuple):
    """An instance of a job, at `path`. It may be gone at any time."""

    job: Job
    path: str

    def change(self, method: str) -> None:
        """Call Start, Stop or Restart, without waiting for what comes of it."""
        self.job.upstart.call(self.path, INSTANCE, method, False)

    def reload(self) -> None:
        """Have the reload signal sent to the main process."""
        self.job.upstart.call(self.path, INSTANCE, "Reload")

    def status(self) -> Status | None:
        """Where the instance stands; None if it is gone."""
        try:
            return _status(self.job.name, self.job.upstart.call(self.path, PROPERTIES, "GetAll", INSTANCE))
        except DaemonError as error:
            if error.is_gone:
                return None
            raise


def _call(path: str, interface: str, member: str, *arguments: Any) -> Call:
    takes, gives = METHODS[interface, member]
    return Call(path, interface, member, takes, arguments, gives)


def _typed(interface: str, variants: dict[str, tuple[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """The values of these properties; BadAnswer at a wrong type."""
    values = {}
    for name in names:
        signature, value = variants.get(name, ("", None))
        if signature != PROPERTY_TYPES[interface][name]:
            raise BadAnswer(f'cannot understand Upstart: property {name} of {interface} is of type "{signature}"')
        values[name] = value
    return values


def _status(job: str, variants: dict[str, tuple[str, Any]]) -> Status:
    values = _typed(INSTANCE, variants, PROPERTY_TYPES[INSTANCE])
    return Status(job, values["name"], values["goal"], values["state"], values["processes"])


def _name_in(path: str) -> str:
    """The name that the last element of an object path stands for (lifecycle specification, section 1)."""
    element = path.rpartition("/")[2]
    if element == "_" or "_" not in element:
        return element.strip("_")
    plain, *escaped = element.split("_")
    try:
        octets = plain.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in escaped)
    except ValueError as error:
        raise BadAnswer(f"cannot understand Upstart: {path} is not the path of a job") from error
    return octets.decode("utf-8", "surrogateescape")


def _bytewise(name: str) -> bytes:
    """What to sort names by, so that the order is the same in every locale."""
    return name.encode("utf-8", "surrogateescape")
