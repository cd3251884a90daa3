"""Ending what a job has left behind when `expect` lost track of its main process.

Finds the processes of a session or process group in /proc, as the kernel has no list of them. Not responsible for
telling whether a main process is lost (supervisor.py). Source: design, 2.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping  # noqa: TC003 - state/codec.py reads the annotations
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from upstartd.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from upstartd.engine.effects import KillLeftovers
    from upstartd.log import Log
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.supervisor import Loop


@dataclass(frozen=True, slots=True)
class Lost:
    """A main process that is lost: its job's title, and the sessions where there may be something left of it."""

    title: str
    sessions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Leftovers that have been told to end: the start time of each by its pid, and when they are killed (monotonic)."""

    lost: Lost
    found: Mapping[int, int]
    kill_at: float


@dataclass(frozen=True, slots=True)
class LeftoversState:
    """What is handed on over a re-execution. `lost` is by the number of the instance."""

    lost: Mapping[int, Lost] = field(default_factory=dict)
    told: tuple[Told, ...] = ()


class Leftovers:
    """All that still runs in the sessions of lost processes, and in the process groups of the same numbers."""

    def __init__(self, kernel: Kernel, log: Log, loop: Loop) -> None:
        self._kernel = kernel
        self._log = log
        self._loop = loop
        self._lost: dict[int, Lost] = {}
        self._told: list[Told] = []

    def take_state(self) -> LeftoversState:
        """All that is to be ended, or has been told to end."""
        return LeftoversState(dict(self._lost), tuple(self._told))

    def put_state(self, state: LeftoversState) -> None:
        """Go on from there."""
        self._lost = dict(state.lost)
        for told in state.told:
            self._kill_later(told)

    def main_is_lost(self, instance: int, title: str, *sessions: int) -> None:
        """Remember that an instance may leave something behind in these sessions."""
        self._lost[instance] = Lost(title, sessions)

    def end(self, effect: KillLeftovers) -> None:
        """Send a signal to what is left of an instance, and KILL to what is there still after the timeout.

        Nothing is done where its main process was not lost.
        """
        lost = self._lost.pop(effect.instance, None)
        if lost is None:
            return
        found = self._find(lost.sessions)
        self._send(lost.title, found, effect.signal)
        if found:
            self._kill_later(Told(lost, found, self._loop.time() + effect.timeout))

    def _kill_later(self, told: Told) -> None:
        self._told.append(told)
        self._loop.call_at(told.kill_at, partial(self._kill, told))

    def _kill(self, told: Told) -> None:
        self._told.remove(told)
        left = self._find(told.lost.sessions)
        # As long as one of them is there, the number of the session cannot have passed to somebody else.
        if any(left.get(pid) == start_time for pid, start_time in told.found.items()):
            self._send(told.lost.title, left, signal.SIGKILL)

    def _find(self, sessions: Collection[int]) -> dict[int, int]:
        """The processes that have not ended, each with its start time, by which it is told from a later one."""
        found = {}
        for pid in self._kernel.pids():
            stat = self._kernel.stat(pid)
            if stat is None or stat.has_ended or pid == self._kernel.own_pid():
                continue
            if stat.session in sessions or stat.group in sessions:
                found[pid] = stat.start_time
        return found

    def _send(self, title: str, pids: Iterable[int], number: int) -> None:
        name = signal_name(number)
        for pid in pids:
            which = f"{title} leftover process ({pid})"
            self._log.info(f"Sending {name} signal to {which}")
            try:
                self._kernel.kill(pid, number)
            except ProcessLookupError:
                continue  # It has ended by itself.
            except OSError as error:
                self._log.warn(f"Failed to send {name} signal to {which}: {error.strerror}")
