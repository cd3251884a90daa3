"""An instance of a job: what is known of it. What moves it is engine/lifecycle.py.

Source: lifecycle specification, sections 1, 5 and 6.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from upstartd.conf.model import ProcessName
from upstartd.engine.states import Goal, State
from upstartd.signals import signal_name

if TYPE_CHECKING:
    from upstartd.conf.model import JobConfig
    from upstartd.engine.condition import Places
    from upstartd.engine.effects import InstanceRef
    from upstartd.engine.event import Event
    from upstartd.engine.inputs import Caller
    from upstartd.engine.job_class import JobClass


class Request(enum.Enum):
    """What a waiting caller asked for; the value is what it is told if the job fails."""

    START = "Job failed to start"
    STOP = "Job failed while stopping"
    RESTART = "Job failed to restart"


class Waiting(NamedTuple):
    """A caller that is answered when the instance gets where it was asked to go, or fails."""

    request: Request
    caller: Caller
    answer: InstanceRef | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run of an instance failed, as its `stopping` and `stopped` events tell it."""

    process: str
    status: int | None = None
    signal: int | None = None

    def variables(self) -> tuple[str, ...]:
        """The variables of the event, from RESULT on."""
        told = ("RESULT=failed", f"PROCESS={self.process}")
        if self.status is not None:
            return (*told, f"EXIT_STATUS={self.status}")
        if self.signal is not None:
            return (*told, f"EXIT_SIGNAL={signal_name(self.signal)}")
        return told


class Supplies(NamedTuple):
    """What an instance is run with: its environment, and the files of the events that started it."""

    environment: dict[str, str]
    files: tuple[int, ...] = ()


class Instance:
    """One instance, from its first start until it reaches `waiting`.

    `pids` has an entry for each process that was asked for and has not ended; the pid is None until the
    process is known to exist. `uid` is what the shell knows the instance by.
    """

    __slots__ = (
        "awaited", "failure", "goal", "holding", "job_class", "name", "next_supplies", "pids", "respawn_window",
        "respawns", "state", "stop_environment", "stop_places", "supplies", "uid", "waiting",
    )  # fmt: skip

    def __init__(self, uid: int, job_class: JobClass, name: str, stop_places: Places) -> None:
        self.uid = uid
        self.job_class = job_class
        self.name = name
        self.goal = Goal.STOP
        self.state = State.WAITING
        self.supplies = Supplies({})
        self.next_supplies: Supplies | None = None  # put aside until the next `starting`
        self.stop_environment: dict[str, str] = {}
        self.pids: dict[ProcessName, int | None] = {}
        self.failure: Failure | None = None
        self.waiting: list[Waiting] = []
        self.holding: list[Event] = []  # the events that started or stopped it and wait for that
        self.awaited: Event | None = None  # its own `starting` or `stopping`
        self.stop_places = stop_places
        self.respawns = 0
        self.respawn_window: int | None = None  # when it was opened, in whole seconds

    @property
    def config(self) -> JobConfig:
        """The definition that the instance came from; it stays in force as long as there are instances."""
        return self.job_class.config

    @property
    def title(self) -> str:
        """How messages name the instance: JOB, or `JOB (INSTANCE)`."""
        return f"{self.job_class.name} ({self.name})" if self.name else self.job_class.name

    @property
    def processes(self) -> list[tuple[ProcessName, int]]:
        """The processes that are alive with their pids, in the order of the `processes` property."""
        return [(name, pid) for name in ProcessName if (pid := self.pids.get(name)) is not None]

    @property
    def main_is_there(self) -> bool:
        """Whether the main process has been started and has not ended."""
        return ProcessName.MAIN in self.pids

    def event_environment(self) -> tuple[str, ...]:
        """JOB, INSTANCE, how the run went where that is known, and the exported variables that are set."""
        env = [f"JOB={self.job_class.name}", f"INSTANCE={self.name}"]
        if self.state in (State.STOPPING, State.WAITING):
            env += self.failure.variables() if self.failure else ("RESULT=ok",)
        taken = {entry.partition("=")[0] for entry in env}
        for name in self.config.export:
            if name in self.supplies.environment and name not in taken:
                taken.add(name)
                env.append(f"{name}={self.supplies.environment[name]}")
        return tuple(env)

    def process_environment(self, process: ProcessName, session_address: str | None) -> tuple[str, ...]:
        """The whole environment of one of its processes (lifecycle specification, section 6)."""
        env = dict(self.supplies.environment)
        if process in (ProcessName.PRE_STOP, ProcessName.POST_STOP):
            env |= self.stop_environment
        env["UPSTART_JOB"] = self.job_class.name
        env["UPSTART_INSTANCE"] = self.name
        if session_address is not None:
            env["UPSTART_SESSION"] = session_address
        return tuple(f"{name}={value}" for name, value in env.items())
