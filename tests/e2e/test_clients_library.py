"""The library: both clients, against real daemons on a private socket and on a bus."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.daemon import Daemon
from support.dbus_daemon import DBusDaemon
from support.library import connect_aio, connect_blocking
from support.waiting import LIMIT, PAUSE, wait_until
from upstartd_clients import (
    AlreadyStarted,
    ConnectionFailed,
    ConnectionLost,
    EventEmitted,
    Failed,
    GoalChanged,
    InstanceAdded,
    InstanceRemoved,
    InvalidArgs,
    JobAdded,
    JobFailed,
    JobRemoved,
    NotRunning,
    StateChanged,
    Status,
    UnknownInstance,
    UnknownJob,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Play = Callable[[Callable[[Any], Awaitable[None]]], None]

SLEEP = "exec sleep 1000\n"
CLIENTS = {"blocking": connect_blocking, "asyncio": connect_aio}


@pytest.fixture(params=["socket", "bus"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    if request.param == "socket":
        with Daemon(tmp_path, "--user", "--no-startup-event") as running:
            yield running
    else:
        with DBusDaemon(tmp_path) as bus, Daemon(tmp_path, "--session", "--no-startup-event", bus=bus) as running:
            yield running


@pytest.fixture(params=CLIENTS)
def play(request: pytest.FixtureRequest, daemon: Daemon) -> Play:
    """Play a scene with a client that is connected to the daemon."""

    async def run(scene: Callable[[Any], Awaitable[None]]) -> None:
        async with asyncio.timeout(LIMIT), await CLIENTS[request.param](way_to(daemon), daemon.environ) as upstart:
            await scene(upstart)

    return lambda scene: asyncio.run(run(scene))


def way_to(daemon: Daemon) -> str:
    return "user" if "UPSTART_SESSION" in daemon.environ else "session"


async def wait_for_process(instance: Any) -> Status:
    """Where the instance stands, as soon as it has a process."""
    status: Status = await instance.status()
    while not status.processes:
        await asyncio.sleep(PAUSE)
        status = await instance.status()
    return status


def initctl(daemon: Daemon, *words: str) -> str:
    return daemon.run("initctl", f"--{way_to(daemon)}", *words)


def test_a_job_is_started_looked_at_and_stopped(daemon: Daemon, play: Play) -> None:
    daemon.write_job("web", f'usage "web PORT=N"\ndescription "the web"\nstart on boot\nemits web-up\n{SLEEP}')
    daemon.write_job("idle", SLEEP)

    async def scene(upstart: Any) -> None:
        web = await upstart.job("web")
        assert await web.usage() == "web PORT=N"
        assert await web.status() is None
        instance = await web.start({"PORT": "80"})
        status = await instance.status()
        assert status == await web.status() == Status("web", "", "start", "running", status.processes)
        assert f"web start/running, process {status.processes[0][1]}\n" == initctl(daemon, "status", "web")
        assert instance.name == ""
        assert instance.path == (await web.instance()).path == (await web.instances())[0].path
        jobs = await upstart.jobs()
        assert [job.name for job in jobs] == ["idle", "web"]
        assert await upstart.statuses(jobs) == [("idle", []), ("web", [status])]
        assert await upstart.descriptions(jobs) == {"idle": "", "web": "the web"}
        conditions = (await upstart.conditions(jobs))[1]
        assert (conditions.name, conditions.start_on, conditions.emits) == ("web", [["boot"]], ["web-up"])
        await web.restart()
        assert (await instance.status()).processes != status.processes
        await instance.restart()
        await instance.stop()
        assert await instance.status() is None
        assert await web.instances() == []

    play(scene)


def test_instances_are_named_by_variables(daemon: Daemon, play: Play) -> None:
    daemon.write_job("tty", f"instance $TTY\n{SLEEP}")

    async def scene(upstart: Any) -> None:
        tty = await upstart.job("tty")
        await tty.start({"TTY": "b"})
        first = await tty.start(["TTY=a-1"], wait=False)
        assert first.name == "a-1"
        assert [one.name for one in await tty.instances()] == ["a-1", "b"]
        assert (await tty.status("b")).instance == "b"
        assert (await tty.instance({"TTY": "b"})).path == (await tty.instance_by_name("b")).path
        await tty.stop({"TTY": "b"})
        assert await tty.status("b") is None

    play(scene)


def test_what_the_daemon_refuses_is_an_error_of_its_own_kind(daemon: Daemon, play: Play) -> None:
    daemon.write_job("web", SLEEP)
    daemon.write_job("wrong", "exec /nonexistent/program\n")
    daemon.write_job("idle", "post-start exec sleep 1000\n")

    async def scene(upstart: Any) -> None:
        with pytest.raises(UnknownJob, match="Unknown job: frob") as caught:
            await upstart.job("frob")
        assert caught.value.name == "com.ubuntu.Upstart0_6.Error.UnknownJob"
        web = await upstart.job("web")
        with pytest.raises(UnknownInstance):
            await web.stop()
        with pytest.raises(InvalidArgs, match="Env must be KEY=VALUE pairs"):
            await web.start(["PORT"])
        await web.start()
        with pytest.raises(AlreadyStarted):
            await web.start()
        with pytest.raises(JobFailed):
            await (await upstart.job("wrong")).start()
        idle = await (await upstart.job("idle")).start(wait=False)
        with pytest.raises(NotRunning):
            await idle.reload()
        # The daemon waits for a post-start at its end.
        os.kill((await wait_for_process(idle)).processes[0][1], signal.SIGKILL)
        with pytest.raises(TypeError, match="one text"):
            await web.start("PORT=80")

    play(scene)


def test_an_event_is_emitted_and_waited_for(daemon: Daemon, play: Play) -> None:
    daemon.write_job("work", f"start on net-up\ntask\nexec echo $IFACE > {daemon.scratch}/out\n")

    async def scene(upstart: Any) -> None:
        await upstart.emit("net-up", {"IFACE": "eth0"})
        assert (daemon.scratch / "out").read_text() == "eth0\n"

    play(scene)


def test_the_daemon_tells_of_itself_and_is_told(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        assert (await upstart.version()).startswith("init (upstart ")
        await upstart.set_log_priority("debug")
        assert await upstart.log_priority() == "debug"
        await upstart.manager("SetEnvList", [], ["COLOUR=blue"], True)
        assert await upstart.manager("GetEnv", [], "COLOUR") == "blue"

    play(scene)


def test_followers_get_all_that_happens_to_jobs_in_order(daemon: Daemon, play: Play) -> None:
    async def scene(upstart: Any) -> None:
        async with upstart.follow() as signals:
            daemon.write_job("net-up", "instance $X\nexport X\nexec sleep 1000\npost-stop exec false\n")
            assert await signals.next(seconds=LIMIT) == JobAdded("net-up")
            initctl(daemon, "start", "net-up", "X=ä")
            with pytest.raises(JobFailed):
                await (await upstart.job("net-up")).stop({"X": "ä"})
            (daemon.init / "net-up.conf").unlink()
            found = []
            async for one in signals:
                found.append(one)
                if one == JobRemoved("net-up"):
                    break
        assert [one for one in found if not isinstance(one, StateChanged | EventEmitted)] == [
            InstanceAdded("net-up", "ä"), GoalChanged("net-up", "ä", "start"), GoalChanged("net-up", "ä", "stop"),
            Failed("net-up", "ä", 1), InstanceRemoved("net-up", "ä"), JobRemoved("net-up")]
        states = [one.state for one in found if isinstance(one, StateChanged)]
        assert (states[0], states[-1]) == ("starting", "waiting")
        assert "running" in states
        assert EventEmitted("started", ["JOB=net-up", "INSTANCE=ä", "X=ä"]) in found

    play(scene)


def test_who_stops_following_hears_no_more_and_may_begin_again(daemon: Daemon, play: Play) -> None:
    async def scene(upstart: Any) -> None:
        async with upstart.follow() as signals:
            pass
        initctl(daemon, "emit", "one")
        async with upstart.follow() as signals:
            initctl(daemon, "emit", "two")
            assert await signals.next(seconds=LIMIT) == EventEmitted("two", [])
            with pytest.raises(TimeoutError):
                await signals.next(seconds=0.01)

    play(scene)


def test_a_state_is_waited_for_whoever_brings_it_about(daemon: Daemon, play: Play) -> None:
    daemon.write_job("tty", f"instance $TTY\nstart on go\n{SLEEP}")

    async def scene(upstart: Any) -> None:
        tty = await upstart.job("tty")
        await tty.wait_for("waiting", "1")
        with pytest.raises(TimeoutError):
            await tty.wait_for("running", "1", seconds=0.05)
        waiting = asyncio.create_task(wait_elsewhere(daemon, type(upstart), "running"))
        await upstart.emit("go", {"TTY": "2"})
        await upstart.emit("go", {"TTY": "1"})
        await waiting
        one = await tty.instance_by_name("1")
        await one.wait_for("running")
        waiting = asyncio.create_task(wait_elsewhere(daemon, type(upstart), "waiting"))
        await tty.stop({"TTY": "1"}, wait=False)
        await waiting

    async def wait_elsewhere(daemon: Daemon, kind: type, state: str) -> None:
        connect = connect_aio if kind.__module__ == "upstartd_clients.aio" else connect_blocking
        async with await connect(way_to(daemon), daemon.environ) as other:
            await (await other.job("tty")).wait_for(state, "1")

    play(scene)


async def read_on(signals: Any) -> None:
    """Read signals without end: the daemon may have told of the new job file before it died."""
    while True:
        await signals.next()


def test_a_daemon_that_dies_ends_what_waits_for_it(daemon: Daemon, play: Play) -> None:
    daemon.write_job("slow", f"pre-start exec sleep 1000\n{SLEEP}")

    async def scene(upstart: Any) -> None:
        async with upstart.follow() as signals:
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait()
            with pytest.raises(ConnectionLost, match="lost the connection to Upstart"):
                await read_on(signals)
            with pytest.raises(ConnectionLost):  # and it stays so
                await signals.next()

    play(scene)


@pytest.mark.parametrize("connect", CLIENTS.values(), ids=CLIENTS)
def test_where_nobody_listens_connecting_fails(connect: Callable[[str, dict[str, str]], Any], tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match="Unable to connect to Upstart"):
        asyncio.run(connect(f"unix:path={tmp_path}/nobody", {}))
    with pytest.raises(UsageError, match="neither user, session, system nor an address"):
        asyncio.run(connect("frob", {}))


def test_many_calls_of_several_tasks_share_an_asyncio_connection(tmp_path: Path) -> None:
    async def scene(environ: dict[str, str]) -> None:
        async with await connect_aio("user", environ) as upstart:
            names = [f"job{number}" for number in range(300)]
            assert [job.name for job in await asyncio.gather(*(upstart.job(name) for name in names))] == names
            assert len(await upstart.statuses(await upstart.jobs())) == 301
            late = asyncio.create_task(upstart.emit("go"))  # which waits for slow
            await (await upstart.job("slow")).wait_for("pre-start")
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
            await (await upstart.job("slow")).stop(wait=False)
            await upstart.version()  # what was cancelled has cost the connection nothing
            waiting = asyncio.create_task(upstart.emit("go"))
            await (await upstart.job("slow")).wait_for("pre-start")
        with pytest.raises(ConnectionLost):  # it has hung up
            await waiting

    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        for number in range(300):
            daemon.write_job(f"job{number}", SLEEP)
        daemon.write_job("slow", f"start on go\npre-start exec sleep 1000\n{SLEEP}")
        wait_until(lambda: len(daemon.run("initctl", "list").splitlines()) == 301, "the jobs")
        asyncio.run(scene(daemon.environ))
        (pid,) = (line.rpartition(" ")[2] for line in daemon.run("status", "slow").splitlines())
        os.kill(int(pid), signal.SIGKILL)
