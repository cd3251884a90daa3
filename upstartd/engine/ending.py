"""How a session, or a system instance beside another init, comes to its end: everything is stopped, in order.

Source: runtime specification, section 8; design, Ending in order. Seconds are those of the monotonic clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from upstartd.engine.effects import EndDaemon, KillProcess
from upstartd.engine.states import Goal
from upstartd.log import Priority

if TYPE_CHECKING:
    from upstartd.engine.inputs import EndInOrder
    from upstartd.engine.instance import Instance
    from upstartd.engine.lifecycle import Lifecycle
    from upstartd.engine.world import World

_CHECK_EVERY = 1.0  # how often it is looked whether any process is left
_LEAST_TIME = 5.0  # what any phase may take, however short the kill timeouts are
_SIGKILL = 9
_LOGOUT = "logout"  # why a session ends when a client has asked for it
_LAST_RUNLEVELS = frozenset({"RUNLEVEL=0", "RUNLEVEL=6"})


class Phase(enum.Enum):
    """How far the end has come."""

    NONE = "none"
    WAIT = "wait"  # what the last event started may still run
    KILL = "kill"  # everything has been told to stop
    LAST = "last"  # what did not stop has been killed
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the end stands: why it came, when it began, and when its phase is over at the latest."""

    phase: Phase = Phase.NONE
    reason: str = ""
    in_order: bool = False
    began: float = 0.0
    phase_ends: float = 0.0


class Ending:
    """The end of the daemon. Its deadlines are the key of the world's timers that is this object."""

    def __init__(self, world: World, lifecycle: Lifecycle) -> None:
        self._world = world
        self._lifecycle = lifecycle
        self.progress = Progress()

    @property
    def phase(self) -> Phase:
        """How far the end has come."""
        return self.progress.phase

    def end_session(self, kind: str) -> None:
        """Begin to end a session; `kind` is `logout` or `shutdown`. Nothing happens if it is ending already."""
        if self.phase is not Phase.NONE:
            return
        world = self._world
        self._begin(kind)
        event = world.emit("session-end", (f"TYPE={kind}",))
        if kind == _LOGOUT and world.somebody_starts_on(event):
            self._enter(Phase.WAIT, _LEAST_TIME)
            self._stop_all()
        else:
            self._kill()

    def end_in_order(self, how: EndInOrder) -> None:
        """Begin to end a system instance: two last events, which only stop jobs; then whatever is left is stopped.

        Where `runlevel` has been emitted already, it is for more than stopping: then jobs can start until all that
        it has started and stopped is through, and only after that nothing does any more.
        """
        if self.phase is not Phase.NONE:
            return
        world = self._world
        world.may_start = how.announced
        self._begin("shutdown", in_order=True)
        if not how.announced:
            world.emit("runlevel", (f"RUNLEVEL={how.runlevel}",))
        world.emit("shutdown")
        # What the events stop comes first, so that it ends in the order its conditions ask for.
        self._enter(Phase.WAIT, self._time_to_stop())

    def _begin(self, reason: str, *, in_order: bool = False) -> None:
        self.progress = Progress(reason=reason, in_order=in_order, began=self._world.now)
        self._world.may_respawn = False
        self._world.log(Priority.INFO, "Quiescing due to %s request", reason)

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.progress = replace(self.progress, phase=phase, phase_ends=self._world.now + seconds)
        self._world.timers.arm(self, self._world.now + min(_CHECK_EVERY, seconds))

    def _kill(self) -> None:
        self._world.may_start = self._world.may_start and not self.progress.in_order
        self._enter(Phase.KILL, self._time_to_stop())
        self._stop_all()

    def _time_to_stop(self) -> float:
        """The longest kill timeout, and as much more as whoever is killed at its end needs to be gone."""
        timeouts = (float(one.config.kill_timeout) for one in self._world.instances.values())
        return max([_LEAST_TIME, *timeouts]) + _CHECK_EVERY

    def _stop_all(self) -> None:
        for instance in list(self._world.instances.values()):
            if instance.goal is not Goal.STOP:
                instance.stop_environment = {}
                self._lifecycle.stop(instance)

    def check(self) -> None:
        """Go on to the next phase, or end, if it is time. Called after every step while the end has begun."""
        world = self._world
        if self.phase in (Phase.NONE, Phase.OVER):
            return
        if self.phase is Phase.WAIT and (self._is_quiet() or self._is_over()):
            self._kill()
        # Clients that have asked for the end are served until second_passed() finds that nothing is left.
        if not world.instances and self.progress.reason != _LOGOUT:
            self._finish()
        elif self.phase is Phase.KILL and self._is_over():
            for instance in world.instances.values():
                world.log(Priority.WARN, "job %s failed to stop", instance.title)
            if not self.progress.in_order:
                self._finish()
                return
            self._kill_processes()
            self._enter(Phase.LAST, _CHECK_EVERY)
        elif self.phase is Phase.LAST and self._is_over():
            self._kill_processes()  # those that ran after the ones before had been killed
            self._finish()

    def _kill_processes(self) -> None:
        for instance in self._world.instances.values():
            for process in instance.pids:
                self._world.effect(KillProcess(instance.uid, process, _SIGKILL))

    def second_passed(self) -> None:
        """Look whether any process is left, and again in a second: time alone may end a phase."""
        now = self._world.now
        self._world.timers.arm(self, min(now + _CHECK_EVERY, max(self.progress.phase_ends, now + 0.01)))
        if any(instance.pids for instance in self._world.instances.values()):
            return
        was_told_to_stop = self.phase is Phase.KILL
        if self.phase is Phase.WAIT:
            self._kill()
        if was_told_to_stop or not self._world.instances:
            self._finish()

    def _is_over(self) -> bool:
        return self._world.now >= self.progress.phase_ends

    def _is_quiet(self) -> bool:
        """Whether nothing of a system instance is on its way down or up any more because of the last events."""
        return self.progress.in_order and not any(instance.goal is Goal.STOP or _works_for_the_end(instance)
                                                  for instance in self._world.instances.values())

    def _finish(self) -> None:
        world = self._world
        world.timers.cancel(self)
        seconds = int(world.now - self.progress.began)
        took = f"{seconds} seconds" if seconds else "<1 second"
        world.log(Priority.INFO, "Quiesce %s sequence took %s", self.progress.reason, took)
        self.progress = replace(self.progress, phase=Phase.OVER)
        world.effect(EndDaemon(0))


def _works_for_the_end(instance: Instance) -> bool:
    """Whether an event that announced the end has started it, and still waits for it: a task, or what has begun to run.

    Without such an event beforehand there is none, as nothing starts any more.
    """
    return any(event.name == "runlevel" and not _LAST_RUNLEVELS.isdisjoint(event.env) for event in instance.holding)
