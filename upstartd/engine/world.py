"""Everything that the engine knows, and the few things that all of its parts do to it.

What happens to jobs is in engine/lifecycle.py, engine/offering.py and engine/ending.py; what may be asked of
the engine in engine/core.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from upstartd.engine.condition import event_names
from upstartd.engine.effects import CloseFile, LogLine
from upstartd.engine.event import Event, EventQueue
from upstartd.engine.timers import Timers
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd.conf.model import Condition
    from upstartd.engine.effects import Effect
    from upstartd.engine.inputs import Caller
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass

_Who = TypeVar("_Who")


class Uids:
    """The numbers of instances. Engines with one shell share them, as that knows instances by nothing else."""

    def __init__(self) -> None:
        self.last = 0

    def new(self) -> int:
        """A number that no instance has had."""
        self.last += 1
        return self.last


class World:
    """Jobs, instances, events, the environment table, timers, and the effects of the present step.

    `initial_environment` is the table at the start and after a global ResetEnv; `own_environment` is what the
    daemon itself was given; `session_address` is UPSTART_SESSION of all processes (None: not set);
    `apparmor` tells whether security processes are run at all; `root` is the root directory of the chroot session
    whose jobs these are ("": they are the daemon's own); `uids` are shared with other engines, where there are any.
    """

    def __init__(
        self,
        initial_environment: Mapping[str, str],
        own_environment: Mapping[str, str],
        session_address: str | None = None,
        *,
        apparmor: bool = False,
        root: str = "",
        uids: Uids | None = None,
    ) -> None:
        self.initial_environment = dict(initial_environment)
        self.own_environment = dict(own_environment)
        self.session_address = session_address
        self.apparmor = apparmor
        self.root = root
        self.uids = uids or Uids()
        self.environment = dict(initial_environment)
        self.classes: dict[str, JobClass] = {}
        self.instances: dict[int, Instance] = {}
        self.queue = EventQueue()
        self.timers = Timers()
        self.now = 0.0
        self.effects: list[Effect] = []
        self.log_priority = Priority.MESSAGE
        self.may_start = True  # False from the moment on at which everything is only stopped
        self.may_respawn = True
        self._file_holds: dict[int, int] = {}
        # By the name of an event: who has a place for it. Values are None; dicts keep the order.
        self._start_index: dict[str, dict[JobClass, None]] = {}
        self._stop_index: dict[str, dict[Instance, None]] = {}

    # -- saying things ------------------------------------------------------------------------------

    def effect(self, effect: Effect) -> None:
        """Ask the shell for something, after what was asked for before."""
        self.effects.append(effect)

    def log(self, priority: Priority, text: str, *arguments: object) -> None:
        """Have a diagnostic written; `text` is a %-format, used only if the diagnostic counts."""
        if priority >= self.log_priority:
            self.effects.append(LogLine(priority, text % arguments if arguments else text))

    # -- who is there -------------------------------------------------------------------------------

    def add_class(self, job_class: JobClass) -> None:
        """Register a job; its start condition is matched from now on."""
        self.classes[job_class.name] = job_class
        for name in event_names(job_class.config.start_on):
            self._start_index.setdefault(name, {})[job_class] = None

    def remove_class(self, job_class: JobClass) -> None:
        """Forget a job. Its start condition keeps what it holds: the caller decides what becomes of that."""
        del self.classes[job_class.name]
        _drop(self._start_index, job_class.config.start_on, job_class)

    def add_instance(self, instance: Instance) -> None:
        """Register an instance; its stop condition is matched from now on."""
        self.instances[instance.uid] = instance
        instance.job_class.instances[instance.name] = instance
        for name in event_names(instance.config.stop_on):
            self._stop_index.setdefault(name, {})[instance] = None

    def remove_instance(self, instance: Instance) -> None:
        """Forget an instance and let go of everything it holds."""
        del self.instances[instance.uid]
        del instance.job_class.instances[instance.name]
        _drop(self._stop_index, instance.config.stop_on, instance)
        instance.stop_places.clear()
        self.timers.cancel(instance.uid)
        self.release_files(instance.supplies.files)
        if instance.next_supplies:
            self.release_files(instance.next_supplies.files)

    def interested_in(self, event: Event) -> dict[JobClass, list[Instance]]:
        """The jobs that have a place for an event of this name, with their instances that have one, by name."""
        found: dict[JobClass, list[Instance]] = {}
        for job_class in self._start_index.get(event.name, ()):
            found[job_class] = []
        for instance in self._stop_index.get(event.name, ()):
            found.setdefault(instance.job_class, []).append(instance)
        return {job_class: found[job_class] for job_class in sorted(found, key=lambda one: one.name)}

    def somebody_starts_on(self, event: Event) -> bool:
        """Whether any start condition has a place for the event, be it filled already."""
        return any(one.start_places.matching(event, {}) for one in self._start_index.get(event.name, ()))

    # -- events and their files ---------------------------------------------------------------------

    def emit(
        self,
        name: str,
        env: Iterable[str] = (),
        *,
        blocks: Instance | None = None,
        caller: Caller | None = None,
        file: int | None = None,
    ) -> Event:
        """Put a new event at the end of the queue."""
        event = Event(name, tuple(env), blocks=blocks, caller=caller, file=file)
        self.log(Priority.DEBUG, "Pending %s event", name)
        if file is not None:
            self.hold_files((file,))
        self.queue.add(event)
        return event

    def hold_files(self, files: Iterable[int]) -> None:
        """Count one more holder of each descriptor."""
        for file in files:
            self._file_holds[file] = self._file_holds.get(file, 0) + 1

    def release_files(self, files: Iterable[int]) -> None:
        """Count one holder of each descriptor less; what nobody holds is closed."""
        for file in files:
            self._file_holds[file] -= 1
            if not self._file_holds[file]:
                del self._file_holds[file]
                self.effect(CloseFile(file))


def _drop(index: dict[str, dict[_Who, None]], condition: Condition, who: _Who) -> None:
    """Take `who` out of the index, under every name that `condition` mentions."""
    for name in event_names(condition):
        del index[name][who]
        if not index[name]:
            del index[name]
