"""What commands tell with --json: plain data, whose names stay what they are.

Pure: values in, what the json module takes out. Not responsible for text (render.py). All of it is our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd_clients.render import bracketed

if TYPE_CHECKING:
    from typing import Any

    from upstartd_clients.check_config import Complaint
    from upstartd_clients.interface import Condition, Conditions, Status
    from upstartd_clients.sessions import Session


def status(job: str, status: Status | None) -> dict[str, Any]:
    """Where an instance stands; with None, that the job has none, whose name is then null."""
    if status is None:
        return {"job": job, "instance": None, "goal": "stop", "state": "waiting", "processes": []}
    processes = [{"name": name, "pid": pid} for name, pid in status.processes]
    return {"job": job, "instance": status.instance, "goal": status.goal, "state": status.state, "processes": processes}


def config(job: Conditions) -> dict[str, Any]:
    """What starts and stops a job, and what it emits."""
    return {"job": job.name, "emits": job.emits, "start_on": _condition(job.start_on),
            "stop_on": _condition(job.stop_on)}


def _condition(condition: Condition) -> dict[str, Any] | None:
    """A condition: its text, and the events in it with what they are to have; None where there is none."""
    if not condition:
        return None
    from upstartd_clients.conditions import events  # not for every command

    return {"text": bracketed(condition),
            "events": [{"event": event.name, "job": event.job, "env": event.others}
                       for event in events(condition).values()]}


def complaints(job: str, found: list[Complaint]) -> dict[str, Any]:
    """What of a job's conditions is unknown."""
    return {"job": job, "unknown": [complaint._asdict() for complaint in found]}


def version(text: str) -> dict[str, Any]:
    """The daemon's version: what it says, and the version of Upstart in that, or null."""
    _, found, rest = text.partition("(upstart ")
    return {"text": text, "upstart": rest.removesuffix(")") if found else None}


def environment(entries: list[str]) -> dict[str, str]:
    """Variables by their names."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def session(session: Session) -> dict[str, Any]:
    """A user session that has announced itself."""
    return {"pid": session.pid, "address": session.address, "alive": session.alive}
