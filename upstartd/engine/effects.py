"""What the engine asks the shell to do: plain values, in the order in which they are to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    from upstartd.conf.model import Command, Expect, ProcessName, ProcessSettings
    from upstartd.engine.inputs import Caller
    from upstartd.engine.states import Goal, State
    from upstartd.errors import UpstartdError
    from upstartd.log import Priority


# -- announcements: each is a signal on every connection -----------------------------------------


@dataclass(frozen=True, slots=True)
class JobAdded:
    job: str


@dataclass(frozen=True, slots=True)
class JobRemoved:
    job: str


@dataclass(frozen=True, slots=True)
class InstanceAdded:
    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class InstanceRemoved:
    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class GoalChanged:
    job: str
    instance: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class StateChanged:
    job: str
    instance: str
    state: State


@dataclass(frozen=True, slots=True)
class Failed:
    job: str
    instance: str
    status: int


@dataclass(frozen=True, slots=True)
class EventEmitted:
    name: str
    env: tuple[str, ...]


# -- answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """Names an instance in an answer."""

    job: str
    instance: str


@dataclass(frozen=True, slots=True)
class Reply:
    caller: Caller
    value: InstanceRef | None = None


@dataclass(frozen=True, slots=True)
class ReplyError:
    caller: Caller
    error: UpstartdError


# -- processes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process. Answered by ProcessForked or SpawnFailed, then MainReady, ProcessEnded and so on.

    `title` is the instance as the log names it: JOB or `JOB (INSTANCE)`. `env` is the whole environment, in
    order. `files` are descriptors of the daemon that the process gets under the same numbers. `root` is the root
    directory of the job's chroot session; "" where it is the daemon's own.
    """

    instance: int
    process: ProcessName
    title: str
    job_name: str
    instance_name: str
    command: Command
    env: tuple[str, ...]
    settings: ProcessSettings
    expect: Expect
    files: tuple[int, ...] = ()
    root: str = ""


@dataclass(frozen=True, slots=True)
class KillProcess:
    """Send `signal` to the process group that this process of the instance is in (lifecycle, section 9).

    The shell answers ProcessEnded at once for a followed process that turns out to be gone (design, 2).
    """

    instance: int
    process: ProcessName
    signal: int


@dataclass(frozen=True, slots=True)
class KillLeftovers:
    """Send `signal` to what is left of a main process that `expect` lost track of, KILL after `timeout` seconds.

    For an instance with `expect fork` or `daemon`, when it leaves `killed` (design, 2). The shell knows whether
    anything was lost, and does nothing if not: what a main process leaves behind in good order lives on.
    """

    instance: int
    signal: int
    timeout: int


@dataclass(frozen=True, slots=True)
class ReloadProcess:
    """Send `signal` to the main process alone, and answer `caller`: None, or OperationFailed with the system's text."""

    instance: int
    signal: int
    caller: Caller


@dataclass(frozen=True, slots=True)
class CloseFile:
    """Close a descriptor that came with EmitEvent: no event and no instance holds it any more."""

    file: int


# -- the rest ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogLine:
    """A diagnostic of the daemon."""

    priority: Priority
    text: str


@dataclass(frozen=True, slots=True)
class UpdateActivationEnvironment:
    """A global SetEnv took effect: tell the session's bus, where there is one. NAME to value."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EndDaemon:
    """The daemon is to end now, with this exit status."""

    status: int


ANNOUNCEMENTS = (
    JobAdded, JobRemoved, InstanceAdded, InstanceRemoved, GoalChanged, StateChanged, Failed, EventEmitted,
)  # fmt: skip

Announcement: TypeAlias = (
    JobAdded | JobRemoved | InstanceAdded | InstanceRemoved | GoalChanged | StateChanged | Failed | EventEmitted
)
Effect: TypeAlias = (
    Announcement | Reply | ReplyError | Spawn | KillProcess | KillLeftovers | ReloadProcess | CloseFile | LogLine
    | UpdateActivationEnvironment | EndDaemon
)
