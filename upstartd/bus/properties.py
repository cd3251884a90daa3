"""The properties of all objects: how each is read, and how the one that can be set is set.

Not responsible for their types and access, which dbus/*.xml declares. Source: events specification, section 1;
lifecycle specification, section 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upstartd import COMPATIBLE_VERSION
from upstartd.bus.interfaces import INSTANCE, JOB, MANAGER
from upstartd.conf.model import EventPattern
from upstartd.errors import InvalidArgs
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.bus.host import Host
    from upstartd.bus.interfaces import Member
    from upstartd.conf.model import Condition
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass


def _postfix(condition: Condition) -> list[list[str]]:
    """A condition: each event with its arguments, each operator alone."""
    return [[step.name, *step.args] if isinstance(step, EventPattern) else [step.value] for step in condition]


def _set_log_priority(host: Host, word: str) -> None:
    try:
        host.log.priority = Priority.from_word(word)
    except ValueError:
        raise InvalidArgs("The log priority given was not recognised") from None


def _processes(instance: Instance) -> list[list[Any]]:
    return [[name.value, pid] for name, pid in instance.processes]


# How a property is read from the object that has it.
MANAGER_GETTERS: dict[str, Callable[[Host], Any]] = {
    "version": lambda _: COMPATIBLE_VERSION,
    "log_priority": lambda host: host.log.priority.word,
}
JOB_GETTERS: dict[str, Callable[[JobClass], Any]] = {
    "name": lambda job: job.name,
    "description": lambda job: job.config.description,
    "author": lambda job: job.config.author,
    "version": lambda job: job.config.version,
    "usage": lambda job: job.config.usage,
    "start_on": lambda job: _postfix(job.config.start_on),
    "stop_on": lambda job: _postfix(job.config.stop_on),
    "emits": lambda job: list(job.config.emits),
}
INSTANCE_GETTERS: dict[str, Callable[[Instance], Any]] = {
    "name": lambda instance: instance.name,
    "goal": lambda instance: instance.goal.word,
    "state": lambda instance: instance.state.word,
    "processes": _processes,
}
GETTERS: dict[str, dict[str, Callable[[Any], Any]]] = {
    MANAGER: MANAGER_GETTERS, JOB: JOB_GETTERS, INSTANCE: INSTANCE_GETTERS,
}  # fmt: skip

# How a property is set, to a value of the declared type. Raises InvalidArgs.
SETTERS: dict[Member, Callable[[Host, Any], None]] = {(MANAGER, "log_priority"): _set_log_priority}
