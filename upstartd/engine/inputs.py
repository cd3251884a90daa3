"""What can happen to the engine: plain values, so that the list of inputs is a replay.

`caller` is whoever waits for an answer: an opaque value of the shell, given back in exactly one
`Reply` or `ReplyError` effect. `instance` numbers are the engine's own (`Instance.uid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd.conf.model import JobFiles, ProcessName

if TYPE_CHECKING:
    from typing import TypeAlias

Caller: TypeAlias = object


@dataclass(frozen=True, slots=True)
class StartJob:
    """Job.Start (lifecycle specification, section 2). Answered with an InstanceRef."""

    job: str
    env: tuple[str, ...]
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class StopJob:
    """Job.Stop. Answered with None."""

    job: str
    env: tuple[str, ...]
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class RestartJob:
    """Job.Restart. Answered with an InstanceRef."""

    job: str
    env: tuple[str, ...]
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Instance.Start. Answered with None."""

    job: str
    instance: str
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Instance.Stop. Answered with None."""

    job: str
    instance: str
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class RestartInstance:
    """Instance.Restart. Answered with None."""

    job: str
    instance: str
    wait: bool
    caller: Caller


@dataclass(frozen=True, slots=True)
class ReloadInstance:
    """Instance.Reload: the reload signal goes to main. Answered with None."""

    job: str
    instance: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Manager.EmitEvent and EmitEventWithFile, and the daemon's own events (`caller` None: nobody is answered).

    `file` is an open descriptor of the daemon, now the engine's: a CloseFile effect gives it back.
    """

    name: str
    env: tuple[str, ...] = ()
    wait: bool = False
    file: int | None = None
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class SetEnvironment:
    """SetEnv and SetEnvList. `details` is job_details as on the bus: () or (JOB, INSTANCE).

    Here and below, `caller` None is the daemon, which has changed its table for all sessions: nobody is answered.
    """

    details: tuple[str, ...]
    variables: tuple[str, ...]
    replace: bool
    caller: Caller | None


@dataclass(frozen=True, slots=True)
class UnsetEnvironment:
    """UnsetEnv and UnsetEnvList."""

    details: tuple[str, ...]
    names: tuple[str, ...]
    caller: Caller | None


@dataclass(frozen=True, slots=True)
class ResetEnvironment:
    """ResetEnv."""

    details: tuple[str, ...]
    caller: Caller | None


@dataclass(frozen=True, slots=True)
class EndSession:
    """Stop every job and then ask for the daemon's end (runtime specification, section 8).

    `kind` is TYPE of the session-end event: `logout` or `shutdown`. Answered with None, once every instance
    has been told and before anything further happens; `caller` None is a signal, which nobody waits for.
    """

    kind: str
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class EndInOrder:
    """End a system instance: nothing starts any more, everything is stopped (design, Ending in order).

    `announced`: jobs know it already by a `runlevel` event, and what they start because of it runs first. Otherwise
    that event comes now, with `runlevel`.
    """

    runlevel: str = "0"
    announced: bool = False


@dataclass(frozen=True, slots=True)
class ProcessForked:
    """A process asked for by a Spawn effect exists; it is not known yet whether its program could be executed."""

    instance: int
    process: ProcessName
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """A process could not be set up or executed, and is gone. `reason` is the text after `process: ` in the log."""

    instance: int
    process: ProcessName
    reason: str


@dataclass(frozen=True, slots=True)
class MainReady:
    """The main process is ready, in the way its `expect` asks for (none: its program was executed)."""

    instance: int


@dataclass(frozen=True, slots=True)
class MainFollowed:
    """`expect fork` or `daemon` follows a fork: main is another process now."""

    instance: int
    pid: int


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A process has ended: with an exit status, or by a signal, or (both None) in a way nobody can know any more."""

    instance: int
    process: ProcessName
    status: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but time: what is due by now is done."""


ProcessNews: TypeAlias = ProcessForked | SpawnFailed | MainReady | MainFollowed | ProcessEnded

Input: TypeAlias = (
    JobFiles | StartJob | StopJob | RestartJob | StartInstance | StopInstance | RestartInstance | ReloadInstance
    | EmitEvent | SetEnvironment | UnsetEnvironment | ResetEnvironment | EndSession | EndInOrder
    | ProcessNews | TimePassed
)
