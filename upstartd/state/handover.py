"""The daemon's whole state as one JSON object: what GetState shows, and what a re-execution hands on.

What the first keys are called, and how goals and states are spelt, is an interface; the rest is versioned. What
comes back is either a whole state or a StateError. Source: runtime specification, sections 9 and 10.
"""

from __future__ import annotations

import dataclasses
import json
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upstartd.engine.snapshot import EngineState
from upstartd.log import Priority
from upstartd.proc.job_logs import JobLogsState  # noqa: TC001 - codec.py reads the annotations
from upstartd.proc.supervisor import SupervisorState  # noqa: TC001 - codec.py reads the annotations
from upstartd.state.codec import DecodeError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
_CHUNK = 1 << 20


class StateError(ValueError):
    """A text that is no state of this version; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """All that the next daemon needs to go on as if nothing had happened.

    `bus_address` is the bus that a session was told of. The descriptors in the rest stay open.
    """

    bus_address: str | None
    log_priority: str
    engine: EngineState
    processes: SupervisorState
    logs: JobLogsState

    def descriptors(self) -> list[int]:
        """The open files that the state is about."""
        files = {event.file for event in self.engine.events if event.file is not None}
        files |= {file for one in self._instances() for file in (*one.files, *one.next_files)}
        files |= {process.report for process in self.processes.processes if process.report is not None}
        return sorted(files | self.logs.descriptors())

    def _instances(self) -> list[Any]:
        return [one for job_class in self.engine.job_classes for one in job_class.jobs]


def to_json(
    state: DaemonState, conf_sources: list[dict[str, object]], sessions: Sequence[dict[str, object]] = ()
) -> str:
    """The state as text.

    The job directories, as JobSources.describe() gives them, and the chroot sessions are in it for readers only.
    """
    return json.dumps(
        {
            "version": VERSION,
            "sessions": list(sessions),
            "control_bus_address": state.bus_address,
            **encode(state.engine),
            "conf_sources": conf_sources,
            "log_priority": state.log_priority,
            "processes": encode(state.processes),
            "logs": encode(state.logs),
        }
    )


def receive(descriptor: int, patience: float, received: bytearray) -> None:
    """Append to `received` all that comes from a file until its end, and close it.

    StateError where the end has not come in `patience` seconds (a negative number is for ever), OSError where the file
    cannot be read. What came before is there then.
    """
    deadline = time.monotonic() + patience
    with open(descriptor, "rb", buffering=0) as stream:
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        while True:
            rest = max(0.0, deadline - time.monotonic()) * 1000
            if not poll.poll(None if patience < 0 else rest):
                raise StateError(f"its end has not come in {patience} seconds")
            data = stream.read(_CHUNK)
            if not data:
                return
            received += data


def from_json(text: str | bytes | bytearray) -> DaemonState:
    """The state that to_json() made the text from. Raises StateError."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as why:
        raise StateError(f"this is no JSON: {why}") from None
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise StateError(f"this is no state of version {VERSION}")
    engine = {field.name: data[field.name] for field in dataclasses.fields(EngineState) if field.name in data}
    whole = {
        "bus_address": data.get("control_bus_address"),
        "log_priority": data.get("log_priority"),
        "engine": engine,
        "processes": data.get("processes"),
        "logs": data.get("logs"),
    }
    try:
        state = decode(DaemonState, whole)
        Priority.from_word(state.log_priority)
    except DecodeError as why:
        raise StateError(str(why)) from None
    except ValueError as why:
        raise StateError(f"there is no log priority {why}") from None
    return state
