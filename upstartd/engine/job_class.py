"""A job: the definition in force, what the files say meanwhile, and its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.engine.condition import Places

if TYPE_CHECKING:
    from upstartd.conf.model import Definition, JobConfig
    from upstartd.engine.event import EventQueue
    from upstartd.engine.instance import Instance


class JobClass:
    """A job as the manager knows it: one for each name that has a definition in force.

    `definitions` is what the files say by now, the best first. It differs from the definition in force only
    while there are instances (configuration specification, section 9).
    """

    __slots__ = ("definition", "definitions", "instances", "start_places")

    def __init__(self, definition: Definition, definitions: tuple[Definition, ...], queue: EventQueue) -> None:
        self.definition = definition
        self.definitions = definitions
        self.instances: dict[str, Instance] = {}
        self.start_places = Places(definition.config.start_on, queue)

    @property
    def name(self) -> str:
        """The job's name."""
        return self.definition.name

    @property
    def config(self) -> JobConfig:
        """What the definition in force says."""
        return self.definition.config
