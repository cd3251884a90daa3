"""Chroot sessions with real processes: callers in another root directory, and the jobs that they have there."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.box import Box
from support.bus_host import MANAGER, Client, Refused, job_path
from support.daemon import Daemon
from support.namespaces import network_namespace
from support.waiting import wait_until
from upstartd.places import SYSTEM_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.box import BoxClient

JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
WEB = "exec sleep 1000\n"


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with network_namespace():
        yield


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


def daemon_in(tmp_path: Path, *options: str, **environ: str) -> Daemon:
    (tmp_path / "daemon").mkdir(exist_ok=True)
    return Daemon(tmp_path / "daemon", "--no-dbus", "--no-startup-event", *options, environ=environ)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path, "--chroot-sessions", "--verbose") as daemon:
        yield daemon


@contextmanager
def outside() -> Iterator[Client]:
    """A client in the daemon's own root directory."""
    with Client.on_socket(SYSTEM_SOCKET) as client:
        yield client


def start(client: Client | BoxClient, path: str, env: tuple[str, ...] = ()) -> int | None:
    """Start the job at `path`; gives the pid of its main process, if that is there then."""
    instance = client.call(path, JOB, "Start", "asb", list(env), True)
    processes: Any = client.call(instance, "org.freedesktop.DBus.Properties", "Get", "ss", INSTANCE, "processes")[1]
    return next((pid for name, pid in processes if name == "main"), None)


def sessions() -> list[dict[str, Any]]:
    """The chroot sessions that the daemon knows."""
    with outside() as client:
        found: list[dict[str, Any]] = json.loads(client.manager("GetState"))["sessions"]
        return found


def test_a_caller_in_a_chroot_has_the_jobs_of_that_root_and_no_others(box: Box, daemon: Daemon) -> None:
    daemon.write_job("web", WEB)
    daemon.write_job("own", WEB)
    box.write_job("web", "description inside\n" + WEB)
    (box.init / "net").mkdir()
    box.write_job("net/boxed", WEB)
    with box.client() as boxed, outside() as ours:
        assert boxed.manager("GetAllJobs") == [f"{box.objects}/net_2fboxed", f"{box.objects}/web"]
        assert sorted(ours.manager("GetAllJobs")) == [job_path("own"), job_path("web")]
        assert boxed.get(boxed.manager("GetJobByName", "s", "web"), JOB, "description") == "inside"
        assert start(boxed, f"{box.objects}/web")
        assert ours.call(job_path("web"), JOB, "GetAllInstances") == []
        for client, path in ((ours, f"{box.objects}/web"), (boxed, job_path("web"))):
            with pytest.raises(Refused, match="You do not have permission to modify job: web"):
                client.call(path, JOB, "Stop", "asb", [], True)


def test_processes_run_in_the_root_of_their_session(box: Box, daemon: Daemon) -> None:
    box.write_job("task", "task\nchdir /etc\nscript\n  pwd > /where; cat init/task.conf > /what; echo $PATH > /path\n"
                          "end script\n")
    box.write_job("web", WEB)
    with box.client() as boxed:
        boxed.call(f"{box.objects}/task", JOB, "Start", "asb", [], True)
        assert box.read("where") == "/etc\n"
        assert box.read("what") == (box.init / "task.conf").read_text()
        assert not os.path.exists("/where")
        pid = start(boxed, f"{box.objects}/web")
        assert os.readlink(f"/proc/{pid}/root") == os.readlink(f"/proc/{pid}/cwd") == str(box.path)


def test_a_job_s_own_chroot_is_below_that_of_its_session(box: Box, daemon: Daemon) -> None:
    jail = Box(box.path / "jail")
    box.write_job("jailed", "chroot /jail\nexec sleep 1000\n")
    with box.client() as boxed:
        pid = start(boxed, f"{box.objects}/jailed")
        assert os.readlink(f"/proc/{pid}/root") == str(jail.path)


@pytest.mark.parametrize("is_link", [False, True])
def test_logs_are_below_the_root_of_the_session_wherever_links_lead_outside(
    box: Box, daemon: Daemon, *, is_link: bool
) -> None:
    logs = box.path / str(daemon.scratch / "log")[1:]
    kept = logs
    if is_link:
        kept = box.path / "kept"
        logs.parent.mkdir(parents=True)
        logs.symlink_to("/kept")
    kept.mkdir(parents=True)
    box.write_job("hello", "task\ninstance $N\nscript\n  echo hello from $N\nend script\n")
    with box.client() as boxed:
        boxed.call(f"{box.objects}/hello", JOB, "Start", "asb", ["N=1"], True)
        boxed.call(f"{box.objects}/hello", JOB, "Start", "asb", ["N=a/b"], True)
    assert {path.name: path.read_text() for path in kept.iterdir()} == {
        "hello-1.log": "hello from 1\n", "hello-a_b.log": "hello from a/b\n"}
    assert list((daemon.scratch / "log").iterdir()) == []


def test_events_reach_the_jobs_of_their_own_session_alone(box: Box, daemon: Daemon, tmp_path: Path) -> None:
    daemon.write_job("web", f"task\nstart on go\nexec echo $FROM >> {tmp_path}/outside\n")
    box.write_job("web", "task\nstart on go\nexec sh -c 'echo $FROM >> /inside'\n")
    other = Box(tmp_path / "other")
    other.write_job("web", "task\nstart on go\nexec sh -c 'echo $FROM >> /inside'\n")
    with box.client() as boxed, other.client() as elsewhere, outside() as ours:
        elsewhere.manager("GetAllJobs")
        boxed.manager("EmitEvent", "sasb", "go", ["FROM=box"], True)
        ours.manager("EmitEvent", "sasb", "go", ["FROM=outside"], True)
        boxed.manager("GetAllJobs")
        emitted = [arguments for path, member, arguments in boxed.signals() if member == "EventEmitted"]
        assert ["go", ["FROM=box"]] in emitted
        assert ["go", ["FROM=outside"]] not in emitted
        elsewhere.manager("GetAllJobs")
        assert {member for _, member, _ in elsewhere.signals()} == {"JobAdded"}
        assert [f"{box.objects}/web", "InstanceAdded", [f"{box.objects}/web/_"]] in boxed.signals()
    assert (tmp_path / "outside").read_text() == "outside\n"
    assert box.read("inside") == "box\n"
    assert other.read("inside") == ""


def test_what_concerns_the_daemon_itself_has_no_effect(box: Box, daemon: Daemon) -> None:
    with box.client() as boxed, outside() as ours:
        before = ours.manager("ListEnv", "as", [])
        calls: list[tuple[Any, ...]] = [("NotifyDiskWriteable",), ("Restart",), ("EndSession",),
                                        ("SetEnv", "assb", [], "A=1", True), ("UnsetEnv", "ass", [], "PATH")]
        for member, *arguments in calls:
            assert boxed.manager(member, *arguments) is None
            assert f"init: Ignoring {member} request from chroot session\n" in daemon.log()
        with pytest.raises(Refused, match="You do not have permission to request state"):
            boxed.manager("GetState")
        assert ours.manager("ListEnv", "as", []) == boxed.manager("ListEnv", "as", []) == before
    for line in ("Restarting", "Quiescing"):
        assert line not in daemon.log()


def test_the_daemon_s_table_of_variables_is_for_the_jobs_of_sessions_too(box: Box, daemon: Daemon) -> None:
    box.write_job("web", "task\ninstance $N\nexec sh -c 'echo $A > /$N'\n")
    box.write_job("service", "exec sleep 1000\npost-stop exec sh -c 'echo $A > /post-stop'\n")
    with box.client() as boxed, outside() as ours:
        ours.manager("SetEnv", "assb", [], "A=early", True)
        start(boxed, f"{box.objects}/service")
        boxed.call(f"{box.objects}/web", JOB, "Start", "asb", ["N=1"], True)
        ours.manager("SetEnv", "assb", [], "A=late", True)
        boxed.call(f"{box.objects}/web", JOB, "Start", "asb", ["N=2"], True)
        boxed.call(f"{box.objects}/service", JOB, "Stop", "asb", [], True)
        ours.manager("ResetEnv", "as", [])
        boxed.call(f"{box.objects}/web", JOB, "Start", "asb", ["N=3"], True)
    assert [box.read(name) for name in ("1", "2", "post-stop", "3")] == ["early\n", "late\n", "late\n", "\n"]


def test_changed_job_files_are_noticed_and_read_again_when_that_is_asked_for(box: Box, daemon: Daemon) -> None:
    with box.client() as boxed:
        assert boxed.manager("GetAllJobs") == []
        box.write_job("web", "description one\n" + WEB)
        path = boxed.manager("GetJobByName", "s", "web")
        box.write_job("web", "description two\n" + WEB)
        wait_until(lambda: boxed.get(path, JOB, "description") == "two", "the change to be noticed")
        (box.init / "web.conf").unlink()
        wait_until(lambda: boxed.manager("GetAllJobs") == [], "the job to go")
        loading = f"Loading configuration from {box.init}\n"
        assert daemon.log().count(loading) == 1
        boxed.manager("ReloadConfiguration")
        assert daemon.log().count(loading) == 2
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count(loading) == 3, "the directory to be read again")


def test_job_files_that_are_links_lead_where_they_do_inside(box: Box, daemon: Daemon, tmp_path: Path) -> None:
    (box.path / "jobs").mkdir()
    (box.path / "jobs" / "inside.conf").write_text(WEB)
    (tmp_path / "outside.conf").write_text(WEB)
    box.init.rmdir()
    box.init.symlink_to("/jobs")
    (box.path / "jobs" / "link.conf").symlink_to("/jobs/inside.conf")
    (box.path / "jobs" / "astray.conf").symlink_to(tmp_path / "outside.conf")
    with box.client() as boxed:
        assert boxed.manager("GetAllJobs") == [f"{box.objects}/inside", f"{box.objects}/link"]
        (box.path / "jobs" / "later.conf").write_text(WEB)
        assert boxed.manager("GetJobByName", "s", "later") == f"{box.objects}/later"


def test_a_job_that_ignores_its_signal_is_killed_when_its_time_is_over(box: Box, daemon: Daemon) -> None:
    box.write_job("deaf", "kill timeout 1\nexec sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n")
    with box.client() as boxed:
        start(boxed, f"{box.objects}/deaf")
        boxed.call(f"{box.objects}/deaf", JOB, "Stop", "asb", [], True)
    assert "Sending KILL signal to deaf main process" in daemon.log()


def test_the_daemon_s_end_stops_the_jobs_of_sessions_in_order(box: Box, daemon: Daemon) -> None:
    box.write_job("web", "exec sleep 1000\npost-stop exec sh -c 'sleep 0.3; echo web >> /end'\n")
    box.write_job("getty", "stop on runlevel [016]\nexec sleep 1000\n"
                           "post-stop exec sh -c 'echo getty $RUNLEVEL >> /end'\n")
    with box.client() as boxed:
        pids = [start(boxed, f"{box.objects}/{job}") for job in ("web", "getty")]
    assert daemon.end() == 0
    assert sorted(box.read("end").splitlines()) == ["getty 0", "web"]
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_session_that_begins_while_the_daemon_ends_starts_nothing(box: Box, daemon: Daemon) -> None:
    daemon.write_job("slow", f"exec sleep 1000\npost-stop exec cat {daemon.scratch}/fifo\n")
    fifo = daemon.scratch / "fifo"
    os.mkfifo(fifo)
    box.write_job("web", WEB)
    daemon.run("start", "slow")
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "slow post-stop process" in daemon.log(), "the end to begin")
    with box.client() as boxed:
        with pytest.raises(Refused, match="The daemon is ending, nothing is started any more: web"):
            start(boxed, f"{box.objects}/web")
        fifo.write_text("")
        assert daemon.process.wait() == 0


def test_jobs_of_sessions_do_not_survive_a_re_execution_and_their_processes_run_on(box: Box, daemon: Daemon) -> None:
    daemon.write_job("own", WEB)
    box.write_job("web", WEB)
    own = daemon.run("start", "own").split()[-1]
    logs = box.path / str(daemon.scratch / "log")[1:]
    logs.mkdir(parents=True)
    with box.client() as boxed:
        first = start(boxed, f"{box.objects}/web")
        with outside() as ours, pytest.raises((ConnectionError, EOFError)):
            ours.manager("Restart")
    wait_until(lambda: daemon.try_run("initctl", "version").returncode == 0, "the daemon to be back")
    assert f"init: cannot keep jobs of the chroot session {box.path}: their processes run on alone\n" in daemon.log()
    assert daemon.run("status", "own") == f"own start/running, process {own}\n"
    with box.client() as boxed:
        assert boxed.call(f"{box.objects}/web", JOB, "GetAllInstances") == []
        second = start(boxed, f"{box.objects}/web")
        assert second != first
        assert os.path.exists(f"/proc/{first}")
        os.kill(first or 0, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{first}"), "the old process to be collected")
        assert boxed.get(f"{box.objects}/web/_", INSTANCE, "state") == "running"
        boxed.call(f"{box.objects}/web", JOB, "Stop", "asb", [], True)
    assert daemon.run("status", "own") == f"own start/running, process {own}\n"


def test_a_session_lasts_as_long_as_anything_in_it(box: Box, daemon: Daemon) -> None:
    box.write_job("web", WEB)
    box.write_job("patient", "start on one and two\n" + WEB)
    with box.client() as boxed:
        boxed.manager("GetAllJobs")
        assert [session["chroot"] for session in sessions()] == [str(box.path)]
        pid = start(boxed, f"{box.objects}/web")
        assert pid is not None
    with box.client() as boxed:  # which ends after the one before, so that has been seen to leave
        assert boxed.call(f"{box.objects}/web", JOB, "GetAllInstances") == [f"{box.objects}/web/_"]
        boxed.call(f"{box.objects}/web", JOB, "Stop", "asb", [], True)
        boxed.manager("EmitEvent", "sasb", "one", [], False)
    with box.client() as boxed:
        boxed.manager("EmitEvent", "sasb", "two", [], False)
        boxed.call(f"{box.objects}/patient", JOB, "Stop", "asb", [], True)
    wait_until(lambda: sessions() == [], "the session to be forgotten")
    with box.client() as boxed:
        assert len(boxed.manager("GetAllJobs")) == 2


def test_a_session_is_forgotten_when_its_last_process_ends_by_itself(box: Box, daemon: Daemon) -> None:
    os.mkfifo(box.path / "fifo")
    box.write_job("web", "exec cat /fifo\n")
    with box.client() as boxed:
        start(boxed, f"{box.objects}/web")
    assert len(sessions()) == 1
    (box.path / "fifo").write_text("")
    wait_until(lambda: sessions() == [], "the session to be forgotten")


def test_a_root_that_is_gone_fails_the_job_and_harms_nothing(box: Box, daemon: Daemon) -> None:
    box.write_job("web", WEB)
    with box.client() as boxed:
        boxed.manager("GetAllJobs")
        box.path.rename(box.path.with_name("moved"))
        with pytest.raises(Refused, match="Job failed to start"):
            start(boxed, f"{box.objects}/web")
    assert ("init: Failed to spawn web main process: unable to change root directory: No such file or directory\n"
            in daemon.log())
    assert daemon.run("initctl", "list") == ""


@pytest.mark.parametrize(("options", "environ"), [((), {}), (("--chroot-sessions",), {"UPSTART_NO_SESSIONS": "1"})])
def test_without_chroot_sessions_a_caller_in_a_chroot_is_one_like_any_other(
    box: Box, tmp_path: Path, options: tuple[str, ...], environ: dict[str, str]
) -> None:
    box.write_job("boxed", WEB)
    with daemon_in(tmp_path, *options, **environ) as daemon:
        daemon.write_job("own", WEB)
        with box.client() as boxed:
            assert boxed.manager("GetAllJobs") == [job_path("own")]
            assert start(boxed, job_path("own"))


def test_initctl_in_a_chroot_has_the_jobs_of_that_root(box: Box, daemon: Daemon) -> None:
    daemon.write_job("own", WEB)
    box.write_job("web", WEB)

    def run(*command: str) -> str:
        done = box.try_run(daemon.environ, *command)
        assert (done.returncode, done.stderr) == (0, ""), daemon.log()
        return done.stdout

    assert run("initctl", "list") == "web stop/waiting\n"
    status = run("start", "web")
    assert status.startswith("web start/running, process ")
    assert run("status", "web") == status
    assert run("initctl", "emit", "whatever") == ""
    assert run("stop", "web") == "web stop/waiting\n"
    assert daemon.run("initctl", "list") == "own stop/waiting\n"
