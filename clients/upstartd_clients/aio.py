"""What upstart.py asks of the daemon, for an event loop: the same names and arguments, to be awaited.

    async with await Upstart.connect() as upstart:
        web = await upstart.job("web")
        await web.start({"PORT": "8124"})

Of libraries with an asyncio side, neither fits a daemon that is on a socket of its own at least as often as on a bus.
dbus-next connects to message buses only, takes a full socket for a broken one, and costs 100 ms to import; jeepney's
router begins with a call that only a bus understands, drops signals that nobody fetches in time, and leaves those who
wait for one waiting when the connection is lost. So this uses the loop's own streams; both clients are made of the same
parts, and differ in how they wait. Not responsible for the wire (aio_connection.py) or what the answers mean
(interface.py, signals.py).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from upstartd_clients.aio_connection import AioConnection
from upstartd_clients.connect import connect, route_to
from upstartd_clients.connection import ANSWER_SECONDS
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
from upstartd_clients.signals import Following, is_in, reaches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from upstartd_clients.interface import Conditions, Env, Status
    from upstartd_clients.signals import Signal


class Upstart:
    """As upstart.Upstart."""

    def __init__(self, connection: AioConnection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, to: str = "", *, name: str | None = None,
                      environ: Mapping[str, str] = os.environ) -> Upstart:
        """As upstart.Upstart.connect()."""
        made = await asyncio.to_thread(lambda: connect(route_to(to, name, environ, os.geteuid()), environ))
        return cls(await AioConnection.open(made))

    async def __aenter__(self) -> Upstart:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def call(self, path: str, interface: str, member: str, *arguments: Any,
                   seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of an object; gives the value it returns, None if it returns none."""
        values = await self._connection.call(call_of(path, interface, member, *arguments), seconds=seconds)
        return values[0] if values else None

    async def manager(self, member: str, *arguments: Any, seconds: float | None = ANSWER_SECONDS) -> Any:
        """Call a method of the manager."""
        return await self.call(MANAGER_PATH, MANAGER, member, *arguments, seconds=seconds)

    async def text(self, path: str, interface: str, name: str) -> str:
        """A property of an object that is a string."""
        return text_of(interface, name, await self.call(path, PROPERTIES, "Get", interface, name))

    async def version(self) -> str:
        """What the daemon says that it is."""
        return await self.text(MANAGER_PATH, MANAGER, "version")

    async def log_priority(self) -> str:
        """The priority from which on the daemon writes its diagnostics."""
        return await self.text(MANAGER_PATH, MANAGER, "log_priority")

    async def set_log_priority(self, priority: str) -> None:
        """Have the daemon write its diagnostics from this priority on."""
        await self.call(MANAGER_PATH, PROPERTIES, "Set", MANAGER, "log_priority", ("s", priority))

    async def emit(self, event: str, env: Env = (), *, wait: bool = True) -> None:
        """Emit an event; with `wait`, wait for as long as what it starts and stops takes."""
        await self.manager("EmitEvent", event, env_list(env), wait, seconds=None)

    async def job(self, name: str) -> Job:
        """The job of that name; UnknownJob if there is none."""
        return Job(self, name, await self.manager("GetJobByName", name))

    async def jobs(self) -> list[Job]:
        """Every job, sorted by name."""
        jobs = [Job(self, name_in(path), path) for path in await self.manager("GetAllJobs")]
        return sorted(jobs, key=lambda job: bytewise(job.name))

    async def conditions(self, jobs: Iterable[Job]) -> list[Conditions]:
        """The conditions of each of these jobs. A job that is gone meanwhile is left out."""
        answers = await self._connection.call_all(call_of(job.path, PROPERTIES, "GetAll", JOB) for job in jobs)
        return [conditions_of(answer[0]) for answer in answers if answer]

    async def descriptions(self, jobs: Sequence[Job]) -> dict[str, str]:
        """What the file of each of these jobs says that it is, by its name. A job that is gone is left out."""
        answers = await self._connection.call_all(
            call_of(job.path, PROPERTIES, "Get", JOB, "description") for job in jobs)
        return {job.name: text_of(JOB, "description", answer[0])
                for job, answer in zip(jobs, answers, strict=True) if answer}

    async def statuses(self, jobs: Sequence[Job]) -> list[tuple[str, list[Status]]]:
        """Each job's name, and where its instances stand, sorted by name. What is gone meanwhile is left out."""
        answers = await self._connection.call_all(call_of(job.path, JOB, "GetAllInstances") for job in jobs)
        found = instances_of((job.name for job in jobs), answers)
        return statuses_of(found, await self._connection.call_all(
            call_of(path, PROPERTIES, "GetAll", INSTANCE) for _, paths in found for path in paths))

    def follow(self) -> Follower:
        """What the daemon tells from now on of its jobs and events: to be used in an `async with` statement."""
        return Follower(self._connection)


class Job(NamedTuple):
    """As upstart.Job."""

    upstart: Upstart
    name: str
    path: str

    async def usage(self) -> str:
        """What the job's file says on how to start it; empty where it says nothing."""
        return await self.upstart.text(self.path, JOB, "usage")

    async def instance(self, env: Env = ()) -> Instance:
        """The instance that these variables name; UnknownInstance if it is at rest."""
        return Instance(self, await self.upstart.call(self.path, JOB, "GetInstance", env_list(env)))

    async def instance_by_name(self, name: str) -> Instance:
        """The instance of that name; UnknownInstance if it is at rest."""
        return Instance(self, await self.upstart.call(self.path, JOB, "GetInstanceByName", name))

    async def instances(self) -> list[Instance]:
        """Every instance that is not at rest, sorted by name."""
        found = [Instance(self, path) for path in await self.upstart.call(self.path, JOB, "GetAllInstances")]
        return sorted(found, key=lambda instance: bytewise(instance.name))

    async def start(self, env: Env = (), *, wait: bool = True) -> Instance:
        """As upstart.Job.start()."""
        return await self.change("Start", env, wait=wait)

    async def stop(self, env: Env = (), *, wait: bool = True) -> Instance:
        """As upstart.Job.stop()."""
        return await self.change("Stop", env, wait=wait)

    async def restart(self, env: Env = (), *, wait: bool = True) -> Instance:
        """As upstart.Job.restart()."""
        return await self.change("Restart", env, wait=wait)

    async def change(self, method: str, env: Env, *, wait: bool) -> Instance:
        """As upstart.Job.change()."""
        instance = await self.instance(env) if method == "Stop" else None
        path = await self.upstart.call(self.path, JOB, method, env_list(env), wait, seconds=None)
        return instance or Instance(self, path)

    async def status(self, instance: str = "") -> Status | None:
        """Where the instance of that name stands; None if it is at rest."""
        try:
            return await (await self.instance_by_name(instance)).status()
        except (UnknownInstance, Gone):
            return None

    async def wait_for(self, state: str, instance: str = "", *, seconds: float | None = None) -> None:
        """As upstart.Job.wait_for()."""
        async with asyncio.timeout(seconds), self.upstart.follow() as signals:
            if is_in(await self.status(instance), state):
                return
            while not reaches(await signals.next(), self.name, instance, state):
                pass


class Instance(NamedTuple):
    """As upstart.Instance."""

    job: Job
    path: str

    @property
    def name(self) -> str:
        """Its name; empty where the job has one instance only."""
        return name_in(self.path)

    async def start(self, *, wait: bool = True) -> None:
        """Have it start, as while it stops. Otherwise as Job.start()."""
        await self.change("Start", wait=wait)

    async def stop(self, *, wait: bool = True) -> None:
        """Have it stop, as Job.stop()."""
        await self.change("Stop", wait=wait)

    async def restart(self, *, wait: bool = True) -> None:
        """Have it stop and start, as Job.restart()."""
        await self.change("Restart", wait=wait)

    async def change(self, method: str, *, wait: bool = False) -> None:
        """Call Start, Stop or Restart, with `wait` for as long as it takes."""
        await self.job.upstart.call(self.path, INSTANCE, method, wait, seconds=None if wait else ANSWER_SECONDS)

    async def reload(self) -> None:
        """Have the reload signal sent to the main process; NotRunning if there is none."""
        await self.job.upstart.call(self.path, INSTANCE, "Reload")

    async def status(self) -> Status | None:
        """Where the instance stands; None if it is gone."""
        try:
            return status_of(self.job.name, await self.job.upstart.call(self.path, PROPERTIES, "GetAll", INSTANCE))
        except Gone:
            return None

    async def wait_for(self, state: str, *, seconds: float | None = None) -> None:
        """As Job.wait_for()."""
        await self.job.wait_for(state, self.name, seconds=seconds)


class Follower:
    """As upstart.Follower, for `async with` and `async for`; for one task at a time."""

    def __init__(self, connection: AioConnection) -> None:
        self._connection = connection
        self._following = Following(connection.destination)
        self._news = asyncio.Event()

    async def __aenter__(self) -> Follower:
        self._connection.followers[self._following] = self._news
        try:
            for call in self._following.first_calls(on_bus=self._connection.on_bus):
                answer = await self._connection.call(call)
        except BaseException:
            del self._connection.followers[self._following]
            raise
        self._following.begin(answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        del self._connection.followers[self._following]
        with suppress(ClientError):  # A connection that is lost has no rules any more.
            for call in self._following.last_calls(on_bus=self._connection.on_bus):
                await self._connection.call(call)

    def __aiter__(self) -> AsyncIterator[Signal]:
        return self

    async def __anext__(self) -> Signal:
        return await self.next()

    async def next(self, *, seconds: float | None = None) -> Signal:
        """The next signal, waited for so long; TimeoutError if none has come by then."""
        async with asyncio.timeout(seconds):
            while (signal := self._following.next()) is None:
                self._news.clear()
                await self._news.wait()
            return signal
