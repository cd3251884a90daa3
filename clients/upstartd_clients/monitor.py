"""upstart-monitor: shows events, and what becomes of jobs, as they happen.

Not responsible for following the daemon (upstart.py, signals.py). Source: clients specification, section 4, for the
lines of events and what stands above them; all else is our own.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from upstartd.engine.matching import glob_matches
from upstartd_clients import as_json, connect
from upstartd_clients.conditions import JOB_EVENTS
from upstartd_clients.errors import UsageError
from upstartd_clients.options import Option
from upstartd_clients.output import Colour, run_program
from upstartd_clients.render import full_name
from upstartd_clients.signals import (
    EventEmitted,
    Failed,
    GoalChanged,
    InstanceAdded,
    InstanceRemoved,
    JobAdded,
    JobRemoved,
    Restarted,
    StateChanged,
)
from upstartd_clients.tool import Tool
from upstartd_clients.upstart import Upstart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from upstartd_clients.output import Output
    from upstartd_clients.render import Tint
    from upstartd_clients.signals import Signal

TOOL = Tool(
    ("[OPTION]...",), "Show events and what becomes of jobs, as they happen.",
    "On a terminal it shows events, and goals and states of jobs. In a pipe, and with --no-gui, it shows events only: "
    "below a head of lines that begin with #, a line for each has its time, its name and its variables. If --event or "
    "--job are given, only what one of them asks for is shown. DESTINATION is one of system-bus, session-bus, "
    "system-socket and session-socket; it is session-socket where UPSTART_SESSION is set, else system-bus.",
    (Option("all", "a", help="show what becomes of jobs in a pipe too"),
     Option("event", "e", value="PATTERN", help="only events whose names match; may be repeated"),
     Option("job", "j", value="PATTERN", help="only what is about jobs whose names match; may be repeated"),
     Option("json", help="print everything as JSON, an object on each line"),
     Option("no-gui", "n", help="show events only"),
     Option("separator", "s", value="TEXT", help="what stands between time and event; else a tab"),
     Option("destination", "d", value="DESTINATION", help="which daemon to listen to")))

_DESTINATIONS: dict[str, Callable[[Mapping[str, str]], connect.Route]] = {
    "system-bus": lambda environ: connect.route_to("system", None, environ, 1),
    "session-bus": lambda environ: connect.route_to("session", None, environ, 1),
    "system-socket": lambda _: connect.Route(connect.Way.PRIVATE_SOCKET, connect.PRIVATE_ADDRESS),
    "session-socket": lambda environ: connect.route_to("user", None, environ, 1),
}


def run(arguments: Iterable[str], environ: Mapping[str, str], output: Output) -> int:
    """Carry out a command line of upstart-monitor: it only ends by a signal, or by a ClientError."""
    read = TOOL.read(arguments, output)
    if read is None:
        return 0
    options = read[0]
    to = options.value("destination") or ("session-socket" if environ.get("UPSTART_SESSION") else "system-bus")
    if to not in _DESTINATIONS:
        raise UsageError(f"unknown destination: {to}")
    wanted = Filter(options.values("event"), options.values("job"))
    with Upstart(connect.connect(_DESTINATIONS[to](environ), environ)) as upstart, upstart.follow() as signals:
        if "json" in options:
            show: Callable[[Signal], str | None] = _as_json
        else:
            for line in _head(to):
                output.line(line)
            separator = options.value("separator")
            texts = Texts("\t" if separator is None else separator, output.tint,
                          jobs="all" in options or (output.to_people and "no-gui" not in options))
            show = texts.line
        output.flush()
        for signal in signals:
            if wanted.has(signal) and (text := show(signal)) is not None:
                output.line(text)
                output.flush()
    raise AssertionError("following the daemon ends by an error only")


def _head(to: str) -> Iterator[str]:
    """What stands above the lines of events."""
    yield "# Upstart Event Monitor (console mode)"
    yield f"# Connected to D-Bus {to.replace('-', ' ')}"
    yield "# Columns: time, event and environment"
    yield ""


class Filter(NamedTuple):
    """Patterns for the names of events, and of jobs. What matches one of them is shown; all is if there are none."""

    events: list[str]
    jobs: list[str]

    def has(self, signal: Signal) -> bool:
        """Whether a signal is to be shown."""
        if not self.events and not self.jobs:
            return True
        if isinstance(signal, EventEmitted):
            about = as_json.environment(signal.env).get("JOB") if signal.name in JOB_EVENTS else None
            return _matches(self.events, signal.name) or (about is not None and _matches(self.jobs, about))
        return not isinstance(signal, Restarted) and _matches(self.jobs, signal.job)


def _matches(patterns: list[str], name: str) -> bool:
    return any(glob_matches(pattern, name) for pattern in patterns)


def _now() -> datetime:
    return datetime.now().astimezone()


# -- as JSON ----------------------------------------------------------------------------------------------------------


def _as_json(signal: Signal) -> str:
    """A signal as one line of JSON: when it came, its name, and its values by their names."""
    values = asdict(signal)
    if isinstance(signal, EventEmitted):
        values["env"] = as_json.environment(signal.env)
    return json.dumps({"time": _now().isoformat(), "signal": type(signal).__name__} | values)


# -- as text ----------------------------------------------------------------------------------------------------------


def _event(signal: EventEmitted) -> tuple[str, str]:
    variables = (entry.partition("=") for entry in signal.env)
    return " ".join([signal.name, *(f"{name}='{value}'" for name, _, value in variables)]), Colour.CYAN


def _state(signal: StateChanged) -> tuple[str, str]:
    colour = Colour.GREEN if signal.state == "running" else ""
    return f"{full_name(signal.job, signal.instance)} state {signal.state}", colour


# What is said of each signal, and in which colour.
_TEXTS: dict[type[Signal], Callable[[Any], tuple[str, str]]] = {
    EventEmitted: _event,
    StateChanged: _state,
    GoalChanged: lambda signal: (f"{full_name(signal.job, signal.instance)} goal {signal.goal}", ""),
    Failed: lambda signal: (f"{full_name(signal.job, signal.instance)} failed, status {signal.status}", Colour.RED),
    InstanceAdded: lambda signal: (f"{full_name(signal.job, signal.instance)} added", ""),
    InstanceRemoved: lambda signal: (f"{full_name(signal.job, signal.instance)} removed", ""),
    JobAdded: lambda signal: (f"{signal.job} defined", ""),
    JobRemoved: lambda signal: (f"{signal.job} not defined any more", ""),
    Restarted: lambda _: ("the daemon has executed itself anew", ""),
}
# Whoever emits an event must not be able to write what looks like other lines, or what moves the cursor.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


class Texts(NamedTuple):
    """Lines of text: what stands after the time, what gives a colour, and whether `jobs` are shown besides events."""

    separator: str
    tint: Tint
    jobs: bool

    def line(self, signal: Signal) -> str | None:
        """The line for a signal, None if it is not shown."""
        if not self.jobs and not isinstance(signal, EventEmitted):
            return None
        text, colour = _TEXTS[type(signal)](signal)
        return f"{_now():%Y-%m-%d %H:%M:%S.%f}{self.separator}{self.tint(text.translate(_ESCAPES), colour)}"


def main() -> int:
    """The program: reads sys.argv and the environment, gives the exit code."""
    return run_program(sys.argv, lambda arguments, output: run(arguments, os.environ, output))
