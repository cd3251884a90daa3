"""What the clients ask of the daemon, as Python calls: its manager, jobs and instances. Each call blocks.

aio.py has the same calls for an event loop. Not responsible for the wire (connection.py), what the answers mean
(interface.py), or text (render.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.connect import connect, route_to
from upstartd_clients.connection import ANSWER_SECONDS, deadline_in
from upstartd_clients.errors import ClientError, Gone, UnknownInstance
from upstartd_clients.interface import (
    INSTANCE,
    JOB,
    MANAGER,
    MANAGER_PATH,
    PROPERTIES,
    bytewise,
    call_of,
    conditions_of,
    env_list,
    instances_of,
    name_in,
    status_of,
    statuses_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from upstartd_clients.connection import Connection
    from upstartd_clients.interface import Conditions, Env, Status
    from upstartd_clients.signals import Signal


class Upstart:
    """A daemon at the other end of `connection`: a context manager, which hangs up at its end.

    Each call raises what Connection.call() does.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, to: str = "", *, name: str | None = None, environ: Mapping[str, str] = os.environ) -> Upstart:
        """Connect to a daemon: `to` is "user", "session" or "system", as the options of initctl, the address of a
        daemon's own socket, or empty, and then chosen as initctl would. `name` is the daemon's on a bus.

        ConnectionFailed if there is no way to it, UsageError if the words make no sense.
        """
        return cls(connect(route_to(to, name, environ, os.geteuid()), environ))

    def __enter__(self) -> Upstart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def call(self, path: str, interface: str, member: str, *arguments: Any,
             seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of an object; gives the value it returns, None if it returns none."""
        values = self._connection.call(call_of(path, interface, member, *arguments), seconds=seconds)
        return values[0] if values else None

    def manager(self, member: str, *arguments: Any, seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of the manager."""
        return self.call(MANAGER_PATH, MANAGER, member, *arguments, seconds=seconds)

    def text(self, path: str, interface: str, name: str) -> str:
        """A property of an object that is a string."""
        return text_of(interface, name, self.call(path, PROPERTIES, "Get", interface, name))

    def version(self) -> str:
        """What the daemon says that it is."""
        return self.text(MANAGER_PATH, MANAGER, "version")

    def log_priority(self) -> str:
        """The priority from which on the daemon writes its diagnostics."""
        return self.text(MANAGER_PATH, MANAGER, "log_priority")

    def set_log_priority(self, priority: str) -> None:
        """Have the daemon write its diagnostics from this priority on."""
        self.call(MANAGER_PATH, PROPERTIES, "Set", MANAGER, "log_priority", ("s", priority))

    def emit(self, event: str, env: Env = (), *, wait: bool = True) -> None:
        """Emit an event; with `wait`, wait for as long as what it starts and stops takes."""
        self.manager("EmitEvent", event, env_list(env), wait, seconds=None)

    def job(self, name: str) -> Job:
        """The job of that name; UnknownJob if there is none."""
        return Job(self, name, self.manager("GetJobByName", name))

    def jobs(self) -> list[Job]:
        """Every job, sorted by name."""
        jobs = [Job(self, name_in(path), path) for path in self.manager("GetAllJobs")]
        return sorted(jobs, key=lambda job: bytewise(job.name))

    def conditions(self, jobs: Iterable[Job]) -> list[Conditions]:
        """The conditions of each of these jobs. A job that is gone meanwhile is left out."""
        answers = self._connection.call_all(call_of(job.path, PROPERTIES, "GetAll", JOB) for job in jobs)
        return [conditions_of(answer[0]) for answer in answers if answer]

    def descriptions(self, jobs: Sequence[Job]) -> dict[str, str]:
        """What the file of each of these jobs says that it is, by its name. A job that is gone is left out."""
        answers = self._connection.call_all(call_of(job.path, PROPERTIES, "Get", JOB, "description") for job in jobs)
        return {job.name: text_of(JOB, "description", answer[0])
                for job, answer in zip(jobs, answers, strict=True) if answer}

    def statuses(self, jobs: Sequence[Job]) -> list[tuple[str, list[Status]]]:
        """Each job's name, and where its instances stand, sorted by name. What is gone meanwhile is left out."""
        answers = self._connection.call_all(call_of(job.path, JOB, "GetAllInstances") for job in jobs)
        found = instances_of((job.name for job in jobs), answers)
        return statuses_of(found, self._connection.call_all(
            call_of(path, PROPERTIES, "GetAll", INSTANCE) for _, paths in found for path in paths))

    def follow(self) -> Follower:
        """What the daemon tells from now on of its jobs and events: to be used in a `with` statement."""
        return Follower(self._connection)


class Job(NamedTuple):
    """A job of the daemon, at `path`. Instances are named by those variables in `env` that its file says."""

    upstart: Upstart
    name: str
    path: str

    def usage(self) -> str:
        """What the job's file says on how to start it; empty where it says nothing."""
        return self.upstart.text(self.path, JOB, "usage")

    def instance(self, env: Env = ()) -> Instance:
        """The instance that these variables name; UnknownInstance if it is at rest."""
        return Instance(self, self.upstart.call(self.path, JOB, "GetInstance", env_list(env)))

    def instance_by_name(self, name: str) -> Instance:
        """The instance of that name; UnknownInstance if it is at rest."""
        return Instance(self, self.upstart.call(self.path, JOB, "GetInstanceByName", name))

    def instances(self) -> list[Instance]:
        """Every instance that is not at rest, sorted by name."""
        found = [Instance(self, path) for path in self.upstart.call(self.path, JOB, "GetAllInstances")]
        return sorted(found, key=lambda instance: bytewise(instance.name))

    def start(self, env: Env = (), *, wait: bool = True) -> Instance:
        """Start the instance that these variables name, and with `wait` wait until a service runs, or a task has ended.

        AlreadyStarted if it runs, JobFailed if it does not get there.
        """
        return self.change("Start", env, wait=wait)

    def stop(self, env: Env = (), *, wait: bool = True) -> Instance:
        """Stop the instance that these variables name, and with `wait` wait until it is at rest.

        UnknownInstance if it is so already, AlreadyStopped if it is on the way there.
        """
        return self.change("Stop", env, wait=wait)

    def restart(self, env: Env = (), *, wait: bool = True) -> Instance:
        """Stop and start the instance that these variables name; it keeps its definition. With `wait`, as start()."""
        return self.change("Restart", env, wait=wait)

    def change(self, method: str, env: Env, *, wait: bool) -> Instance:
        """Call Start, Stop or Restart, with `wait` for as long as it takes; gives the instance that was meant."""
        # Stop does not return the instance, and when it has stopped nobody knows it any more.
        instance = self.instance(env) if method == "Stop" else None
        path = self.upstart.call(self.path, JOB, method, env_list(env), wait, seconds=None)
        return instance or Instance(self, path)

    def status(self, instance: str = "") -> Status | None:
        """Where the instance of that name stands; None if it is at rest."""
        try:
            return self.instance_by_name(instance).status()
        except (UnknownInstance, Gone):
            return None

    def wait_for(self, state: str, instance: str = "", *, seconds: float | None = None) -> None:
        """Wait until the instance of that name comes to a state, such as "running"; or to "waiting", which is at rest.

        It need not be there yet, and nothing but `seconds` ends the wait for one that never comes: TimeoutError.
        """
        from upstartd_clients.signals import is_in, reaches  # not for every client

        deadline = deadline_in(seconds)
        with self.upstart.follow() as signals:
            if is_in(self.status(instance), state):
                return
            while not reaches(signals.next_by(deadline), self.name, instance, state):
                pass


class Instance(NamedTuple):
    """An instance of a job, at `path`. It may be gone at any time."""

    job: Job
    path: str

    @property
    def name(self) -> str:
        """Its name; empty where the job has one instance only."""
        return name_in(self.path)

    def start(self, *, wait: bool = True) -> None:
        """Have it start, as while it stops. Otherwise as Job.start()."""
        self.change("Start", wait=wait)

    def stop(self, *, wait: bool = True) -> None:
        """Have it stop, as Job.stop()."""
        self.change("Stop", wait=wait)

    def restart(self, *, wait: bool = True) -> None:
        """Have it stop and start, as Job.restart()."""
        self.change("Restart", wait=wait)

    def change(self, method: str, *, wait: bool = False) -> None:
        """Call Start, Stop or Restart, with `wait` for as long as it takes."""
        self.job.upstart.call(self.path, INSTANCE, method, wait, seconds=None if wait else ANSWER_SECONDS)

    def reload(self) -> None:
        """Have the reload signal sent to the main process; NotRunning if there is none."""
        self.job.upstart.call(self.path, INSTANCE, "Reload")

    def status(self) -> Status | None:
        """Where the instance stands; None if it is gone."""
        try:
            return status_of(self.job.name, self.job.upstart.call(self.path, PROPERTIES, "GetAll", INSTANCE))
        except Gone:
            return None

    def wait_for(self, state: str, *, seconds: float | None = None) -> None:
        """As Job.wait_for()."""
        self.job.wait_for(state, self.name, seconds=seconds)


class Follower:
    """The signals of a daemon from the beginning of a `with` statement to its end: an iterator, which waits.

    What comes while something else is asked on the connection is kept. ConnectionLost when the daemon has gone.
    """

    def __init__(self, connection: Connection) -> None:
        from upstartd_clients.signals import Following  # not for every client

        self._connection = connection
        self._following = Following(connection.destination)

    def __enter__(self) -> Follower:
        self._connection.listeners.append(self._following.take)
        try:
            for call in self._following.first_calls(on_bus=self._connection.on_bus):
                answer = self._connection.call(call)
        except BaseException:
            self._connection.listeners.remove(self._following.take)
            raise
        self._following.begin(answer)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.listeners.remove(self._following.take)
        try:
            for call in self._following.last_calls(on_bus=self._connection.on_bus):
                self._connection.call(call)
        except ClientError:
            pass  # A connection that is lost has no rules any more.

    def __iter__(self) -> Iterator[Signal]:
        return self

    def __next__(self) -> Signal:
        return self.next_by(None)

    def next(self, *, seconds: float | None = None) -> Signal:
        """The next signal, waited for so long; TimeoutError if none has come by then."""
        return self.next_by(deadline_in(seconds))

    def next_by(self, deadline: float | None) -> Signal:
        """The next signal up to a time on the clock of time.monotonic()."""
        while (signal := self._following.next()) is None:
            self._connection.receive(deadline)
        return signal
