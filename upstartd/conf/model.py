"""What a job file means, as frozen values. No behaviour but what the values themselves answer.

Text is `str` decoded from the file's bytes as UTF-8 with surrogateescape, so that every
byte survives to the process that gets it. Source: configuration specification, section 3.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import Mapping  # noqa: TC003 - state/codec.py reads the annotations
from dataclasses import dataclass, field


class ProcessName(enum.StrEnum):
    """The processes of a job, in the order in which the `processes` property lists them."""

    MAIN = "main"
    PRE_START = "pre-start"
    POST_START = "post-start"
    PRE_STOP = "pre-stop"
    POST_STOP = "post-stop"
    SECURITY = "security"


class Expect(enum.StrEnum):
    """How a main process shows that it is ready."""

    NONE = "none"
    STOP = "stop"
    FORK = "fork"
    DAEMON = "daemon"


class Console(enum.StrEnum):
    """Where a process's standard descriptors go."""

    NONE = "none"
    LOG = "log"
    OUTPUT = "output"
    OWNER = "owner"


class Operator(enum.StrEnum):
    """An operator of a condition; the value is what D-Bus shows in its place."""

    AND = "/AND"
    OR = "/OR"


@dataclass(frozen=True, slots=True)
class EventPattern:
    """One operand of a condition: an event's name and arguments as written, without quotes."""

    name: str
    args: tuple[str, ...] = ()


# A condition in postfix order (two operands before each operator). A flat tuple and not a tree, so
# that a condition of any depth is evaluated without recursion. The empty tuple is no condition.
Condition = tuple[EventPattern | Operator, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """What a process runs: the text of an `exec` line, or the lines of a `script` block."""

    text: str
    script: bool = False


@dataclass(frozen=True, slots=True)
class RespawnLimit:
    """At most `count` respawns in a window of `seconds`; either being 0 means no limit."""

    count: int = 10
    seconds: int = 5


@dataclass(frozen=True, slots=True)
class ResourceLimit:
    """A resource limit; None is unlimited. `name` is as in the `limit` stanza, say `nofile`."""

    name: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One `cgroup` stanza. `name` None is the job's own group; `key` None sets nothing."""

    controller: str
    name: str | None = None
    key: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """How every process of a job is set up; None is the daemon's default."""

    console: Console | None = None
    umask: int | None = None
    nice: int | None = None
    oom_score: int | None = None
    limits: tuple[ResourceLimit, ...] = ()
    chroot: str | None = None
    chdir: str | None = None
    setuid: str | None = None
    setgid: str | None = None
    apparmor_switch: str | None = None
    cgroups: tuple[ControlGroup, ...] = ()
    debug: bool = False


DEFAULT_SETTINGS = ProcessSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """Everything that a job file, with its override, says. The defaults are those of an empty file."""

    description: str = ""
    author: str = ""
    version: str = ""
    usage: str = ""
    instance: str = ""
    env: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()
    start_on: Condition = ()
    stop_on: Condition = ()
    processes: Mapping[ProcessName, Command] = field(default_factory=dict)
    apparmor_load: str | None = None
    expect: Expect = Expect.NONE
    task: bool = False
    respawn: bool = False
    respawn_limit: RespawnLimit = RespawnLimit()
    normal_exit_statuses: frozenset[int] = frozenset()
    normal_exit_signals: frozenset[int] = frozenset()
    kill_timeout: int = 5
    kill_signal: int = signal.SIGTERM
    reload_signal: int = signal.SIGHUP
    settings: ProcessSettings = DEFAULT_SETTINGS


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """One reading of one job file. Compared by identity: reading a file again makes a new definition,
    which replaces the old one on the bus even if not a word has changed."""

    name: str
    config: JobConfig
    path: str


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What the files say of the job `name` from now on.

    `definitions` are its valid readings, that of the directory with the highest precedence first;
    empty where no file defines it. A reading that is no longer among them has been read again or
    is gone (this decides whether InstanceRemoved is sent; configuration specification, section 9).
    """

    name: str
    definitions: tuple[Definition, ...]
