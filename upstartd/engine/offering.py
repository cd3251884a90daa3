"""Offering an event to the jobs that have a place for it, and acting on the conditions that it makes true.

Source: events specification, sections 3 and 7; design, 11, 15 and 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.engine import environment
from upstartd.engine.expansion import ExpansionError, expand
from upstartd.engine.states import Goal
from upstartd.log import Priority

if TYPE_CHECKING:
    from upstartd.engine.condition import Places
    from upstartd.engine.event import Event
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass
    from upstartd.engine.lifecycle import Lifecycle
    from upstartd.engine.world import World

# References in start conditions see no variables at all: surprising, but jobs in the field rely on the rest.
_NO_VARIABLES: dict[str, str] = {}


class Offering:
    """Matches events and starts and stops instances accordingly."""

    def __init__(self, world: World, lifecycle: Lifecycle) -> None:
        self._world = world
        self._lifecycle = lifecycle

    def offer(self, event: Event) -> None:
        """Offer the event to every job: first to its instances' stop conditions, then to its start one."""
        self._world.log(Priority.INFO, "Handling %s event", event.name)
        for job_class, instances in self._world.interested_in(event).items():
            stopped = [
                instance
                for instance in instances
                if instance.uid in self._world.instances and self._offer_stop(instance, event)
            ]
            if self._world.may_start and self._world.classes.get(job_class.name) is job_class:
                self._offer_start(job_class, event, stopped)

    def _offer_stop(self, instance: Instance, event: Event) -> bool:
        """Whether the event has stopped the instance."""
        places = instance.stop_places
        if not places.take(event, instance.supplies.environment):
            return False
        events = _true_events(places)
        if not events:
            return False
        acts = instance.goal is not Goal.STOP
        if acts:
            instance.stop_environment = environment.of_events(events, "UPSTART_STOP_EVENTS")
            self._lifecycle.let_go(instance)
            self._lifecycle.hold(instance, events)
            self._lifecycle.stop(instance)
        places.clear()
        return acts

    def _offer_start(self, job_class: JobClass, event: Event, stopped: list[Instance]) -> None:
        places = job_class.start_places
        if not places.take(event, _NO_VARIABLES):
            return
        events = _true_events(places)
        if not events:
            return
        self._start(job_class, events, stopped)
        places.clear()

    def _start(self, job_class: JobClass, events: list[Event], stopped: list[Instance]) -> None:
        world = self._world
        env = environment.of_class(world.environment, job_class.config, world.own_environment)
        env |= environment.of_events(events, "UPSTART_EVENTS")
        files = tuple(event.file for event in events if event.file is not None)
        if files:
            env["UPSTART_FDS"] = " ".join(map(str, files))
        try:
            name = expand(job_class.config.instance, env)
        except ExpansionError as why:
            world.log(Priority.WARN, "Failed to obtain %s instance: %s", job_class.name, why)
            return
        instance = job_class.instances.get(name)
        if instance is None:
            instance = self._lifecycle.create(job_class, name)
        elif instance.goal is not Goal.STOP:
            return
        self._lifecycle.let_go(instance)
        self._lifecycle.put_aside(instance, env, tuple(dict.fromkeys(files)))
        self._lifecycle.hold(instance, events)
        # One event in both conditions: the instance is to go down and come up, whatever pre-stop does.
        self._lifecycle.start(instance, anew=instance in stopped)


def _true_events(places: Places) -> list[Event]:
    """The events in the true parts of the condition, one for each place, in the order of the text."""
    return [places.filled[place] for place in places.true_places()]
