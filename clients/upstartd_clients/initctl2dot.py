"""initctl2dot: draws what starts and stops which job, as text for Graphviz or as a picture.

Not responsible for the graph (dot.py). Source: clients specification, section 4; the pictures are our own.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from upstartd_clients import dot, render
from upstartd_clients.errors import LocalError, UsageError
from upstartd_clients.options import Option
from upstartd_clients.output import run_program
from upstartd_clients.tool import Tool
from upstartd_clients.upstart import Upstart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.options import Given
    from upstartd_clients.output import Output

STDIN = STDOUT = "-"
FORMATS = ("dot", "svg", "png")
_COLOURED = {
    "emits": "lines to what a job emits", "start-on": "lines from what starts a job",
    "stop-on": "lines from what stops a job", "event": "events", "job": "jobs", "text": "all other text",
    "bg": "the background", "event-text": "text in events", "job-text": "text in jobs",
}
TOOL = Tool(
    ("[OPTION]...",), "Draw what starts and stops which job.",
    "Asks the user's own daemon where UPSTART_SESSION is set, else the system's. The output is text for Graphviz; a "
    "picture is made by its program `dot', which has to be installed. A colour is a name or #RRGGBB.",
    (Option("restrict-to-jobs", "r", value="JOBS", help="only these jobs, separated by commas, and what they wait for"),
     Option("infile", "f", value="FILE", help="read what `initctl show-config -e' has printed, - for standard input"),
     Option("outfile", "o", value="FILE", help="where to write, - for standard output; else upstart.dot"),
     Option("format", value="FORMAT", help="dot, which is text, svg or png; else dot"),
     *(Option(f"color-{name}", value="COLOUR", help=f"of {what}; else {dot.COLOURS[name]}")
       for name, what in _COLOURED.items()),
     Option("user", help="ask the user's own daemon, at the address in UPSTART_SESSION"),
     Option("session", help="ask the daemon on the session bus"),
     Option("system", help="ask the daemon on the system bus")))


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output) -> int:
    """Carry out a command line of initctl2dot; gives the exit code."""
    read = TOOL.read(arguments, output)
    if read is None:
        return 0
    options = read[0]
    kind = options.value("format") or "dot"
    if kind not in FORMATS:
        raise UsageError(f"unknown format: {kind}")
    try:
        source, lines = _config(options, environ)
        colours = {name: options.value(f"color-{name}") or colour for name, colour in dot.COLOURS.items()}
        only = [name for names in options.values("restrict-to-jobs") for name in names.split(",") if name]
        at = time.strftime("%Y-%m-%d %H:%M:%S")
        label = f"Drawn on {at} from: {source}\n{dot.legend(colours)}"
        text = "".join(f"{line}\n" for line in dot.graph(dot.read(lines), label, colours, only))
        _write(text, kind, options.value("outfile") or f"upstart.{kind}")
    except LocalError as error:
        output.error_line(f"ERROR: {error.message}")
        return 1
    return 0


def _config(options: Given, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Where the configuration comes from, and its lines. LocalError if the file cannot be read."""
    file = options.value("infile")
    if file is None:
        to = options.last("user", "session", "system")
        with Upstart.connect(to or "", environ=environ) as upstart:
            found = upstart.conditions(upstart.jobs())
        asked = f" --{to}" if to else ""
        return f"initctl{asked} show-config -e", [line for job in found
                                                  for line in render.config_lines(job, enumerate_events=True)]
    try:
        with open(0 if file == STDIN else file, encoding="utf-8", errors="surrogateescape") as stream:
            return file, stream.read().splitlines()
    except OSError:
        raise LocalError(f"cannot read file '{file}'") from None


def _write(text: str, kind: str, path: str) -> None:
    """Write the graph as text, or drawn. LocalError if that does not work."""
    data = text.encode("utf-8", "surrogateescape")
    if kind != "dot":
        data = _drawn(data, kind)
    try:
        with open(1 if path == STDOUT else path, "wb", closefd=path != STDOUT) as stream:
            stream.write(data)
    except OSError as error:
        if path == STDOUT:
            raise
        raise LocalError(f"cannot open file {path} for writing: {error.strerror}") from None


def _drawn(data: bytes, kind: str) -> bytes:
    """A picture of a graph, drawn by Graphviz; LocalError if that does not work."""
    import subprocess  # only needed here

    try:
        done = subprocess.run(["dot", f"-T{kind}"], input=data, capture_output=True, check=False)
    except OSError as error:
        raise LocalError(f"cannot run dot, which comes with Graphviz: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise LocalError(f"cannot draw the graph: {said or f'dot ended with {done.returncode}'}")
    return done.stdout


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output))
