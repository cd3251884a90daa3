"""The daemon's whole state as one JSON object.

Only what the keys are called, and how goals and states are spelt, is an interface; the rest is for people.
Source: runtime specification, section 10. Nothing is read back here: a re-execution starts stateless.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from upstartd.conf.model import EventPattern

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from upstartd.conf.model import Condition
    from upstartd.engine.condition import Places
    from upstartd.engine.event import Event
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass
    from upstartd.engine.world import World

VERSION = 1


def state_as_json(world: World, conf_sources: list[dict[str, Any]], bus_address: str | None) -> str:
    """The state of `world`, with the job directories as JobSources.describe() gives them, and the notified bus."""
    deadlines = world.timers.deadlines()
    state = {
        "version": VERSION,
        "sessions": [],
        "events": [_event(event) for event in world.queue.events.values()],
        "control_bus_address": bus_address,
        "job_environment": _environment(world.environment),
        "job_classes": [_job_class(one, deadlines) for one in world.classes.values()],
        "conf_sources": conf_sources,
    }
    # Bytes that are no text have no place in JSON: they become replacement characters.
    return json.dumps(state, ensure_ascii=False).encode("utf-8", "replace").decode()


def _constant(word: str) -> str:
    return "JOB_" + word.upper().replace("-", "_")


def _environment(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.number,
        "name": event.name,
        "env": list(event.env),
        "failed": event.failed,
        "blocks": event.blocks and {"class": event.blocks.job_class.name, "name": event.blocks.name},
        "waited_for": event.caller is not None,
    }


def _places(places: Places) -> dict[str, int]:
    return {str(place): event.number for place, event in places.filled.items()}


def _condition(condition: Condition) -> list[list[str]]:
    return [[part.name, *part.args] if isinstance(part, EventPattern) else [part.value] for part in condition]


def _job_class(job_class: JobClass, deadlines: Mapping[Hashable, float]) -> dict[str, Any]:
    return {
        "name": job_class.name,
        "path": job_class.definition.path,
        "start_on": _condition(job_class.config.start_on),
        "stop_on": _condition(job_class.config.stop_on),
        "start_places": _places(job_class.start_places),
        "jobs": [_instance(one, deadlines.get(one.uid)) for one in job_class.instances.values()],
    }


def _instance(instance: Instance, kill_due: float | None) -> dict[str, Any]:
    return {
        "name": instance.name,
        "goal": _constant(instance.goal.word),
        "state": _constant(instance.state.word),
        "pids": {name.value: pid for name, pid in instance.pids.items()},
        "env": _environment(instance.supplies.environment),
        "next_env": instance.next_supplies and _environment(instance.next_supplies.environment),
        "stop_env": _environment(instance.stop_environment),
        "stop_places": _places(instance.stop_places),
        "failure": list(instance.failure.variables()) if instance.failure else [],
        "respawns": instance.respawns,
        "respawn_window": instance.respawn_window,
        "holding": [event.number for event in instance.holding],
        "awaited": instance.awaited and instance.awaited.number,
        "waiting": [one.request.name.lower() for one in instance.waiting],
        "kill_due": kill_due,
    }
