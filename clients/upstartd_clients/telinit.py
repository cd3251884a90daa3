"""telinit(8): goes to another runlevel, or has the daemon read its files or execute itself anew.

Source: clients specification, section 3.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from upstartd_clients import connect, runlevels
from upstartd_clients.connection import ANSWER_SECONDS
from upstartd_clients.errors import ConnectionFailed, ConnectionLost, NoReply, UsageError
from upstartd_clients.machine import Machine
from upstartd_clients.options import Option
from upstartd_clients.output import run_program
from upstartd_clients.tool import Tool
from upstartd_clients.upstart import Upstart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.output import Output

TOOL = Tool(
    ("[OPTION]... RUNLEVEL",), "Go to another runlevel.",
    "RUNLEVEL is one of 0 to 6 and S: the event `runlevel' is emitted, and what follows from that is the jobs' "
    "business. Or it is Q, to have all job files read again, or U, to have the daemon execute itself anew. Where "
    "process 1 is another init, its telinit changes the runlevel of the machine: this one tells upstartd's jobs only.",
    (Option("env", "e", value="KEY=VALUE", help="a further variable of the event; may be repeated"),
     Option(short="t", value="SECONDS", help="ignored")))

_PAUSE = 0.05  # seconds between two attempts to reach a daemon that is on its way back


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output, machine: Machine | None = None) -> int:
    """Carry out a command line of telinit; gives the exit code."""
    machine = machine or Machine()
    read = TOOL.read(arguments, output)
    if read is None:
        return 0
    options, words = read
    if not words:
        raise UsageError("missing runlevel")
    level = words[0].upper()
    if level not in tuple("0123456SQU"):
        raise UsageError(f"illegal runlevel: {words[0]}")
    machine.must_be_root()
    if level == "U":
        _execute_anew(environ)
        return 0
    with system_daemon(environ) as upstart:
        if level == "Q":
            upstart.manager("ReloadConfiguration", seconds=None)
        else:
            say_whose(level, machine, output)
            runlevels.change(level, options.values("env"), environ, upstart, machine)
    return 0


def system_daemon(environ: Mapping[str, str]) -> Upstart:
    """The system's daemon, over its own socket; ConnectionFailed if it does not answer."""
    return Upstart(connect.connect(connect.Route(connect.Way.PRIVATE_SOCKET, connect.PRIVATE_ADDRESS), environ))


def say_whose(level: str, machine: Machine, output: Output) -> None:
    """Tell somebody who sits there that only jobs will notice, if that is so."""
    if output.for_people and not machine.is_ours():
        output.error_line(f"Process 1 is {machine.init()}: only the jobs of upstartd are told of runlevel {level}.")


def _execute_anew(environ: Mapping[str, str]) -> None:
    """Have the daemon execute itself anew, and wait until it answers; the call itself is never answered."""
    with system_daemon(environ) as upstart, suppress(ConnectionLost, NoReply):
        upstart.manager("Restart")
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            with system_daemon(environ) as upstart:
                upstart.version()
            return
        except (ConnectionFailed, ConnectionLost, NoReply):
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output))
