"""runlevel(8): prints the runlevel before and the one of now.

Source: clients specification, section 3.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from upstartd.utmp import UTMP
from upstartd_clients import runlevels
from upstartd_clients.errors import LocalError
from upstartd_clients.output import run_program
from upstartd_clients.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.output import Output

TOOL = Tool(
    ("[OPTION]... [UTMP]",), "Show the runlevel of the system.",
    "Prints the runlevel before this one, or N, and the one of now; where there is none, `unknown', and the exit code "
    "is 1. Inside a job they are what RUNLEVEL and PREVLEVEL say, else what the file UTMP says, by default "
    f"{UTMP}.")


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output) -> int:
    """Carry out a command line of runlevel; gives the exit code. LocalError if the file cannot be read."""
    read = TOOL.read(arguments, output)
    if read is None:
        return 0
    path = read[1][0] if read[1] else UTMP
    try:
        found = runlevels.find(environ, path)
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from error
    if found.now == runlevels.NONE:
        output.line("unknown")
        return 1
    output.line(f"{found.before} {found.now}")
    return 0


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output))
