"""A machine that is a scratch directory: for the System V tools, which must never end a real one."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from support.scripted_upstart import Ran, Terminal
from upstartd import utmp
from upstartd_clients import reboot, shutdown, telinit
from upstartd_clients.errors import LocalError
from upstartd_clients.machine import Machine
from upstartd_clients.output import Output, guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from upstartd.machine import Reboot

RELEASE = os.uname().release.encode()


class SysvMachine(Machine):
    """A Machine whose files are below `directory`. Its process 1 is upstartd if it is `ours`, else `runit`.

    `done` tells what was done to it, in order: waits in seconds, each of which moves its clock, "sync", and ends.
    A wait after which `called_off_after` seconds are over is ended by a signal.
    """

    def __init__(self, directory: Path, *, ours: bool = True, root: bool = True) -> None:
        self.directory = directory
        self.utmp, self.wtmp = str(directory / "utmp"), str(directory / "wtmp")
        self.nologin, self.pid_file = str(directory / "nologin"), str(directory / "shutdown.pid")
        self.pid_file_beside = str(directory / "upstartd-shutdown.pid")
        self.requests = (str(directory / "initctl"), str(directory / "dev-initctl"))
        self.devices = str(directory)
        self.proc = str(directory / "no-proc")
        self.ours, self.root = ours, root
        self.clock = 1_700_000_000.5
        self.called_off_after: float | None = None
        self.done: list[float | str | tuple[Reboot, str]] = []
        self.fails = ""
        for path in (self.utmp, self.wtmp):
            open(path, "wb").close()

    def is_ours(self) -> bool:
        return self.ours

    def init(self) -> str:
        return "upstartd" if self.ours else "runit"

    def must_be_root(self) -> None:
        if not self.root:
            raise LocalError("Need to be root")

    def now(self) -> float:
        return self.clock

    def wait(self, seconds: float, signals: Iterable[int]) -> bool:
        self.done.append(seconds)
        self.clock += seconds
        return self.called_off_after is not None and sum(self.waits) >= self.called_off_after

    @property
    def waits(self) -> list[float]:
        """How long was waited each time."""
        return [what for what in self.done if isinstance(what, (float, int))]

    def sync(self) -> None:
        self.done.append("sync")

    def reboot(self, how: Reboot, argument: str = "") -> None:
        self.done.append((how, argument))
        if self.fails:
            raise LocalError(self.fails)

    def run(self, *command: str, environ: Mapping[str, str] | None = None, terminal: bool = False) -> Ran:
        """Run one of the tools on this machine, in this process."""
        program, *arguments = command
        out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
        output = Output(program, out, err)
        environ = environ or {}

        def work(output: Output) -> int:
            if program == "telinit":
                return telinit.run(arguments, environ, output, self)
            if program == "shutdown":
                return shutdown.run(arguments, environ, output, self)
            return reboot.run(program, arguments, environ, output, self)

        return Ran(guarded(work, output), out.getvalue(), err.getvalue())

    def records(self, path: str) -> list[tuple[int, str, int]]:
        """The kind, user and pid of each record in a file; all else in them is as it is in all that we write."""
        found = utmp.records(path)
        for record in found:
            if record.line.rstrip(b"\0") == b"~":
                assert (record.id.rstrip(b"\0"), record.host.rstrip(b"\0")) == (b"~~", RELEASE)
        return [(record.kind, record.user.rstrip(b"\0").decode(), record.pid) for record in found]
