"""The daemon's D-Bus interface as clients use it: which calls there are, and what the answers mean.

The signatures stand in one table, so that every value that comes in is of the type it is taken for. Pure: upstart.py
(which blocks) and aio.py (in an event loop) do the calling. Source: events specification, sections 1 and 10; lifecycle
specification, sections 1 and 2.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.errors import BadAnswer
from upstartd_clients.messages import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    # The variables of an event, or those that go with a start: by name, or each as KEY=VALUE.
    Env = Mapping[str, str] | Sequence[str]
    Answers = Iterable[tuple[Any, ...] | None]  # to many calls; None where the object is gone

BUS_NAME = "com.ubuntu.Upstart"
MANAGER_PATH = "/com/ubuntu/Upstart"
MANAGER = "com.ubuntu.Upstart0_6"
JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"
PEER = "org.freedesktop.DBus.Peer"

# (interface, method): signatures of what it takes and what it gives.
METHODS = {
    (MANAGER, "ReloadConfiguration"): ("", ""),
    (MANAGER, "GetJobByName"): ("s", "o"),
    (MANAGER, "GetAllJobs"): ("", "ao"),
    (MANAGER, "GetState"): ("", "s"),
    (MANAGER, "Restart"): ("", ""),
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
    (PEER, "Ping"): ("", ""),
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


def call_of(path: str, interface: str, member: str, *arguments: Any) -> Call:
    """The call of a method in METHODS."""
    takes, gives = METHODS[interface, member]
    return Call(path, interface, member, takes, arguments, gives)


def env_list(env: Env) -> list[str]:
    """Variables as the bus has them: each as KEY=VALUE, in their order."""
    if isinstance(env, str):  # It would do as a sequence of texts.
        raise TypeError(f"{env!r} is one text, and not a list of variables")
    return list(env) if not hasattr(env, "items") else [f"{name}={value}" for name, value in env.items()]


def typed(interface: str, variants: dict[str, tuple[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """The values of these properties; BadAnswer at a wrong type."""
    values = {}
    for name in names:
        signature, value = variants.get(name, ("", None))
        if signature != PROPERTY_TYPES[interface][name]:
            raise BadAnswer(f'cannot understand Upstart: property {name} of {interface} is of type "{signature}"')
        values[name] = value
    return values


def text_of(interface: str, name: str, variant: tuple[str, Any]) -> str:
    """A property that is a string."""
    return str(typed(interface, {name: variant}, [name])[name])


def status_of(job: str, variants: dict[str, tuple[str, Any]]) -> Status:
    """Where an instance of a job stands, from its properties."""
    values = typed(INSTANCE, variants, PROPERTY_TYPES[INSTANCE])
    return Status(job, values["name"], values["goal"], values["state"], values["processes"])


def conditions_of(variants: dict[str, tuple[str, Any]]) -> Conditions:
    """The conditions of a job, from its properties."""
    values = typed(JOB, variants, ("name", "emits", "start_on", "stop_on"))
    return Conditions(values["name"], values["emits"], values["start_on"], values["stop_on"])


def instances_of(jobs: Iterable[str], answers: Answers) -> list[tuple[str, list[str]]]:
    """Each of these jobs with the paths of its instances, from the answers to GetAllInstances."""
    return [(job, answer[0]) for job, answer in zip(jobs, answers, strict=True) if answer]


def statuses_of(found: Iterable[tuple[str, list[str]]], answers: Answers) -> list[tuple[str, list[Status]]]:
    """Each job's name, and where its instances stand, sorted by name, from the answers to GetAll."""
    rest: Iterator[tuple[Any, ...] | None] = iter(answers)
    statuses = [(job, [status_of(job, answer[0]) for answer in islice(rest, len(paths)) if answer])
                for job, paths in found]
    return [(job, sorted(ones, key=lambda one: bytewise(one.instance))) for job, ones in statuses]


def name_in(path: str) -> str:
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


def bytewise(name: str) -> bytes:
    """What to sort names by, so that the order is the same in every locale."""
    return name.encode("utf-8", "surrogateescape")
