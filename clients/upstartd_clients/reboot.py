"""reboot(8), halt(8), poweroff(8): have the system brought down, or end the machine when it has been.

Where process 1 is another init, the machine is not ours to end: then only the first is done, and by our own shutdown,
which tells upstartd's jobs; never by another program of that name. Source: clients specification, section 3; reboot(2).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from upstartd.machine import Reboot
from upstartd_clients import runlevels, shutdown
from upstartd_clients.errors import LocalError
from upstartd_clients.machine import Machine
from upstartd_clients.options import Option
from upstartd_clients.output import guarded, run_program
from upstartd_clients.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.output import Output


class End(NamedTuple):
    """A way to end: what the kernel does, the command line of the shutdown that leads there, and the words for it."""

    how: Reboot
    shutdown: tuple[str, ...]
    words: str


ENDS = {
    "reboot": End(Reboot.RESTART, ("-r", "now"), "reboot the machine"),
    "halt": End(Reboot.HALT, ("-h", "-H", "now"), "halt the machine"),
    "poweroff": End(Reboot.POWER_OFF, ("-h", "-P", "now"), "power the machine off"),
}
_OPTIONS = (
    Option("force", "f", help="end the machine at once, with nothing stopped in order"),
    Option("no-sync", "n", help="do not have everything written to disks before"),
    Option("wtmp-only", "w", help="only note the end in wtmp"),
)
_IGNORED = tuple(Option(short=letter, help="ignored") for letter in "dih")
_DESCRIPTION = (
    "Has `shutdown' bring the system down. In runlevels 0 and 6, when it is down, or with --force, the machine is "
    "ended. Where process 1 is another init, its own program of this name ends the machine: this one tells upstartd's "
    "jobs only, and refuses the rest.")
TOOLS = {
    "reboot": Tool(("[OPTION]... [ARGUMENT]",), "Reboot the machine.",
                   f"{_DESCRIPTION} ARGUMENT is for the kernel, and counts with --force.",
                   (*_OPTIONS, *_IGNORED, Option(short="p", help="ignored"))),
    "halt": Tool(("[OPTION]...",), "Halt the machine.", _DESCRIPTION,
                 (*_OPTIONS, Option("poweroff", "p", help="power it off"), *_IGNORED)),
    "poweroff": Tool(("[OPTION]...",), "Power the machine off.", _DESCRIPTION,
                     (*_OPTIONS, *_IGNORED, Option(short="p", help="ignored"))),
}


def run(program: str, arguments: Iterable[str], environ: Mapping[str, str], output: Output,
        machine: Machine | None = None) -> int:
    """Carry out a command line of `program`, one of reboot, halt and poweroff; gives the exit code if there is time."""
    machine = machine or Machine()
    read = TOOLS[program].read(arguments, output)
    if read is None:
        return 0
    options, words = read
    end = ENDS["poweroff" if "poweroff" in options else program]
    machine.must_be_root()
    if not ("force" in options or "wtmp-only" in options or _is_down(environ, machine)):
        return guarded(lambda output: shutdown.run(end.shutdown, environ, output, machine), output.named("shutdown"))
    if not machine.is_ours():
        raise LocalError(f"cannot {end.words}: process 1 is {machine.init()}, which has its own program for that")
    runlevels.note_end(machine, everywhere="wtmp-only" not in options)
    if "wtmp-only" in options:
        return 0
    if "no-sync" not in options:
        machine.sync()
    try:
        machine.reboot(end.how, words[0] if words and end.how is Reboot.RESTART else "")
    except LocalError as error:
        raise LocalError(f"cannot {end.words}: {error.message}") from error
    return 0


def _is_down(environ: Mapping[str, str], machine: Machine) -> bool:
    """Whether the system has been brought down, as far as the runlevel tells."""
    try:
        return runlevels.find(environ, machine.utmp).now in runlevels.ENDING
    except OSError:
        return False


def main() -> int:
    """The program, which is the one that it is called by: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(
        output.program if output.program in TOOLS else "reboot", arguments, os.environ, output))
