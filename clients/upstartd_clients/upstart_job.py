"""upstart-job: what stands in /etc/init.d for a service that is a job now, so that whoever calls its script gets along.

A link to it there is called as the script was; everything is done by way of service.py. Source: clients specification,
section 5.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from upstartd_clients.errors import UsageError
from upstartd_clients.output import run_program
from upstartd_clients.service import INIT_SCRIPTS, Job, Services
from upstartd_clients.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from upstartd_clients.output import Output

PROGRAM = "upstart-job"
TOOL = Tool(
    ("JOB ACTION [KEY=VALUE]...",), "Do to a job what its init script would have done.",
    "ACTION is start, stop, restart, reload, force-reload or status. Starting what runs and stopping what does not is "
    "no error, and a job that no event starts is not started. In /etc/init.d, a link to this program stands for the "
    "init script of the job that it is called.")


def run(path: str, arguments: list[str], environ: Mapping[str, str], output: Output) -> int:
    """Carry out a command line; `path` is what this program was called as. Gives the exit code."""
    name = os.path.basename(path)
    if name == PROGRAM:
        read = TOOL.read(arguments, output)
        if read is None:
            return 0
        if not read[1]:
            raise UsageError("missing job name")
        name, *arguments = read[1]
    name = name.removesuffix(".sh")
    if not arguments:
        output.error_line(f"Usage: {path} COMMAND")
        return 1
    action, *variables = arguments
    if action not in ACTIONS:
        output.error_line(f"{name} is a job, and has no action `{action}': use one of {', '.join(ACTIONS)}")
        return 1
    if "DPKG_MAINTSCRIPT_PACKAGE" not in environ:  # Packages still call scripts, and nobody reads what they say.
        output.line(f"{name} is a job. In place of {path}, use: service {name} {action}")
        output.flush()
    return ACTIONS[action](Job(Services(environ, output, INIT_SCRIPTS, of_user=False), [name, *variables]))


def _start(job: Job) -> int:
    """Start it, unless it runs, or no event would."""
    return 0 if job.runs() or not job.enabled() else job.start()


def _stop(job: Job) -> int:
    """Stop it, if it runs."""
    return job.stop() if job.runs() else 0


def _restart(job: Job) -> int:
    """Stop it, if it runs, and start it, unless it was stopped and no event would."""
    if job.runs():
        job.stop()
    elif not job.enabled():
        return 0
    return job.start()


ACTIONS: dict[str, Callable[[Job], int]] = {
    "start": _start, "stop": _stop, "restart": _restart, "reload": Job.reload, "force-reload": Job.reload,
    "status": Job.status}


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(sys.argv[0], arguments, os.environ, output))
