"""Ending what a job has left behind when `expect` lost track of its main process.

Finds the processes of a session or process group in /proc, as the kernel has no list of them. Not responsible for
telling whether a main process is lost (supervisor.py). Source: design, 2.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from upstartd.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from upstartd.log import Log
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.supervisor import Loop


class Leftovers:
    """All that still runs in some sessions and in the process groups of the same numbers. `title` is the job's."""

    def __init__(self, kernel: Kernel, log: Log, loop: Loop, title: str, sessions: Iterable[int]) -> None:
        self._kernel = kernel
        self._log = log
        self._loop = loop
        self.title = title
        self.sessions = frozenset(sessions)

    def end(self, number: int, timeout: float) -> None:
        """Send them the signal `number`, and KILL after `timeout` seconds to those that are there still."""
        found = self._find()
        self._send(found, number)

        def kill() -> None:
            left = self._find()
            # As long as one of them is there, the number of the session cannot have passed to somebody else.
            if any(left.get(pid) == start_time for pid, start_time in found.items()):
                self._send(left, signal.SIGKILL)

        if found:
            self._loop.call_later(timeout, kill)

    def _find(self) -> dict[int, int]:
        """The processes that have not ended, each with its start time, by which it is told from a later one."""
        found = {}
        for pid in self._kernel.pids():
            stat = self._kernel.stat(pid)
            if stat is None or stat.has_ended or pid == self._kernel.own_pid():
                continue
            if stat.session in self.sessions or stat.group in self.sessions:
                found[pid] = stat.start_time
        return found

    def _send(self, pids: Iterable[int], number: int) -> None:
        name = signal_name(number)
        for pid in pids:
            which = f"{self.title} leftover process ({pid})"
            self._log.info(f"Sending {name} signal to {which}")
            try:
                self._kernel.kill(pid, number)
            except ProcessLookupError:
                continue  # It has ended by itself.
            except OSError as error:
                self._log.warn(f"Failed to send {name} signal to {which}: {error.strerror}")
